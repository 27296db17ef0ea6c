"""What Qaip offers beside its first call, in LangChain."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langchain_core.documents import Document
from langchain_core.exceptions import OutputParserException
from langchain_core.prompts import PromptTemplate
from pydantic import BaseModel, Field

import langchain_qaip
from langchain_qaip import ChatQaip, QaipExtractor, QAIPRetriever, QaipSearchRetriever, errors
from langchain_qaip.qaip import retrieved_documents, where
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

DOCS = Path(__file__).parent.parent / "sandbox" / "docs"
KEY = "sk-hushhush-9b1f"
QUESTION = "Within how many days can a lamp be returned?"
ID = "1f6b2c8e-0d47-4c1a-9b35-6a7e8f901201"
SENT = {
    "id": ID, "text": "Spring leaves.", "url": "https://tea.example", "title": None,
    "page_number": 0, "file_type": "html", "source_type": "crawl", "timestamp": 1769000000,
}  # fmt: skip


def reach(sandbox: Sandbox) -> dict[str, Any]:
    return {"api_key": sandbox.env["QAIP_API_KEY"], "base_url": sandbox.env["QAIP_BASE_URL"]}


def at(server: FaultServer) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": server.url, "max_retries": 0}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A library in which a search finds more than one passage."""
    folder = tmp_path_factory.mktemp("shelf")
    for n in range(5):
        text = f"# Lamp {n}\n\nThe lamp of model {n} can be returned within {n + 20} days.\n"
        (folder / f"lamp{n}.md").write_text(text)
    with Sandbox(folder) as running:
        yield running


@pytest.fixture
def retriever(shelf: Sandbox) -> Iterator[QaipSearchRetriever]:
    with QaipSearchRetriever(**reach(shelf)) as made:
        yield made


@pytest.fixture
def chat(sandbox: Sandbox) -> Iterator[ChatQaip]:
    with ChatQaip(**reach(sandbox)) as made:
        yield made


@pytest.mark.parametrize("name", ["QAIPRetriever", "QaipExtractor", "QaipSearchRetriever"])
def test_a_class_is_at_the_root(name: str) -> None:
    assert getattr(langchain_qaip, name).__name__ == name


# Search


async def test_a_search_finds_documents_with_the_ids_of_citations(
    retriever: QaipSearchRetriever, shelf: Sandbox
) -> None:
    found = retriever.invoke(QUESTION, k=3)
    async with retriever:
        assert found == await retriever.ainvoke(QUESTION, k=3)
    assert len(found) == 3
    with ChatQaip(**reach(shelf)) as chat:
        cited = {c["id"] for c in chat.invoke(QUESTION).additional_kwargs["citations"]}
    assert cited & {document.id for document in found}
    first = found[0]
    assert first.page_content
    assert first.metadata["url"] == first.metadata["source"]
    assert [d.metadata["rank"] for d in found] == [1, 2, 3]
    assert "score" not in first.metadata


async def test_filters_hold_on_the_object_and_for_one_call(server: FaultServer) -> None:
    server.replies(*[json_reply({"results": []})] * 3)
    made = QaipSearchRetriever(k=4, tag_names=["a"], offset=2, use_postfilter=True, **at(server))
    async with made:
        made.invoke("q")
        made.invoke("q", k=2, tag_names=[], file_types=["pdf"], offset=0)
        await made.ainvoke("q", source_metadata=where("year", int) >= 2024)
    first, second, third = (request.json() for request in server.requests)
    own = {"query": "q", "limit": 4, "tags": ["a"], "offset": 2, "use_postfilter": True}
    assert first == own
    assert second == {**own, "limit": 2, "tags": [], "file_types": ["pdf"], "offset": 0}
    assert third == {**own, "source_metadata": (where("year", int) >= 2024).as_dict()}


def test_a_filter_of_metadata_holds(retriever: QaipSearchRetriever) -> None:
    title = retriever.invoke(QUESTION, k=1)[0].metadata["title"]
    same = retriever.invoke(QUESTION, metadata_filter=where("title", str) == title)
    other = retriever.invoke(QUESTION, metadata_filter=where("title", str) != title)
    assert {d.metadata["title"] for d in same} == {title}
    assert title not in {d.metadata["title"] for d in other}


def test_limit_of_a_call_overrules_k_of_the_object(server: FaultServer) -> None:
    results = json_reply({"results": [{"id": str(n), "text": "t"} for n in range(3)]})
    server.replies(results, results, results)
    with QaipSearchRetriever(k=2, limit=9, **at(server)) as made:
        assert len(made.invoke("q")) == 2
        assert len(made.invoke("q", limit=3)) == 3
        assert len(made.invoke("q", limit=3, k=1)) == 1
    assert [request.json()["limit"] for request in server.requests] == [2, 3, 1]


