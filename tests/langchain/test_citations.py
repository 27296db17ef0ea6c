"""Citations: one list, whose offsets, ids and quotes agree in every form that LangChain knows."""

from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.globals import set_llm_cache
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, AIMessageChunk

from langchain_qaip import ChatPerplexity, ChatQaip, CitationRetriever, documents
from qaip_core.errors import InvalidParameterError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

from .models import BY_ID, CITING, QUESTION, SILENT, TEXTS, Kind, every, merged

PERPLEXITY = next(kind for kind in CITING if kind.service == "perplexity")
QAIP = next(kind for kind in CITING if kind.service == "qaip")
MARKED = "Bees follow the sun.[1] They also dance.[1][2]"
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def annotations_of(message: Any) -> list[dict[str, Any]]:
    """Return the annotations of the only text block."""
    (block,) = (b for b in message.content_blocks if b["type"] == "text")
    return list(block.get("annotations", []))


async def _invoke(model: Any) -> Any:
    return model.invoke("q")


async def _ainvoke(model: Any) -> Any:
    return await model.ainvoke("q")


async def _stream(model: Any) -> Any:
    return merged(model.stream("q"))


async def _astream(model: Any) -> Any:
    return merged([chunk async for chunk in model.astream("q")])


async def _events(model: Any) -> Any:
    stream = model.stream_events("q", version="v3")
    for _event in stream:
        pass
    return stream.output


async def _aevents(model: Any) -> Any:
    stream = await model.astream_events("q", version="v3")
    async for _event in stream:
        pass
    return await stream.output


async def _cached(model: Any) -> Any:
    set_llm_cache(InMemoryCache())
    first = model.invoke("q")
    second = model.invoke("q")
    assert second.usage_metadata is None or second.usage_metadata["total_cost"] == 0
    assert annotations_of(first) == annotations_of(second)
    return second


async def _loaded(model: Any) -> Any:
    return load(dumpd(model.invoke("q")), allowed_objects=[AIMessage])


async def _loaded_chunk(model: Any) -> Any:
    return load(dumpd(merged(model.stream("q"))), allowed_objects=[AIMessageChunk])


STREAMED = [_stream, _astream, _events, _aevents, _loaded_chunk]
WAYS = [_invoke, _ainvoke, *STREAMED, _cached, _loaded]


@beta
@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
async def test_annotations_with_offsets_survive(
    way: Any, version: str, server: FaultServer
) -> None:
    server.replies(PERPLEXITY.reply(stream=way in STREAMED))
    async with PERPLEXITY.at(server.url, output_version=version) as model:
        message = await way(model)
    assert str(message.text) == MARKED
    found = annotations_of(message)
    places = [(a["start_index"], a["end_index"], a["url"]) for a in found]
    sun, dance = "https://bees.example/sun", "https://bees.example/dance"
    assert places == [(20, 23, sun), (40, 43, sun), (43, 46, dance)]
    assert [a["id"] for a in found if a["url"] == dance] == [documents(message)[1].id]
    assert len(server.requests) == 1


