"""One answer has one list of sources, in every form that LangChain gives an answer."""

import asyncio
import copy
import json
import pickle
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest
from langchain_core.caches import BaseCache, InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.chat_history import InMemoryChatMessageHistory
from langchain_core.documents import Document
from langchain_core.load import dumpd, dumps, load, loads
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    message_chunk_to_message,
    messages_from_dict,
    messages_to_dict,
    trim_messages,
)
from langchain_core.outputs import ChatGeneration, Generation, LLMResult
from langchain_core.runnables import RunnableLambda
from langchain_core.runnables.history import RunnableWithMessageHistory
from langchain_core.tracers import BaseTracer

from langchain_qaip import documents
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer
from support.wire import WireCase

from .models import CASES, CITING, QUESTION, TEXTS, Kind, every, merged, named

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
old = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainDeprecationWarning")

# One source; several, each marked twice; a source without a marker; not only ASCII; none at all.
QUESTIONS = [
    QUESTION,
    "How many hours does the battery of the Meridian lamp and the Solstice lamp last?",
    "How many days of leave, and within how many days are returns accepted?",
    "修理の送料は無料ですか",
    "zebra",
]
MANY, UNMARKED = QUESTIONS[1:3]
SOURCES = dict(zip(QUESTIONS, [1, 2, 2, 1, 0], strict=True))
CITING_TEXTS = [kind for kind in TEXTS if kind.cls.endpoint.cites]
MARKING = [kind for kind in CITING if kind.marks]
PLACED = {"agent_annotated"}  # by the wire itself, not by markers
TAKEN_BACK = {
    "stream_message_replace_early",
    "stream_message_replace_late",
    "agent_stream_other_text",
}
CITED = [c for c in CASES if c.expected["citations"] and not c.expected["error"]]
NOWHERE = (None, None)
FACTS = ("source", "page_number", "date", "score", "rank", "marker")
View = list[dict[str, Any]]
Forms = Sequence[Callable[[Any, Any], Awaitable[Any]]]