async def test_all_pages_are_one_list(retriever: QaipSearchRetriever) -> None:
    everything = list(retriever.search_all(QUESTION, limit=2))
    assert len(everything) > 2
    assert [d.metadata["rank"] for d in everything] == list(range(1, len(everything) + 1))
    assert [d.id for d in everything] == [d.id for d in retriever.invoke(QUESTION, k=100)]
    async with retriever:
        assert everything == [d async for d in retriever.asearch_all(QUESTION, limit=2)]
        some = [d async for d in retriever.asearch_all(QUESTION, most=3, limit=2)]
    assert some == everything[:3] == list(retriever.search_all(QUESTION, most=3, limit=2))


def test_a_page_is_asked_for_when_it_is_needed(server: FaultServer) -> None:
    results = [{"id": str(n), "text": "t"} for n in range(2)]
    server.replies(json_reply({"results": results}), json_reply({"results": []}))
    with QaipSearchRetriever(k=2, **at(server)) as made:
        pages = made.search_all("q")
        assert next(pages).id == "0"
        assert len(server.requests) == 1
        assert [d.id for d in pages] == ["1"]
    assert [r.json()["offset"] for r in server.requests] == [0, 2]
    assert [r.json()["limit"] for r in server.requests] == [2, 2]


def test_an_undeclared_column_is_a_bad_request(retriever: QaipSearchRetriever) -> None:
    with pytest.raises(errors.BadRequestError, match="colour"):
        retriever.invoke(QUESTION, metadata_filter=where("colour", str) == "red")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ({"tags": ["a"]}, "no parameter 'tags'"),
        ({"limit": 0}, "limit"),
        ({"most": 0}, "most must be"),
        ({"chunk_metadata": where("t", list[str]).contains("a")}, "metadata_filter only"),
    ],
)
def test_misuse_is_an_error_of_ours_before_anything_is_sent(
    call: Mapping[str, Any], says: str, server: FaultServer
) -> None:
    with QaipSearchRetriever(**at(server)) as made:
        with pytest.raises(errors.InvalidParameterError, match=says):
            list(made.search_all("q", **call))
        if "most" not in call:
            with pytest.raises(errors.InvalidParameterError, match=says):
                made.invoke("q", **call)
    assert not server.requests


# The published retriever


async def test_the_published_class_s_keywords_and_metadata_are_kept(server: FaultServer) -> None:
    server.replies(*[json_reply({"results": [SENT]})] * 2)
    async with QAIPRetriever(**at(server)) as made:
        call: dict[str, Any] = {
            "tag_ids": ["t"], "source_types": ["crawl"], "file_types": ["html"], "limit": 5,
            "date_from": 1769000000, "date_to": 1769000001, "domains": ["tea"], "offset": 1,
        }  # fmt: skip
        (found,) = made.invoke("q", **call)
        assert [found] == await made.ainvoke("q", **call)
    assert [r.json() for r in server.requests] == [{"query": "q", **call}] * 2
    theirs = {k: v for k, v in SENT.items() if k != "text"}
    assert found.metadata == {**theirs, "source": "https://tea.example", "rank": 1}
    assert (found.id, found.page_content) == (ID, "Spring leaves.")


def test_what_the_published_class_drops_is_sent(server: FaultServer) -> None:
    server.replies(json_reply({"results": []}))
    group = where("year", int) == 2024
    with QAIPRetriever(file_types=["md"], principal_id="me", **at(server)) as made:
        call: dict[str, Any] = {
            "tag_filter_logic": "AND",
            "source_group_id": ID,
            "offset": 0,
            "domains": [],
        }
        made.invoke("q", tags=["a"], metadata=group, **call)
    assert server.requests[0].json() == {
        "query": "q", "file_types": ["md"], "principal_id": "me", "tags": ["a"],
        "metadata": group.as_dict(), **call,
    }  # fmt: skip


def test_tags_of_the_object_are_langchain_s(server: FaultServer) -> None:
    server.replies(json_reply({"results": []}))
    with QAIPRetriever(tags=["traced"], **at(server)) as made:
        made.invoke("q")
    assert server.requests[0].json() == {"query": "q"}


def test_the_key_of_the_published_class_is_hidden_now(server: FaultServer) -> None:
    with QAIPRetriever(**at(server)) as made:
        assert KEY not in repr(made) + str(made.model_dump()) + json.dumps(
            made.to_json(), default=str
        )


def test_a_refusal_has_a_status_and_a_class(sandbox: Sandbox) -> None:
    wrong = {**reach(sandbox), "api_key": "wrong"}
    with QAIPRetriever(**wrong) as made, pytest.raises(errors.AuthenticationError) as caught:
        made.invoke("q")
    assert caught.value.status == 401


