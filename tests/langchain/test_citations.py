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

from .models import BY_ID, CITING, QUESTION, SILENT, TEXTS, Kind, every, merged, named

PERPLEXITY, QAIP, AGENT = map(named, ("perplexity", "qaip", "perplexity-agent"))
SUN, DANCE = "https://bees.example/sun", "https://bees.example/dance"
MARKED: list[tuple[Kind, str, list[tuple[int, int, str]]]] = [
    (
        PERPLEXITY,
        "Bees follow the sun.[1] They also dance.[1][2]",
        [(20, 23, SUN), (40, 43, SUN), (43, 46, DANCE)],
    ),
    (
        AGENT,
        "Bees follow the sun.[11] They also dance.[web:3]",
        [(20, 24, SUN), (41, 48, DANCE)],
    ),
]
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
@pytest.mark.parametrize("marked", MARKED, ids=lambda marked: marked[0].id)
async def test_annotations_with_offsets_survive(
    marked: Any, way: Any, version: str, server: FaultServer
) -> None:
    kind, text, places = marked
    server.replies(kind.reply(stream=way in STREAMED))
    async with kind.at(server.url, output_version=version) as model:
        message = await way(model)
    assert str(message.text) == text
    found = annotations_of(message)
    assert [(a["start_index"], a["end_index"], a["url"]) for a in found] == places
    assert [a["id"] for a in found if a["url"] == DANCE] == [documents(message)[1].id]
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
    assert names.count("content-block-start") == names.count("content-block-finish")
    ended = [e["content"]["type"] for e in events if e["event"] == "content-block-finish"]
    assert ended.count("text") == 1
    said = BY_ID[f"{kind.service}/{kind.stream}"].expected["model"]
    assert events[0]["metadata"] == {"provider": model.provider, "model": said or kind.model}
    block = events[-2]["content"]
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        assert block["annotations"] == annotations_of(merged(model.stream("q")))


@every([kind for kind in CITING if kind.service == "dify"])
async def test_a_number_in_the_text_of_an_app_is_no_marker(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(QUESTION)
    assert "[1]" in message.text
    assert all("start_index" not in annotation for annotation in annotations_of(message))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@every([kind for kind in CITING if kind.marks])
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
    assert annotation["url"].removesuffix("#returns").endswith("/handbook/returns.md")
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


@every([QAIP, PERPLEXITY, AGENT])
def test_no_score_is_invented_where_the_wire_has_none(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=False))
    with kind.at(server.url) as model:
        message = model.invoke("q")
    assert "score" not in {k for d in documents(message) for k in d.metadata}
    assert "score" not in {k for a in annotations_of(message) for k in a["extras"]}


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("dify", [0.4088135786557064]),
        ("dify-conversation", [0.5]),
        ("pais-agent", [0.83, 0.41]),
    ],
)
def test_the_score_of_the_wire_is_kept(name: str, scores: list[float], server: FaultServer) -> None:
    kind = named(name)
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        found = documents(model.invoke("q"))
    assert [document.metadata["score"] for document in found] == scores


STEM = "1f6b2c8e-0d47-4c1a-9b35-6a7e8f9012"


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("qaip", [STEM + "01", STEM + "02"]),
        ("dify-conversation", ["b27e1d40-8c5f-4a19-9e36-7f0a2b4c6d81"]),
    ],
)
def test_the_id_of_the_wire_is_the_id_of_the_document(
    name: str, ids: list[str], server: FaultServer
) -> None:
    kind = named(name)
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        assert [document.id for document in documents(model.invoke("q"))] == ids


@every([kind for kind in CITING if kind.name in ("perplexity", "perplexity-agent", "pais-agent")])
def test_a_source_without_an_id_has_the_same_id_in_every_answer(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=False), kind.reply(stream=True))
    with kind.at(server.url) as model:
        whole, streamed = model.invoke("q"), merged(model.stream("q"))
    assert [d.id for d in documents(whole)] == [d.id for d in documents(streamed)]


def test_a_source_that_is_named_twice_is_one_document(server: FaultServer) -> None:
    source = {"url": "https://a.example", "text": "A.", "file_type": "html"}
    choice = {"message": {"role": "assistant", "content": "A.[1][2]"}, "finish_reason": "stop"}
    server.replies(json_reply({"choices": [{**choice, "citations": [source, source]}]}))
    with QAIP.at(server.url) as model:
        assert len(documents(model.invoke("q"))) == 1


@every([kind for kind in TEXTS if kind.cls.endpoint.cites])
async def test_a_text_llm_gives_its_citations_in_generation_info(
    kind: Kind, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        (generation,) = (await model.agenerate([QUESTION])).generations[0]
        total = merged(model._stream(QUESTION))
    for answer in (generation, total):
        (annotation,) = answer.generation_info["annotations"]
        if kind.marks:
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
