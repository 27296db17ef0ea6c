"""Knowledge bases of PAIS: the search of an index, and the lists, page by page."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Citation, Client, Connection, errors
from qaip_core.backends.pais import listing
from qaip_core.backends.pais.listing import Resource
from qaip_core.backends.pais.search import SEARCH
from qaip_core.backends.pais.vectors import EMBEDDINGS
from qaip_core.knowledge import KnowledgeBase
from support.backends import KEY, settings
from support.fault_server import FaultServer, Reply, json_reply
from support.recordings import WIRE
from support.wire import WireCase, cases

PLACE: dict[str, Any] = {"knowledge_base_id": "kb-1", "index_id": "ix-1"}
OPENAI = "/api/v1/compatibility/openai/v1"
CONTROL = "/api/v1/control"
SEARCHES = [c for c in cases("pais") if c.operation == "search" and c.status == 200]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def site(server: FaultServer) -> Iterator[KnowledgeBase]:
    """A knowledge base over the server."""
    with KnowledgeBase(
        api_key=KEY, base_url=server.url + OPENAI, max_retries=0, timeout=5, **PLACE
    ) as made:
        yield made


def paths(server: FaultServer) -> list[str]:
    return [request.path for request in server.requests]


def read(citation: Citation) -> dict[str, Any]:
    known = {
        "text": citation.text,
        "score": citation.score,
        "title": citation.title,
        "url": citation.url,
        "file_type": citation.metadata.get("file_type"),
    }
    return {name: value for name, value in known.items() if value is not None}


@pytest.mark.parametrize("case", SEARCHES, ids=lambda case: case.name)
async def test_what_a_search_finds_is_read_in_every_shape(
    server: FaultServer, case: WireCase
) -> None:
    server.replies(case.reply(), case.reply(sizes=1))
    asked = {**PLACE, "text": "q"}
    with closing(Client(settings(SEARCH, server.url))) as client:
        found = client.fetch(SEARCH, asked)
    assert [read(passage) for passage in found] == case.expected["citations"]
    assert [passage.rank for passage in found] == list(range(1, len(found) + 1))
    other = AsyncClient(settings(SEARCH, server.url))
    assert await other.fetch(SEARCH, asked) == found
    await other.close()


def test_a_search_goes_to_the_control_api_beside_the_other_one(
    server: FaultServer, site: KnowledgeBase
) -> None:
    server.replies(json_reply({"chunks": []}))
    assert list(site.search("tea")) == []
    (request,) = server.requests
    assert request.method == "POST"
    assert request.path == f"{CONTROL}/knowledge-bases/kb-1/indexes/ix-1/search"
    assert request.json() == {"text": "tea", "top_k": 4}


def test_how_many_are_wanted_is_always_said(server: FaultServer, site: KnowledgeBase) -> None:
    server.replies(*[json_reply({"chunks": []})] * 3)
    site.search("tea", count=7)
    site.search("tea", top_k=8)
    site.top_k = 9
    site.search("tea")
    assert [request.json()["top_k"] for request in server.requests] == [7, 8, 9]


def test_a_cutoff_is_sent_as_it_is(server: FaultServer, site: KnowledgeBase) -> None:
    server.replies(json_reply({"chunks": []}))
    site.search("tea", similarity_cutoff=-0.5)
    assert server.requests[-1].json()["similarity_cutoff"] == -0.5


def test_another_index_may_be_searched_for_one_call(
    server: FaultServer, site: KnowledgeBase
) -> None:
    server.replies(json_reply({"chunks": []}))
    site.search("tea", knowledge_base_id="kb-2", index_id="ix-2")
    assert paths(server) == [f"{CONTROL}/knowledge-bases/kb-2/indexes/ix-2/search"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"knowledge_base_id": None}, "needs 'knowledge_base_id'"),
        ({"index_id": None}, "needs 'index_id'"),
        ({"top_k": 0}, "top_k"),
        ({"top_n": 3}, "top_k"),
        ({"similarity_cutoff": float("nan")}, "similarity_cutoff"),
    ],
    ids=str,
)
def test_what_cannot_be_searched_is_refused_before_it_is_sent(
    server: FaultServer, given: dict[str, Any], words: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=words):
        KnowledgeBase(api_key=KEY, base_url=server.url, **{**PLACE, **given}).search("tea")
    assert server.requests == []


@pytest.mark.parametrize(
    ("base", "control", "path"),
    [
        ("", None, CONTROL),
        ("/api/v1", None, CONTROL),
        (OPENAI, None, CONTROL),
        (f"{OPENAI}/chat/completions", None, CONTROL),
        ("/ai/compatibility/openai/v1", None, "/ai/control"),
        ("/api/v1/control", None, CONTROL),
        (OPENAI, "/knowledge", "/knowledge"),
        (None, "/knowledge/", "/knowledge"),
    ],
    ids=str,
)
def test_where_knowledge_bases_are_follows_from_the_base_url(
    server: FaultServer, base: str | None, control: str | None, path: str
) -> None:
    server.replies(json_reply({"data": []}))
    given = {"base_url": base, "control_base_url": control}
    urls: dict[str, Any] = {
        name: server.url + url for name, url in given.items() if url is not None
    }
    with KnowledgeBase(api_key=KEY, max_retries=0, **urls) as site:
        site.list_knowledge_bases()
    assert paths(server) == [f"{path}/knowledge-bases?limit=100"]


@pytest.mark.parametrize(
    ("url", "words"),
    [("http://kb.example/control", "clear text"), ("kb.example", "https"), ("https://u@h", "user")],
    ids=str,
)
def test_a_control_url_is_checked_like_any_other(url: str, words: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=words):
        KnowledgeBase(api_key=KEY, base_url="https://site.example", control_base_url=url)


@pytest.mark.parametrize(
    ("body", "words"),
    [({"results": []}, "chunks"), ({"chunks": {}}, "chunks"), ("tea", "body")],
    ids=str,
)
def test_findings_of_another_shape_are_an_error(
    server: FaultServer, site: KnowledgeBase, body: Any, words: str
) -> None:
    server.replies(json_reply(body))
    with pytest.raises(errors.MalformedResponseError, match=words):
        site.search("tea")


def test_a_passage_that_cannot_be_read_leaves_its_place(
    server: FaultServer, site: KnowledgeBase
) -> None:
    passage = {"document_id": "d-1", "score": "0.5", "text": "Tea."}
    server.replies(json_reply({"chunks": [None, passage, {"text": 5, "document_id": "d-2"}]}))
    found = site.search("tea")
    assert [(p.rank, p.text, p.score) for p in found] == [(2, "Tea.", 0.5), (3, "5", None)]


def page(*ids: str, more: bool = False, **rest: Any) -> Reply:
    return json_reply(
        {"object": "list", "has_more": more, "data": [{"id": i} for i in ids], **rest}
    )


def test_a_list_is_read_to_its_end(server: FaultServer, site: KnowledgeBase) -> None:
    server.replies(
        page("a", "b", more=True, last_id="b"), page("c", more=True), page("d", last_id="d")
    )
    assert [entry.id for entry in site.list_documents()] == ["a", "b", "c", "d"]
    documents = f"{CONTROL}/knowledge-bases/kb-1/indexes/ix-1/documents"
    asked = ["?limit=100", "?after=b&limit=100", "?after=c&limit=100"]
    assert paths(server) == [documents + query for query in asked]


@pytest.mark.parametrize(
    "again",
    [page("a", "b", more=True, last_id="b"), page(more=True), page("b", more=True)],
    ids=["the same page", "an empty page", "a known entry"],
)
def test_a_list_that_goes_on_with_what_is_known_is_at_its_end(
    server: FaultServer, site: KnowledgeBase, again: Reply
) -> None:
    server.replies(page("a", "b", more=True, last_id="b"), again)
    assert [entry.id for entry in site.list_documents()] == ["a", "b"]
    assert len(server.requests) == 2


async def test_every_list_has_its_path_sync_and_async(
    server: FaultServer, site: KnowledgeBase
) -> None:
    of_index = f"{CONTROL}/knowledge-bases/kb-1/indexes/ix-1"
    lists = {
        "list_knowledge_bases": f"{CONTROL}/knowledge-bases",
        "list_data_sources": f"{CONTROL}/data-sources",
        "list_indexes": f"{CONTROL}/knowledge-bases/kb-1/indexes",
        "list_documents": f"{of_index}/documents",
        "list_indexings": f"{of_index}/indexings",
    }
    for name, path in lists.items():
        server.reset()
        server.replies(page("a", more=True), page("b"), page("a", more=True), page("b"))
        found = getattr(site, name)()
        assert await getattr(site, f"a{name}")() == found
        assert [entry.id for entry in found] == ["a", "b"]
        assert set(map(_bare, paths(server))) == {path}
    await site.aclose()


def _bare(path: str) -> str:
    return path.partition("?")[0]


def test_a_base_may_be_looked_for_by_its_name(server: FaultServer, site: KnowledgeBase) -> None:
    server.replies(page("a"), page("b"))
    site.list_knowledge_bases("tea & cake")
    site.list_indexes("kb-9")
    assert paths(server) == [
        f"{CONTROL}/knowledge-bases?limit=100&name=tea+%26+cake",
        f"{CONTROL}/knowledge-bases/kb-9/indexes?limit=100",
    ]


def test_an_entry_keeps_all_that_is_said_of_it(server: FaultServer, site: KnowledgeBase) -> None:
    index = {"id": "ix-1", "name": "teas", "status": "NEW_WORD", "num_documents": 3, "x": None}
    server.replies(json_reply({"data": [index, None, {"name": "without an id"}, {"id": "b"}]}))
    first, second = site.list_indexes()
    assert first == Resource("ix-1", "teas", None, "NEW_WORD", {"num_documents": 3})
    assert second == Resource("b")


ACTIVE = f"{CONTROL}/knowledge-bases/kb-1/indexes/ix-1/active-indexing"


@pytest.mark.parametrize(
    ("reply", "state"),
    [
        (json_reply({"id": "ing-1", "state": "INDEXING"}), "INDEXING"),
        (json_reply({"detail": "No active indexing."}, 404), None),
        (Reply(status=404, framing="length"), None),
        (Reply(status=204, framing="length"), None),
    ],
    ids=["there is one", "404", "empty 404", "204"],
)
async def test_the_filling_that_goes_on_is_told_if_there_is_one(
    server: FaultServer, site: KnowledgeBase, reply: Reply, state: str | None
) -> None:
    server.replies(reply, reply)
    for found in (site.active_indexing(), await site.aactive_indexing()):
        assert (found.status if found else None) == state
    assert paths(server) == [ACTIVE, ACTIVE]
    await site.aclose()


async def test_an_index_that_is_not_there_is_an_error(
    server: FaultServer, site: KnowledgeBase
) -> None:
    refused = json_reply({"detail": "Invalid knowledge base or index ID."}, 404)
    server.replies(refused, refused)
    with pytest.raises(errors.NotFoundError, match="knowledge base or index"):
        site.active_indexing()
    with pytest.raises(errors.NotFoundError, match="knowledge base or index"):
        await site.aactive_indexing()
    await site.aclose()


def test_models_are_told_apart_by_their_type(server: FaultServer) -> None:
    listed = [
        {"id": "a", "object": "model", "created": 5, "owned_by": "", "model_type": "COMPLETIONS"},
        {"id": "b", "model_type": "EMBEDDINGS", "model_engine": "NEW_ONE"},
        {"id": "c"},
        {"object": "model"},
        None,
    ]
    server.replies(json_reply({"object": "list", "data": listed}))
    connection = Connection(api_key=KEY, base_url=server.url + OPENAI)
    with closing(Client(connection.settings(listing.PAIS))) as client:
        models = client.fetch(listing.MODELS)
    assert [(m.id, m.created, m.owned_by) for m in models] == [
        ("a", 5, None),
        ("b", None, None),
        ("c", None, None),
    ]
    assert [m.id for m in listing.of_type(models, "embeddings")] == ["b"]
    assert [m.id for m in listing.of_type(models, None)] == ["a", "b", "c"]
    assert models[1].metadata["model_engine"] == "NEW_ONE"
    assert paths(server) == [f"{OPENAI}/models"]


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings lie beside the project")
@pytest.mark.parametrize(
    ("engine", "context"),
    [("gateway_over_llama_server", None), ("llama_cpp_python", None), ("llama_server", 256)],
)
def test_the_lists_of_real_engines_are_read(
    server: FaultServer, engine: str, context: int | None
) -> None:
    body = (WIRE / engine / "models/body.json").read_bytes()
    server.replies(Reply(body=body, content_type="application/json"))
    with closing(Client(settings(listing.MODELS, server.url))) as client:
        (model,) = client.fetch(listing.MODELS)
    assert (model.id, model.context_length) == ("tiny-bigram", context)


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings lie beside the project")
def test_a_real_engine_s_vectors_for_each_token_are_refused(server: FaultServer) -> None:
    body = (WIRE / "llama_cpp_python/b_embeddings/body.json").read_bytes()
    server.replies(Reply(body=body, content_type="application/json"))
    with (
        closing(Client(settings(EMBEDDINGS, server.url))) as client,
        pytest.raises(errors.MalformedResponseError, match="one for each token"),
    ):
        client.fetch(EMBEDDINGS, {"model": "m", "input": ["hello"]})


def test_a_query_is_said_once(server: FaultServer, site: KnowledgeBase) -> None:
    with pytest.raises(errors.InvalidParameterError, match="'text' is the query"):
        site.search("tea", text="coffee")
    assert not server.requests