def test_it_pages_too(shelf: Sandbox) -> None:
    with QAIPRetriever(**reach(shelf)) as made:
        found = list(made.search_all(QUESTION, limit=2, most=3))
    assert len(found) == 3
    assert all(d.metadata["id"] == d.id for d in found)


# Answers


def test_retrieved_passages_are_documents(chat: ChatQaip) -> None:
    whole = chat.invoke(QUESTION, include_retrieved=True, limit=3)
    pieces = list(chat.stream(QUESTION, include_retrieved=True, limit=3))
    streamed = pieces[0]
    for piece in pieces[1:]:
        streamed = streamed + piece
    found = retrieved_documents(whole)
    assert 0 < len(found) <= 3
    assert all(isinstance(document, Document) and document.page_content for document in found)
    assert found == retrieved_documents(streamed)
    assert retrieved_documents(chat.invoke(QUESTION)) == []


def test_a_streamed_answer_says_what_a_whole_one_says(chat: ChatQaip) -> None:
    whole = chat.invoke(QUESTION)
    for protocol in ("events", "plain"):
        pieces = list(chat.stream(QUESTION, stream_protocol=protocol))
        streamed = pieces[0]
        for piece in pieces[1:]:
            streamed = streamed + piece
        assert streamed.text == whole.text
        assert streamed.additional_kwargs == whole.additional_kwargs
        assert streamed.response_metadata["finish_reason"] == "stop"
        assert streamed.response_metadata["conversation_id"]


def test_a_service_of_the_first_generation_is_read_in_spite_of_the_wish_for_events() -> None:
    with Sandbox(DOCS, qaip={"profile": "seed"}) as sandbox, ChatQaip(**reach(sandbox)) as chat:
        whole = chat.invoke(QUESTION)
        pieces = list(chat.stream(QUESTION))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert pieces[-1].additional_kwargs == whole.additional_kwargs


def test_grounding_is_surfaced() -> None:
    with Sandbox(DOCS, qaip={"grounding": True}) as sandbox, ChatQaip(**reach(sandbox)) as chat:
        whole = chat.invoke(QUESTION, grounding=True)
        pieces = list(chat.stream(QUESTION, grounding=True))
    for facts in (whole.response_metadata, pieces[-1].response_metadata):
        assert facts["search_suggestion"].startswith("<div")
        assert facts["web_search_queries"] == [QUESTION]
        assert facts["web_citations"]
    notes = whole.additional_kwargs["annotations"]
    assert [note["extras"].get("grounding") for note in notes][-1] is True
    assert notes == pieces[-1].additional_kwargs["annotations"]


# Conversations


async def test_a_conversation_is_the_service_s_memory(chat: ChatQaip) -> None:
    first = chat.invoke("What does a lamp cost?")
    known = first.response_metadata["conversation_id"]
    second = chat.invoke(QUESTION, conversation_id=known)
    assert second.response_metadata["conversation_id"] == known
    stored = chat.conversations.read(known)
    assert [m.role for m in stored.messages] == ["user", "assistant"] * 2
    assert stored.messages[-1].id == second.response_metadata["assistant_message_id"]
    cited = [c["id"] for c in second.additional_kwargs["citations"]]
    assert [c.id for c in stored.citations] == cited
    async with chat:
        assert await chat.conversations.aread(known) == stored
        await chat.conversations.achange(known, title="Lamps")
        assert known in [c.id for c in await chat.conversations.alist()]
        assert chat.conversations.read(known).title == "Lamps"
        await chat.conversations.adelete(known)
    with pytest.raises(errors.NotFoundError):
        chat.conversations.read(known)


def test_an_answer_is_given_once_more_from_its_question(chat: ChatQaip) -> None:
    facts = chat.invoke(QUESTION).response_metadata
    known, question = facts["conversation_id"], facts["user_message_id"]
    again = chat.invoke(
        QUESTION, conversation_id=known, parent_message_id=question, regenerate=True
    )
    assert again.response_metadata["user_message_id"] == question
    assert len(chat.conversations.read(known).tree) == 3


def test_conversations_belong_to_the_object_s_principal(sandbox: Sandbox) -> None:
    with ChatQaip(principal_id="Ann B.", **reach(sandbox)) as chat:
        known = chat.invoke(QUESTION).response_metadata["conversation_id"]
        chat.conversations.change(known, title="Ann's")
        assert [(c.id, c.title) for c in chat.conversations.list()] == [(known, "Ann's")]
        with pytest.raises(errors.NotFoundError):
            chat.conversations.read(known, principal_id="Bob")
        chat.conversations.delete(known)


# Tags and passages