class TextCache(BaseCache):
    """A cache that keeps text, as those in databases do."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], list[str]] = {}

    def lookup(self, prompt: str, llm_string: str) -> Any:
        kept = self._kept.get((prompt, llm_string))
        known: Any = [Generation, ChatGeneration, AIMessage]
        return kept and [loads(text, allowed_objects=known) for text in kept]

    def update(self, prompt: str, llm_string: str, return_val: Any) -> None:
        self._kept[prompt, llm_string] = [dumps(generation) for generation in return_val]

    def clear(self, **_: Any) -> None:
        self._kept.clear()


class Ends(BaseCallbackHandler):
    """Keeps the result that a handler is given."""

    def on_llm_end(self, response: LLMResult, **_: Any) -> None:
        self.result: Any = response.generations[0][0]


class Outputs(BaseTracer):
    """Keeps what a tracer writes down."""

    def _persist_run(self, run: Any) -> None:
        self.outputs = run.outputs


# Forms of one answer


async def _invoke(model: Any, q: Any) -> Any:
    return model.invoke(q)


async def _ainvoke(model: Any, q: Any) -> Any:
    return await model.ainvoke(q)


async def _stream(model: Any, q: Any) -> Any:
    return merged(model.stream(q))


async def _astream(model: Any, q: Any) -> Any:
    return merged([chunk async for chunk in model.astream(q)])


async def _batch(model: Any, q: Any) -> Any:
    return model.batch([q, q])[1]


async def _abatch(model: Any, q: Any) -> Any:
    return (await model.abatch([q, q]))[1]


async def _generate(model: Any, q: Any) -> Any:
    return model.generate([[HumanMessage(q)]]).generations[0][0].message


async def _v3_events(model: Any, q: Any) -> Any:
    return model.stream_events(q, version="v3").output


async def _v3_async_events(model: Any, q: Any) -> Any:
    stream = await model.astream_events(q, version="v3")
    return await stream.output


async def _v2_events(model: Any, q: Any) -> Any:
    events = [event async for event in model.astream_events(q, version="v2")]
    return events[-1]["data"]["output"]


async def _chunks_of_v2_events(model: Any, q: Any) -> Any:
    events = [event async for event in model.astream_events(q, version="v2")]
    return merged(e["data"]["chunk"] for e in events if e["event"] == "on_chat_model_stream")


async def _handler(model: Any, q: Any) -> Any:
    ends = Ends()
    model.invoke(q, {"callbacks": [ends]})
    return ends.result.message


async def _handler_of_a_stream(model: Any, q: Any) -> Any:
    ends = Ends()
    list(model.stream(q, {"callbacks": [ends]}))
    return ends.result.message


async def _tracer(model: Any, q: Any) -> Any:
    tracer = Outputs()
    model.invoke(q, {"callbacks": [tracer]})
    message = tracer.outputs["generations"][0][0]["message"]
    return load(message, allowed_objects=[AIMessage])


async def _function(model: Any, q: Any) -> Any:
    return await RunnableLambda(model.invoke, model.ainvoke).ainvoke(q)


ASKED = [
    _invoke, _ainvoke, _stream, _astream, _batch, _abatch, _generate, _v3_events,
    _v3_async_events, _v2_events, _chunks_of_v2_events, _handler, _handler_of_a_stream, _tracer,
    _function,
]  # fmt: skip


# Forms in which an answer is kept


def _load(message: Any) -> Any:
    return load(dumpd(message), allowed_objects=[AIMessage, AIMessageChunk])


def _loads(message: Any) -> Any:
    return loads(dumps(message), allowed_objects=[AIMessage, AIMessageChunk])


def _dicts(message: Any) -> Any:
    return messages_from_dict(messages_to_dict([message]))[0]


def _json_of_dicts(message: Any) -> Any:
    return messages_from_dict(json.loads(json.dumps(messages_to_dict([message]))))[0]


def _model_json(message: Any) -> Any:
    return type(message).model_validate_json(message.model_dump_json())


def _pickle(message: Any) -> Any:
    return pickle.loads(pickle.dumps(message))


def _deepcopy(message: Any) -> Any:
    return copy.deepcopy(message)


def _of_the_chunk(message: Any) -> Any:
    return message_chunk_to_message(message)


def _trimmed(message: Any) -> Any:
    talk = [HumanMessage("q"), message]
    return trim_messages(talk, max_tokens=99999, token_counter="approximate")[-1]


KEPT = [
    _load, _loads, _dicts, _json_of_dicts, _model_json, _pickle, _deepcopy, _of_the_chunk, _trimmed,
]  # fmt: skip


# Views of a list of sources


def place(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    return entry.get("start_index"), entry.get("end_index")


def of_annotations(annotations: Iterable[Mapping[str, Any]]) -> View:
    """Return what annotations say of the sources, each with all its places."""
    found: dict[str, dict[str, Any]] = {}
    for a in annotations:
        known = {"id": a["id"], "url": a.get("url"), "title": a.get("title")}
        known |= {"text": a.get("cited_text", "")}
        known |= {name: a["extras"].get(name) for name in FACTS}
        seen = found.setdefault(a["id"], {**known, "places": []})
        assert {k: v for k, v in seen.items() if k != "places"} == known
        if "start_index" in a:
            seen["places"].append(place(a))
    return list(found.values())


def of_citations(citations: Iterable[Mapping[str, Any]]) -> View:
    return [
        {name: c.get(name) for name in ("id", "url", "title", "text", *FACTS)}
        | {"places": [tuple(span) for span in c["spans"]]}
        for c in citations
    ]


def of_documents(found: Iterable[Document]) -> View:
    return [
        {"id": d.id, "url": d.metadata.get("url"), "title": d.metadata.get("title")}
        | {"text": d.page_content, **{name: d.metadata.get(name) for name in FACTS}}
        for d in found
    ]


def without_places(view: View) -> View:
    return [{k: v for k, v in source.items() if k != "places"} for source in view]


def block_of(message: Any) -> Mapping[str, Any]:
    """Return the only text block."""
    block: Mapping[str, Any]
    (block,) = (b for b in message.content_blocks if b["type"] == "text")
    return block


def views(message: Any) -> dict[str, View]:
    """Return the sources as every place of a message gives them, without the documents."""
    more = message.additional_kwargs
    return {
        "content_blocks": of_annotations(block_of(message).get("annotations", [])),
        "annotations": of_annotations(more.get("annotations", [])),
        "citations": of_citations(more.get("citations", [])),
    }


def agreed(message: Any) -> View:
    """Return the sources of a message, after a check that all its places agree."""
    seen = views(message)
    first = seen["citations"]
    assert seen == dict.fromkeys(seen, first)
    assert of_documents(documents(message)) == without_places(first)
    return first


def markers_of(source: Mapping[str, Any]) -> list[str]:
    """Return how a text may name a source: by its rank, or by the number that it has itself."""
    own = source["marker"]
    return [f"[{source['rank']}]"] if own is None else [f"[{own}]", f"[web:{own}]"]


def marked_places(message: Any) -> list[tuple[str, list[str]]]:
    """Return what stands where a source is placed, and what may stand there."""
    text = str(message.text)
    return [(text[slice(*p)], markers_of(s)) for s in agreed(message) for p in s["places"]]


def strays(message: Any) -> list[str]:
    """Return what stands where a source is placed, and is none of its markers."""
    return [said for said, markers in marked_places(message) if said not in markers]


def markers_in(message: Any) -> int:
    """Return how many markers of its sources a text has."""
    markers = (marker for source in agreed(message) for marker in markers_of(source))
    return sum(str(message.text).count(marker) for marker in markers)


async def views_by_form(forms: Forms, model: Any, question: str) -> dict[str, View]:
    return {form.__name__: agreed(await form(model, question)) for form in forms}


# Tests


@pytest.mark.parametrize(
    ("version", "question"), [*(("v0", q) for q in QUESTIONS), ("v1", MANY), ("v1", UNMARKED)]
)
@every(CITING)
async def test_every_way_to_ask_gives_the_same_sources(
    kind: Kind, question: str, version: str, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as plain:
        expected = agreed(await plain.ainvoke(question))
    assert len(expected) == SOURCES[question]
    async with kind.over(sandbox, output_version=version) as model:
        seen = await views_by_form(ASKED, model, question)
    assert seen == {form.__name__: expected for form in ASKED}


@pytest.mark.parametrize("version", ["v0", "v1"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@every(CITING)
async def test_every_way_to_keep_an_answer_keeps_its_sources(
    kind: Kind, streamed: bool, version: str, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, output_version=version) as model:
        message = await (_astream if streamed else _ainvoke)(model, MANY)
    expected = agreed(message)
    assert len(expected) == 2
    kept = {keep.__name__: agreed(keep(message)) for keep in KEPT}
    assert kept == {keep.__name__: expected for keep in KEPT}


@pytest.mark.parametrize("cache", [InMemoryCache, TextCache])
@pytest.mark.parametrize("version", ["v0", "v1"])
@every(CITING)
async def test_an_answer_of_the_cache_has_the_sources_of_the_first(
    kind: Kind, version: str, cache: Any, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, output_version=version, cache=cache()) as model:
        expected = agreed(await model.ainvoke(MANY))
        asked = len(sandbox.requests)
        hits = [model.invoke(MANY), await model.ainvoke(MANY)]
    assert [agreed(hit) for hit in hits] == [expected, expected]
    assert len(sandbox.requests) == asked


@every(CITING)
async def test_a_retriever_finds_the_sources_of_the_answer(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        expected = {q: without_places(agreed(model.invoke(q))) for q in QUESTIONS}
        retriever = model.as_retriever()
        found = dict(zip(QUESTIONS, await retriever.abatch(QUESTIONS), strict=True))
        found_sync = dict(zip(QUESTIONS, retriever.batch(QUESTIONS), strict=True))
    assert {q: of_documents(documents_) for q, documents_ in found.items()} == expected
    assert found_sync == found


@every(CITING_TEXTS)
async def test_a_text_llm_gives_the_sources_that_the_chat_model_gives(
    kind: Kind, sandbox: Sandbox
) -> None:
    chat = named(kind.name)
    async with chat.over(sandbox) as model:
        expected = [agreed(model.invoke(q)) for q in QUESTIONS]
    ends = Ends()
    async with kind.over(sandbox) as llm:
        result = await llm.agenerate(QUESTIONS)
        answers = {"agenerate": [row[0] for row in result.generations], "stream": []}
        for question in QUESTIONS:
            list(llm.stream(question, {"callbacks": [ends]}))
            answers["stream"].append(ends.result)
    for rows in answers.values():
        infos = [generation.generation_info for generation in rows]
        assert [of_citations(info.get("citations", [])) for info in infos] == expected
        assert [of_annotations(info.get("annotations", [])) for info in infos] == expected


@pytest.mark.parametrize("question", [q for q in QUESTIONS if SOURCES[q]])
@every(MARKING)
async def test_every_place_is_a_marker_that_names_its_source(
    kind: Kind, question: str, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(question)
    assert not strays(message)
    assert len(marked_places(message)) == markers_in(message) > 0


@pytest.mark.parametrize("question", [q for q in QUESTIONS if SOURCES[q]])
async def test_a_service_that_numbers_its_sources_itself_is_followed(
    question: str, sandbox: Sandbox
) -> None:
    """Of several searches at once, the numbers are in no order, and markers are `[web:n]`."""
    switches = {"x-sandbox-switches": json.dumps({"agent": "multi"})}
    async with named("perplexity-agent").over(sandbox, default_headers=switches) as model:
        answers = {form.__name__: await form(model, question) for form in ASKED}
    seen = {name: of_citations(a.additional_kwargs["citations"]) for name, a in answers.items()}
    expected = seen["_invoke"]
    assert seen == dict.fromkeys(seen, expected)
    for answer in answers.values():
        text = str(answer.text)
        placed = [(source, text[slice(*p)]) for source in expected for p in source["places"]]
        assert all(said in markers_of(source) for source, said in placed)
        assert len(placed) == text.count("[web:") > 0
        assert [(place(a), a["id"]) for a in block_of(answer)["annotations"]] == [
            (p, source["id"]) for source in expected for p in source["places"] or [NOWHERE]
        ]
        # What two of the searches found is one Document, with both numbers in the text.
        assert [d.id for d in documents(answer)] == list(dict.fromkeys(s["id"] for s in expected))


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@every(MARKING)
async def test_no_place_lies_beyond_the_end_of_an_answer_that_a_stop_sequence_cut(
    kind: Kind, streamed: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        for stop in (" The Solstice", "[2] The", "2]", "Its", "]"):
            asking = model.bind(stop=[stop])
            message = await (_astream if streamed else _ainvoke)(asking, MANY)
            assert stop not in message.text
            assert not strays(message)


@every(MARKING)
async def test_annotations_stand_in_the_order_of_sources_and_places(
    kind: Kind, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        message = await model.ainvoke(MANY)
    order = [(a["extras"]["rank"], a["start_index"]) for a in block_of(message)["annotations"]]
    assert order == sorted(order)
    assert len(order) == 4


@every(CITING)
async def test_sources_have_ids_of_their_own_that_stay(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        answers = await asyncio.gather(*(model.ainvoke(question) for question in QUESTIONS))
    ids: dict[str, set[str]] = {}
    for source in (source for answer in answers for source in agreed(answer)):
        ids.setdefault(source["id"], set()).add(source["text"])
    assert all(len(texts) == 1 for texts in ids.values())
    assert len({text for texts in ids.values() for text in texts}) == len(ids)


@old
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
@every(CITING)
async def test_a_history_keeps_the_sources_and_can_be_sent_on(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    history = InMemoryChatMessageHistory()
    config: Any = {"configurable": {"session_id": "s"}}
    async with kind.over(sandbox) as model:
        talk = RunnableWithMessageHistory(model, lambda session_id: history)
        for question in (MANY, QUESTION):
            asked = [HumanMessage(question)]
            answer = talk.invoke(asked, config) if sync else await talk.ainvoke(asked, config)
    said = history.messages
    assert [message.type for message in said] == ["human", "ai", "human", "ai"]
    assert agreed(said[3]) == agreed(answer)
    assert len(agreed(said[1])) == 2
    sent = json.dumps(sandbox.requests[-1].body, ensure_ascii=False)
    assert json.dumps(said[1].text)[1:-1] in sent
    assert "annotations" not in sent
    assert "citations" not in sent


@old
@every(CITING)
async def test_a_history_keeps_the_sources_of_a_stream(kind: Kind, sandbox: Sandbox) -> None:
    history = InMemoryChatMessageHistory()
    config: Any = {"configurable": {"session_id": "s"}}
    async with kind.over(sandbox) as model:
        talk = RunnableWithMessageHistory(model, lambda session_id: history)
        total = merged([chunk async for chunk in talk.astream([HumanMessage(MANY)], config)])
        following = await talk.ainvoke([HumanMessage(QUESTION)], config)
    assert agreed(history.messages[1]) == agreed(total)
    assert following.text


def cited_by(kind: Kind) -> list[WireCase]:
    """Return the recorded answers of a class that cite."""
    return [c for c in CITED if (c.service, c.operation) == (kind.service, kind.operation)]


CITED_BY_CHATS = [pytest.param(k, c, id=c.id) for k in CITING for c in cited_by(k)]


def case_model(kind: Kind, case: WireCase, server: FaultServer, **given: Any) -> Any:
    server.replies(case.reply(sizes=97))
    mode = {"response_mode": "blocking"} if kind.service == "dify" and not case.stream else {}
    return kind.at(server.url, **mode, **given)


@pytest.mark.parametrize(("kind", "case"), CITED_BY_CHATS)
async def test_all_forms_of_a_recorded_answer_have_the_same_sources(
    kind: Kind, case: WireCase, server: FaultServer
) -> None:
    streamed: Forms = [_stream, _astream, _v3_events, _handler_of_a_stream]
    forms = streamed if case.stream else [_invoke, _ainvoke, _v2_events]
    async with case_model(kind, case, server) as model:
        seen = await views_by_form(forms, model, "q")
        expected = seen[forms[0].__name__]
    async with case_model(kind, case, server, output_version="v1") as model:
        message = await forms[1](model, "q")
        seen["v1"] = agreed(message)
    seen |= {keep.__name__: agreed(keep(message)) for keep in (_loads, _json_of_dicts)}
    assert seen == dict.fromkeys(seen, expected)
    wanted = {(c.get("url"), c.get("title"), c.get("text", "")) for c in case.expected["citations"]}
    assert {(s["url"], s["title"], s["text"]) for s in expected} == wanted
    assert case.name in PLACED or not strays(message)
    if kind in MARKING and case.name not in {*TAKEN_BACK, *PLACED}:
        assert len(marked_places(message)) == markers_in(message)


@every(CITING_TEXTS)
async def test_a_text_llm_gives_the_sources_of_recorded_answers_as_a_chat_model_does(
    kind: Kind, server: FaultServer
) -> None:
    chat = named(kind.name)
    ends = Ends()
    for case in cited_by(kind):
        async with case_model(chat, case, server) as model:
            expected = agreed(await (_astream if case.stream else _ainvoke)(model, "q"))
        async with case_model(kind, case, server, callbacks=[ends]) as llm:
            assert list(llm.stream("q")) if case.stream else llm.invoke("q")
        info = ends.result.generation_info
        assert of_citations(info["citations"]) == expected, case.name
        assert of_annotations(info["annotations"]) == expected, case.name
