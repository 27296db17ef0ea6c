"""What Qaip offers beside its answers, in LlamaIndex."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from llama_index.core.schema import MetadataMode
from llama_index.core.types import BasePydanticProgram
from llama_index.core.vector_stores import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)
from pydantic import BaseModel, Field

import llama_index_qaip
from llama_index_qaip import Qaip, QaipExtractor, QaipSearchRetriever, errors
from llama_index_qaip.qaip import retrieved_nodes, to_filter, where
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

KEY = "test-key-5f1d0c"
QUESTION = "Within how many days can a lamp be returned?"
YEAR = where("year", int)


def reach(sandbox: Sandbox) -> dict[str, Any]:
    return {"api_key": sandbox.env["QAIP_API_KEY"], "base_url": sandbox.env["QAIP_BASE_URL"]}


def at(server: FaultServer) -> dict[str, Any]:
    return {"api_key": KEY, "base_url": server.url, "max_retries": 0}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A library in which a search finds more than one passage."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "lamps").mkdir()
    for n in range(5):
        text = f"# Lamp {n}\n\nThe lamp of model {n} can be returned within {n + 20} days.\n"
        (folder / "lamps" / f"lamp{n}.md").write_text(text)
    with Sandbox(folder, qaip={"grounding": True}) as running:
        yield running


@pytest.fixture
def llm(shelf: Sandbox) -> Iterator[Qaip]:
    with Qaip(**reach(shelf)) as made:
        yield made


@pytest.mark.parametrize("name", ["QaipExtractor", "QaipSearchRetriever"])
def test_a_class_is_at_the_root(name: str) -> None:
    assert getattr(llama_index_qaip, name).__name__ == name


# Search


async def test_a_search_finds_nodes_with_the_ids_of_citations(shelf: Sandbox, llm: Qaip) -> None:
    async with QaipSearchRetriever(similarity_top_k=3, **reach(shelf)) as retriever:
        found = retriever.retrieve(QUESTION)
        assert [n.node_id for n in await retriever.aretrieve(QUESTION)] == [
            n.node_id for n in found
        ]
    assert len(found) == 3
    cited = {c["id"] for c in llm.complete(QUESTION).additional_kwargs["citations"]}
    assert cited & {node.node_id for node in found}
    first = found[0]
    assert first.score is None
    assert first.node.ref_doc_id == first.metadata["url"]
    assert "source_id" not in first.node.get_content(MetadataMode.LLM)


async def test_filters_hold_on_the_object_and_for_one_search(server: FaultServer) -> None:
    server.replies(*[json_reply({"results": []})] * 3)
    fields = {"similarity_top_k": 4, "tag_names": ["a"], "source_metadata": YEAR > 1, **at(server)}
    async with QaipSearchRetriever(**fields) as made:
        assert made.retrieve("q") == []
        assert list(made.search_all("q", limit=2, tag_names=[], file_types=["pdf"])) == []
        assert [n async for n in made.asearch_all("q")] == []
    first, second, third = (request.json() for request in server.requests)
    own = {"query": "q", "limit": 4, "tags": ["a"], "source_metadata": (YEAR > 1).as_dict()}
    assert first == own
    assert second == {**own, "limit": 2, "offset": 0, "tags": [], "file_types": ["pdf"]}
    assert third == {**own, "offset": 0}


async def test_all_pages_are_one_list(shelf: Sandbox) -> None:
    async with QaipSearchRetriever(**reach(shelf)) as made:
        everything = [n.node_id for n in made.search_all(QUESTION, limit=2)]
        assert everything == [n.node_id async for n in made.asearch_all(QUESTION, limit=2)]
        some = [n.node_id for n in made.search_all(QUESTION, most=3, limit=2)]
        assert everything == [p.id for p in made.search(QUESTION, count=100)]
    assert len(everything) == 5
    assert some == everything[:3]


def test_a_wrong_key_is_an_authentication_error(shelf: Sandbox) -> None:
    made = QaipSearchRetriever(**{**reach(shelf), "api_key": "wrong"})
    with made, pytest.raises(errors.AuthenticationError):
        made.retrieve("q")


@pytest.mark.parametrize(
    ("given", "says"),
    [({"limit": 0}, "limit"), ({"tags": ["a"]}, "tags"), ({"source_group_id": "x"}, "not a UUID")],
)
def test_misuse_is_an_error_at_construction(
    given: dict[str, Any], says: str, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        QaipSearchRetriever(**given, **at(server))


# LlamaIndex's own filters


def said(key: str, value: Any, operator: FilterOperator = FilterOperator.EQ) -> MetadataFilter:
    return MetadataFilter(key=key, value=value, operator=operator)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([said("year", 1)], YEAR == 1),
        ([said("year", 1, FilterOperator.NE)], YEAR != 1),
        ([said("year", 1, FilterOperator.GT)], YEAR > 1),
        ([said("year", 1, FilterOperator.GTE)], YEAR >= 1),
        ([said("year", 1, FilterOperator.LT)], YEAR < 1),
        ([said("year", 1, FilterOperator.LTE)], YEAR <= 1),
        ([said("g", 1.5)], where("g", float) == 1.5),
        ([said("year", [1, 2], FilterOperator.IN)], (YEAR == 1) | (YEAR == 2)),
        ([said("year", [1, 2], FilterOperator.NIN)], (YEAR != 1) & (YEAR != 2)),
        ([said("t", "a", FilterOperator.CONTAINS)], where("t", list[str]).contains("a")),
        ([said("t", 7, FilterOperator.CONTAINS)], where("t", list[int]).contains(7)),
        ([said("year", 1), said("g", "x")], (YEAR == 1) & (where("g", str) == "x")),
    ],
)
def test_llama_index_s_filters_are_conditions(
    filters: Sequence[MetadataFilter], wanted: Any
) -> None:
    assert to_filter(MetadataFilters(filters=list(filters))).as_dict() == wanted.as_dict()


def test_groups_of_llama_index_s_filters_stay_groups() -> None:
    inner = MetadataFilters(
        filters=[said("year", 1), said("year", 2)], condition=FilterCondition.OR
    )
    joined = to_filter(MetadataFilters(filters=[inner, said("g", "x")]))
    assert joined.as_dict() == (((YEAR == 1) | (YEAR == 2)) & (where("g", str) == "x")).as_dict()


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (MetadataFilters(filters=[]), "at least one"),
        (
            MetadataFilters(filters=[said("year", 1)], condition=FilterCondition.NOT),
            "there is no NOT",
        ),
        (MetadataFilters(filters=[said("t", "a", FilterOperator.TEXT_MATCH)]), "no condition"),
        (MetadataFilters(filters=[said("t", ["a"])]), "no condition '==' with"),
        (MetadataFilters(filters=[said("t", None, FilterOperator.IS_EMPTY)]), "no condition"),
    ],
)
def test_what_qaip_cannot_say_is_refused(filters: MetadataFilters, says: str) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        to_filter(filters)


# Answers


async def test_retrieved_passages_are_nodes(llm: Qaip) -> None:
    whole = llm.complete(QUESTION, include_retrieved=True, limit=3)
    *_, streamed = llm.stream_complete(QUESTION, include_retrieved=True, limit=3)
    found = retrieved_nodes(whole)
    assert 0 < len(found) <= 3
    assert [n.node_id for n in found] == [n.node_id for n in retrieved_nodes(streamed)]
    assert retrieved_nodes(llm.complete(QUESTION)) == []


def test_grounding_is_surfaced(llm: Qaip) -> None:
    whole = llm.complete(QUESTION, grounding=True)
    *_, streamed = llm.stream_complete(QUESTION, grounding=True)
    for facts in (whole.additional_kwargs, streamed.additional_kwargs):
        assert facts["search_suggestion"].startswith("<div")
        assert [c.get("grounding") for c in facts["citations"]][-1] is True


async def test_conversations_are_reached_through_the_llm(llm: Qaip) -> None:
    known = llm.complete(QUESTION).additional_kwargs["conversation_id"]
    llm.complete("And the cord?", conversation_id=known)
    stored = llm.conversations.read(known)
    assert [m.role for m in stored.messages] == ["user", "assistant"] * 2
    async with llm:
        assert stored == await llm.conversations.aread(known)
    llm.conversations.delete(known)
    with pytest.raises(errors.NotFoundError):
        llm.conversations.read(known)


async def test_the_library_has_tags_and_passages(llm: Qaip, shelf: Sandbox) -> None:
    assert [tag.name for tag in llm.library.tags()] == ["lamps"]
    with QaipSearchRetriever(**reach(shelf)) as retriever:
        found = retriever.retrieve(QUESTION)[0]
        passage = retriever.library.content(found.node_id)
    assert (passage.node_id, passage.text) == (found.node_id, found.text)
    async with llm:
        assert (await llm.library.acontent(found.node_id)).text == found.text


# Extraction


class Returns(BaseModel):
    """How a lamp is returned."""

    rule: str = Field(description="Within how many days can a lamp be returned?")


async def test_an_object_of_a_class_is_extracted(shelf: Sandbox) -> None:
    async with QaipExtractor(output_cls=Returns, limit=3, **reach(shelf)) as extract:
        assert isinstance(extract, BasePydanticProgram)
        assert extract.output_cls is Returns
        found = extract(QUESTION)
        assert isinstance(found, Returns)
        assert found == await extract.acall(QUESTION)


def test_what_an_extraction_sends(server: FaultServer) -> None:
    server.replies(*[json_reply({"result": {"rule": "30 days"}})] * 2)
    with QaipExtractor(output_cls=Returns, tag_names=["a"], **at(server)) as made:
        assert made("q", limit=2) == Returns(rule="30 days")
        made()
    first, second = (request.json() for request in server.requests)
    schema = Returns.model_json_schema()
    assert first == {"schema": schema, "prompt": "q", "limit": 2, "tags": ["a"]}
    assert second == {"schema": schema, "tags": ["a"]}


def test_an_object_that_breaks_the_class_is_an_error(server: FaultServer) -> None:
    server.replies(json_reply({"result": {"rule": 30}}))
    made = QaipExtractor(output_cls=Returns, **at(server))
    with made, pytest.raises(errors.InvalidOutputError, match="no Returns: rule") as caught:
        made("q")
    assert caught.value.body == {"rule": 30}


@pytest.mark.parametrize("given", [{}, {"output_cls": dict}, {"output_cls": 7}])
def test_an_extractor_needs_a_class(given: dict[str, Any], server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="needs output_cls"):
        QaipExtractor(**given, **at(server))


def test_the_key_is_hidden(server: FaultServer) -> None:
    made = QaipExtractor(output_cls=Returns, **at(server))
    assert KEY not in repr(made) + str(made.model_dump())


@pytest.mark.parametrize("name", ["schema", "object_schema"])
def test_the_schema_of_an_extraction_is_that_of_the_object(name: str, server: FaultServer) -> None:
    made = QaipExtractor(output_cls=Returns, **at(server))
    with pytest.raises(errors.InvalidParameterError, match=f"{name!r} is no parameter of a call"):
        made("Who?", **{name: {"type": "object"}})
    assert not server.requests


def test_an_extractor_as_json_holds_the_schema_of_its_class(server: FaultServer) -> None:
    made = QaipExtractor(output_cls=Returns, **at(server))
    told = json.loads(made.model_dump_json())
    assert told["object_schema"] == Returns.model_json_schema()
    assert made.model_dump()["object_schema"] is Returns
    assert KEY not in made.model_dump_json()
