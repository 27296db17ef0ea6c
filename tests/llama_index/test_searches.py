"""Retrievers of a service's search: what LlamaIndex makes of them, and what its nodes are."""

import copy
import pickle
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import pytest
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import MetadataMode, NodeRelationship, QueryBundle

import llama_index_qaip
from llama_index_qaip.errors import InvalidParameterError, MissingKeyError
from support.fault_server import FaultServer
from support.wire import WireCase, cases

from .conftest import KEY

Make = Callable[..., Any]


class Search(NamedTuple):
    """A retriever: what it needs, its number of nodes on the wire, and what a search answers."""

    name: str
    needed: Mapping[str, Any]
    count: tuple[str, ...]
    answers: tuple[str, ...]


SEARCHES = (
    Search("QaipSearchRetriever", {}, ("limit",), ("qaip/search", "qaip/search_sparse")),
    Search(
        "PerplexitySearchRetriever",
        {},
        ("max_results",),
        ("perplexity/search", "perplexity/search_several"),
    ),
    Search(
        "PAISSearchRetriever",
        {"knowledge_base_id": "k", "index_id": "i"},
        ("top_k",),
        ("pais/search_chunks", "pais/search_hits", "pais/search_list", "pais/search_odd"),
    ),
    Search(
        "DifyDatasetRetriever",
        {"dataset_id": "d"},
        ("retrieval_model", "top_k"),
        ("dify/retrieve",),
    ),
)
WIRE = {case.id: case for case in cases()}
ANSWERED = [(search, WIRE[answer]) for search in SEARCHES for answer in search.answers]
every_search = pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search.name)
every_answer = pytest.mark.parametrize(
    ("search", "case"), ANSWERED, ids=[case.id for _, case in ANSWERED]
)
both = pytest.mark.parametrize("a", ["", "a"], ids=["sync", "async"])


@pytest.fixture
def made(server: FaultServer) -> Iterator[Make]:
    """Makes a retriever over the server, of either framework's package."""
    opened: list[Any] = []

    def retriever(search: Search, package: Any = llama_index_qaip, **fields: Any) -> Any:
        known = {"api_key": KEY, "base_url": server.url, "max_retries": 0}
        opened.append(getattr(package, search.name)(**{**known, **search.needed, **fields}))
        return opened[-1]

    yield retriever
    for each in opened:
        each.close()


async def found(retriever: Any, a: str, query: Any = "q") -> list[Any]:
    async with retriever:
        answer = getattr(retriever, f"{a}retrieve")(query)
        nodes: list[Any] = await answer if a else answer
    return nodes


@both
@every_answer
async def test_nodes_say_what_the_wire_says(
    search: Search, case: WireCase, a: str, made: Make, server: FaultServer
) -> None:
    server.replies(case.reply())
    nodes = await found(made(search), a)
    listed = case.expected["citations"]
    wanted = [c for place, c in enumerate(listed) if c not in listed[:place]]  # each once
    assert len(nodes) == len(wanted) > 0
    for scored, want in zip(nodes, wanted, strict=True):
        node = scored.node
        assert node.get_content() == want.get("text", "")
        assert node.node_id == want.get("wire_id", node.node_id)
        assert scored.score == want.get("score")
        assert node.metadata.get("url") == want.get("url")
        assert node.metadata.get("title") == want.get("title")
        assert "score" not in node.metadata
        assert None not in node.metadata.values()
        assert "rank" not in node.get_content(metadata_mode=MetadataMode.LLM)
        assert node.ref_doc_id == (want.get("url") or want.get("title"))
        source = node.relationships.get(NodeRelationship.SOURCE)
        assert (source is None) is (node.ref_doc_id is None)


@every_answer
async def test_a_node_has_the_id_of_langchain_s_document(
    search: Search, case: WireCase, made: Make, server: FaultServer
) -> None:
    pytest.importorskip("langchain_core")
    langchain = import_module("langchain_qaip")
    server.replies(case.reply())
    nodes = await found(made(search), "a")
    with made(search, langchain) as theirs:
        documents = theirs.invoke("q")
    ids = [scored.node.node_id for scored in nodes]
    assert ids == [document.id for document in documents]
    assert len(set(ids)) == len(ids)


@both
@every_search
async def test_a_query_may_be_a_bundle_by_keyword(
    search: Search, a: str, made: Make, server: FaultServer
) -> None:
    server.replies(WIRE[search.answers[0]].reply())
    async with made(search) as retriever:
        asked = getattr(retriever, f"{a}retrieve")(str_or_query_bundle=QueryBundle("which lamp?"))
        assert await asked if a else asked
    assert "which lamp?" in server.requests[0].json().values()


@both
@every_search
async def test_the_number_of_nodes_is_the_service_s_too(
    search: Search, a: str, made: Make, server: FaultServer
) -> None:
    server.replies(WIRE[search.answers[0]].reply())
    nodes = await found(made(search, similarity_top_k=1), a)
    assert len(nodes) == 1  # also where the service gives more than it was asked for
    sent = server.requests[0].json()
    for name in search.count:
        sent = sent[name]
    assert sent == 1


@every_search
@pytest.mark.parametrize("top_k", [0, -1, 2.5], ids=repr)
def test_a_number_of_nodes_that_is_none_is_refused(search: Search, top_k: Any, made: Make) -> None:
    with pytest.raises(InvalidParameterError, match="similarity_top_k"):
        made(search, similarity_top_k=top_k)


@every_search
async def test_a_cutoff_drops_nodes_without_a_score(
    search: Search, made: Make, server: FaultServer
) -> None:
    server.replies(WIRE[search.answers[0]].reply())
    nodes = await found(made(search), "")
    kept = SimilarityPostprocessor(similarity_cutoff=0.0).postprocess_nodes(nodes)
    assert kept == [scored for scored in nodes if scored.score is not None]


@every_search
async def test_copies_and_pickles_find_the_same_and_hold_no_key(
    search: Search, made: Make, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(WIRE[search.answers[0]].reply())
    retriever = made(search)
    wanted = [scored.node for scored in await found(retriever, "")]
    pickled = pickle.dumps(retriever)
    shown = f"{retriever!r} {retriever} {retriever.model_dump()} {retriever.model_dump_json()}"
    assert KEY not in shown + pickled.decode("latin-1")
    monkeypatch.setenv(retriever.operation.backend.key_env[0], "from-the-environment")
    for again in (copy.copy(retriever), copy.deepcopy(retriever), pickle.loads(pickled)):
        assert [scored.node for scored in await found(again, "a")] == wanted
    assert "from-the-environment" in str(server.requests[-1].headers)


@every_search
def test_what_the_class_does_not_know_is_refused(search: Search, made: Make) -> None:
    with pytest.raises(InvalidParameterError, match="similarity_topk"):
        made(search, similarity_topk=3)


@every_search
def test_without_a_key_the_message_names_the_variable(
    search: Search, made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(llama_index_qaip, search.name)
    backend = kind.operation.backend
    for name in backend.key_env:
        monkeypatch.delenv(name, raising=False)
    if search.name == "PAISSearchRetriever":  # some sites need none
        assert made(search, api_key=None)
        return
    with pytest.raises(MissingKeyError, match=backend.key_env[0]):
        made(search, api_key=None)