@beta
@every(CITING)
async def test_v3_events_carry_the_annotations_once(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        events: list[Any] = list(model.stream_events("q", version="v3"))
    names = [event["event"] for event in events]
    assert (names[0], names[1], names[-1]) == (
        "message-start",
        "content-block-start",
        "message-finish",
    )
    assert names.count("content-block-start") == names.count("content-block-finish") == 1
    assert events[0]["metadata"] == {"provider": model.provider, "model": model.model_label}
    block = events[-2]["content"]
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        assert block["annotations"] == annotations_of(merged(model.stream("q")))


WITH_MARKERS = [kind for kind in CITING if kind.service != "dify"]


async def test_a_number_in_the_text_of_an_app_is_no_marker(sandbox: Sandbox) -> None:
    (dify,) = [kind for kind in CITING if kind.service == "dify"]
    async with dify.over(sandbox) as model:
        message = await model.ainvoke(QUESTION)
    assert "[1]" in message.text
    assert all("start_index" not in annotation for annotation in annotations_of(message))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@every(WITH_MARKERS)
async def test_the_offsets_are_those_of_the_marker(
    kind: Kind, streamed: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        message = merged(model.stream(QUESTION)) if streamed else model.invoke(QUESTION)
    found = annotations_of(message)
    assert found
    for annotation in found:
        rank = annotation["extras"]["rank"]
        marker = message.text[annotation["start_index"] : annotation["end_index"]]
        assert marker == f"[{rank}]"


@every(CITING)
async def test_annotations_documents_and_retriever_share_ids(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(QUESTION)
        retrieved = await model.as_retriever().ainvoke(QUESTION)
    ids = [document.id for document in documents(message)]
    assert [a["id"] for a in annotations_of(message)] == ids
    assert [document.id for document in retrieved] == ids
    assert all(ids)


@every(CITING)
async def test_a_citation_quotes_its_source(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(QUESTION)
    (annotation,) = annotations_of(message)
    (document,) = documents(message)
    assert annotation["cited_text"].startswith("Lanternworks accepts returns within 45 days")
    assert document.page_content == annotation["cited_text"]
    assert annotation["url"].endswith("/handbook/returns.md#returns")
    assert annotation["title"] in ("Returns", "returns.md")
    for fact in ("url", "title"):
        assert document.metadata[fact] == annotation[fact]
    assert document.metadata["source"] == annotation["url"]


def test_no_offset_is_invented_where_there_is_no_marker(server: FaultServer) -> None:
    server.replies(QAIP.reply(stream=False))
    with QAIP.at(server.url) as model:
        message = model.invoke("q")
    assert len(annotations_of(message)) == 2
    assert not any({"start_index", "end_index"} & a.keys() for a in annotations_of(message))


@pytest.mark.parametrize("name", ["qaip/whole_later", "perplexity/whole_2026_06"])
def test_no_score_is_invented_where_the_wire_has_none(name: str, server: FaultServer) -> None:
    kind = next(kind for kind in CITING if name.startswith(kind.service))
    server.replies(BY_ID[name].reply())
    with kind.at(server.url) as model:
        message = model.invoke("q")
    assert "score" not in {k for d in documents(message) for k in d.metadata}
    assert "score" not in {k for a in annotations_of(message) for k in a["extras"]}


def test_the_score_of_the_wire_is_kept(server: FaultServer) -> None:
    server.replies(BY_ID["dify/stream_1_16"].reply())
    kind = next(kind for kind in CITING if kind.service == "dify")
    with kind.at(server.url) as model:
        (document,) = documents(model.invoke("q"))
    assert document.metadata["score"] == 0.4088135786557064


def test_the_id_of_the_wire_is_the_id_of_the_document(server: FaultServer) -> None:
    server.replies(QAIP.reply(stream=False))
    with QAIP.at(server.url) as model:
        found = documents(model.invoke("q"))
    stem = "1f6b2c8e-0d47-4c1a-9b35-6a7e8f9012"
    assert [document.id for document in found] == [stem + "01", stem + "02"]


def test_a_source_without_an_id_has_the_same_id_in_every_answer(server: FaultServer) -> None:
    server.replies(PERPLEXITY.reply(stream=False), PERPLEXITY.reply(stream=True))
    with PERPLEXITY.at(server.url) as model:
        whole, streamed = model.invoke("q"), merged(model.stream("q"))
    assert [d.id for d in documents(whole)] == [d.id for d in documents(streamed)]


def test_a_source_that_is_named_twice_is_one_document(server: FaultServer) -> None:
    source = {"url": "https://a.example", "text": "A.", "file_type": "html"}
    choice = {"message": {"role": "assistant", "content": "A.[1][2]"}, "finish_reason": "stop"}
    server.replies(json_reply({"choices": [{**choice, "citations": [source, source]}]}))
    with QAIP.at(server.url) as model:
        assert len(documents(model.invoke("q"))) == 1


@every([kind for kind in TEXTS if kind.service in ("qaip", "perplexity", "dify")])
async def test_a_text_llm_gives_its_citations_in_generation_info(
    kind: Kind, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        (generation,) = (await model.agenerate([QUESTION])).generations[0]
        total = merged(model._stream(QUESTION))
    for answer in (generation, total):
        (annotation,) = answer.generation_info["annotations"]
        if kind.service != "dify":
            assert answer.text[annotation["start_index"] : annotation["end_index"]] == "[1]"
        (citation,) = answer.generation_info["citations"]
        assert citation["id"] == annotation["id"]


@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("own", "call", "count"),
    [(None, None, 2), (1, None, 1), (None, 1, 1), (1, 2, 2), (9, None, 2)],
)
async def test_k_cuts_the_sources(
    own: int | None, call: int | None, count: int, sync: bool, server: FaultServer
) -> None:
    server.replies(QAIP.reply(stream=False))
    async with QAIP.at(server.url) as model:
        retriever = model.as_retriever(k=own)
        given = {} if call is None else {"k": call}
        found = retriever.invoke("q", **given) if sync else await retriever.ainvoke("q", **given)
    assert len(found) == count
    assert [d.metadata["rank"] for d in found] == list(range(1, count + 1))


@pytest.mark.parametrize("k", [0, -1])
async def test_a_k_below_one_is_refused(k: int, server: FaultServer) -> None:
    async with QAIP.at(server.url) as model:
        retriever = model.as_retriever()
        with pytest.raises(InvalidParameterError, match="k must be a whole number from 1"):
            retriever.invoke("q", k=k)
        with pytest.raises(InvalidParameterError, match="k must be a whole number from 1"):
            await retriever.ainvoke("q", k=k)
    assert not server.requests


def test_a_call_of_a_retriever_takes_the_parameters_of_its_model(server: FaultServer) -> None:
    server.replies(QAIP.reply(stream=False))
    with QAIP.at(server.url) as model:
        model.as_retriever().invoke("q", tag_names=["tea"])
    assert server.requests[0].json()["tags"] == ["tea"]


def test_a_retriever_over_an_answer_without_sources_finds_nothing(server: FaultServer) -> None:
    server.replies(BY_ID["qaip/whole_citations_null"].reply())
    with QAIP.at(server.url) as model:
        assert model.as_retriever().invoke("q") == []


@every(SILENT)
def test_a_service_that_does_not_cite_has_no_retriever(kind: Kind) -> None:
    assert not hasattr(kind.cls, "as_retriever")


def test_a_retriever_is_a_citation_retriever() -> None:
    with ChatQaip(api_key="k") as model:
        retriever = model.as_retriever(k=3)
    assert isinstance(retriever, CitationRetriever)
    assert retriever.k == 3


def test_attachments_have_no_url_and_are_kept(server: FaultServer) -> None:
    server.replies(BY_ID["perplexity/whole_attachment"].reply())
    with ChatPerplexity(api_key="k", model="sonar", base_url=server.url) as model:
        found = documents(model.invoke("q"))
    assert any("url" not in document.metadata for document in found)
    assert all(document.id for document in found)