async def test_the_library_has_tags_and_passages(chat: ChatQaip) -> None:
    tags = chat.library.tags()
    assert {tag.name for tag in tags} >= {"handbook", "people"}
    cited = chat.invoke(QUESTION).additional_kwargs["citations"][0]
    passage = chat.library.content(cited["id"])
    assert (passage.id, passage.page_content) == (cited["id"], cited["text"])
    async with chat:
        assert await chat.library.atags() == tags
        assert await chat.library.acontent(cited["id"]) == passage
        assert chat.library.tags() == tags


def test_a_retriever_reaches_the_library_too(retriever: QaipSearchRetriever) -> None:
    (found,) = retriever.invoke(QUESTION, k=1)
    assert found.id is not None
    assert retriever.library.content(found.id).page_content == found.page_content
    with pytest.raises(errors.InvalidParameterError, match="not a UUID"):
        retriever.library.content("first")


# Extraction


class Returns(BaseModel):
    """How a lamp is returned."""

    rule: str = Field(description="Within how many days can a lamp be returned?")


class Typed(TypedDict):
    rule: str


@pytest.mark.parametrize("schema", [Returns, Typed, Returns.model_json_schema()])
async def test_an_object_of_the_schema_is_extracted(schema: Any, sandbox: Sandbox) -> None:
    async with QaipExtractor(schema=schema, limit=3, **reach(sandbox)) as extract:
        found = extract.invoke(QUESTION)
        assert found == await extract.ainvoke(QUESTION)
        assert found == (PromptTemplate.from_template("{q}") | extract).invoke({"q": QUESTION})
        assert extract.batch([QUESTION]) == [found]
        assert isinstance(found, Returns if schema is Returns else dict)


async def test_what_an_extraction_sends(server: FaultServer) -> None:
    server.replies(*[json_reply({"result": {"rule": "30 days"}})] * 3)
    made = QaipExtractor(schema=Returns, tag_names=["a"], extra_body={"x": 1}, **at(server))
    async with made:
        assert made.invoke("q", limit=2, extra_body={"y": 2}) == Returns(rule="30 days")
        made.invoke("")
        await made.ainvoke(None, tag_names=["b"])
    first, second, third = (request.json() for request in server.requests)
    schema = first.pop("schema")
    assert schema["properties"]["rule"]["type"] == "string"
    assert first == {"prompt": "q", "limit": 2, "tags": ["a"], "x": 1, "y": 2}
    assert second == {"schema": schema, "tags": ["a"], "x": 1}
    assert third == {"schema": schema, "tags": ["b"], "x": 1}


def test_an_object_that_breaks_the_class_is_an_error(server: FaultServer) -> None:
    server.replies(json_reply({"result": {"rule": 30}}))
    made = QaipExtractor(schema=Returns, **at(server))
    with made, pytest.raises(OutputParserException):
        made.invoke("q")


@pytest.mark.parametrize(
    ("given", "says"),
    [({}, "needs a schema"), ({"schema": 7}, "no schema of objects"), ({"schma": {}}, "schma")],
)
def test_an_extractor_needs_a_schema(given: dict[str, Any], says: str, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        QaipExtractor(**given, **at(server))


def test_an_extractor_takes_texts_only(server: FaultServer) -> None:
    wrong: Any = {"q": 1}
    made = QaipExtractor(schema=Returns, **at(server))
    with made, pytest.raises(errors.InvalidParameterError, match="a text or a prompt, not dict"):
        made.invoke(wrong)
    assert not server.requests


def test_a_refused_extraction_is_an_error_of_both_families(sandbox: Sandbox) -> None:
    wrong = {**reach(sandbox), "api_key": "wrong"}
    made = QaipExtractor(schema=Returns, **wrong)
    with made, pytest.raises(errors.AuthenticationError):
        made.invoke("q")


@pytest.mark.parametrize("name", ["schema", "object_schema", "prompt"])
def test_schema_and_prompt_of_an_extraction_are_said_in_one_place(
    name: str, server: FaultServer
) -> None:
    made = QaipExtractor(schema=Returns, **at(server))
    with pytest.raises(errors.InvalidParameterError, match=f"{name!r} is no parameter of a call"):
        made.invoke("Who?", **{name: {"type": "object"}})
    assert not server.requests


def test_an_extractor_as_json_holds_the_schema_of_its_class(server: FaultServer) -> None:
    made = QaipExtractor(schema=Returns, limit=3, **at(server))
    told = json.loads(made.model_dump_json(exclude_none=True))
    assert told["object_schema"]["properties"].keys() == Returns.model_fields.keys()
    assert made.model_dump()["object_schema"] is Returns
    assert KEY not in made.model_dump_json()


def test_paging_knows_the_published_class_s_names_too(server: FaultServer) -> None:
    server.replies(json_reply({"results": []}))
    with QAIPRetriever(**at(server)) as made:
        assert list(made.search_all("q", tags=["a"])) == []
    assert server.requests[0].json()["tags"] == ["a"]
