"""Six ways to ask give one answer, and a stream adds up to what a whole answer says."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate

from qaip_sandbox import Sandbox
from support.fault_server import FaultServer

from .models import BY_ID, CHATS, MODELS, QUESTION, TEXTS, Kind, every, merged, text_of

ANSWER = "Lanternworks accepts returns within 45 days of delivery."
# They differ from request to request, or between a whole answer and a stream.
OF_THE_REQUEST = {
    "request_id", "headers", "conversation_id", "user_message_id", "assistant_message_id",
    "message_id", "task_id", "created", "price",
}  # fmt: skip


async def _invoke(model: Any) -> Any:
    return model.invoke(QUESTION)


async def _ainvoke(model: Any) -> Any:
    return await model.ainvoke(QUESTION)


async def _stream(model: Any) -> Any:
    return merged(model.stream(QUESTION))


async def _astream(model: Any) -> Any:
    return merged([chunk async for chunk in model.astream(QUESTION)])


async def _batch(model: Any) -> Any:
    first, second = model.batch([QUESTION, QUESTION])
    assert text_of(first) == text_of(second)
    return first


async def _abatch(model: Any) -> Any:
    first, second = await model.abatch([QUESTION, QUESTION])
    assert text_of(first) == text_of(second)
    return first


WAYS = [_invoke, _ainvoke, _stream, _astream, _batch, _abatch]
every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.strip("_"))
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])


async def chunks_of(model: Any, prompt: Any = QUESTION, *, sync: bool = True) -> list[Any]:
    return list(model.stream(prompt)) if sync else [c async for c in model.astream(prompt)]


def facts(message: AIMessage) -> dict[str, Any]:
    known = message.response_metadata
    return {k: v for k, v in known.items() if k not in OF_THE_REQUEST}


@every_way
@every(MODELS)
async def test_every_way_to_ask_gives_the_answer(
    kind: Kind, way: Callable[[Any], Awaitable[Any]], sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        answer = await way(model)
    markers = "[1]" if kind.marks or kind.service == "dify" else ""
    assert text_of(answer) == ANSWER + markers


@both_lanes
@every(CHATS)
async def test_a_stream_adds_up_to_the_whole_message(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        whole = model.invoke(QUESTION) if sync else await model.ainvoke(QUESTION)
        total = merged(await chunks_of(model, sync=sync))
    assert total.content == whole.content
    volatile = {"timestamp", "last_updated", "date"}
    assert _more(total, volatile) == _more(whole, volatile)
    assert facts(total) == facts(whole)
    assert total.response_metadata["created"] > 0
    assert _counts(total) == _counts(whole)


def _more(message: AIMessage, volatile: set[str]) -> Any:
    """Return what stands beside the text; the calls of served tools are named by the answer's."""
    more = _still(message.additional_kwargs, volatile)
    for tool in more.get("server_tools", ()):
        tool["id"] = tool["id"].removeprefix(message.id)
    return more


def _still(value: Any, volatile: set[str]) -> Any:
    if isinstance(value, dict):
        return {k: _still(v, volatile) for k, v in value.items() if k not in volatile}
    return [_still(v, volatile) for v in value] if isinstance(value, list) else value


def _counts(message: AIMessage) -> tuple[int, int, int] | None:
    usage = message.usage_metadata
    return usage and (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])


@every(TEXTS)
async def test_the_chunks_of_a_text_llm_add_up_to_its_whole_answer(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    with kind.at(server.url) as model:
        total = merged(model._stream("q"))
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        (generation,) = model.generate(["q"]).generations[0]
    seen, wanted = total.generation_info, generation.generation_info
    assert wanted["model_name"] == seen["model_name"]
    for name in ("annotations", "citations", "created"):
        assert seen.get(name) == wanted.get(name)


@both_lanes
@every(CHATS)
async def test_exactly_one_chunk_is_the_last_and_it_has_no_text(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        chunks = await chunks_of(model, sync=sync)
    assert [c.chunk_position for c in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert chunks[-1].content == ""


@every(CHATS)
async def test_every_chunk_names_the_provider_and_every_other_fact_stands_once(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        chunks = await chunks_of(model)
    assert {c.response_metadata["model_provider"] for c in chunks} == {model.provider}
    keys = [k for c in chunks for k in (*c.response_metadata, *c.additional_kwargs)]
    again = {key for key in keys if keys.count(key) > 1}
    assert again == {"model_provider"}
    assert "model_name" in chunks[0].response_metadata
    assert sum(c.usage_metadata is not None for c in chunks) <= 1


@every(CHATS)
async def test_a_stream_comes_piece_by_piece(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        pieces = [c.text for c in await chunks_of(model) if c.text]
    assert len(pieces) > 1


@both_versions
@every(CHATS)
async def test_there_is_exactly_one_text_block(
    kind: Kind, version: str, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole), kind.reply(stream=True))
    async with kind.at(server.url, output_version=version) as model:
        whole = await model.ainvoke("q")
        total = merged(await chunks_of(model))
    for message in (whole, total):
        assert [b["type"] for b in message.content_blocks].count("text") == 1
        assert isinstance(message.content, list if version == "v1" else str)
    assert whole.text == total.text


@every(CHATS)
async def test_the_field_streaming_makes_invoke_stream(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url, streaming=True) as model:
        answer = await model.ainvoke("q")
    sent = server.requests[0].json()
    assert sent.get("stream") or sent.get("response_mode") == "streaming"
    assert type(answer) is AIMessage
    assert answer.text


@every(CHATS)
async def test_created_is_that_of_the_wire_whole_and_streamed(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole), kind.reply(stream=True))
    async with kind.at(server.url) as model:
        whole, total = await model.ainvoke("q"), merged(await chunks_of(model))
    assert whole.response_metadata["created"] == total.response_metadata["created"] > 10**9


@both_lanes
@every(CHATS)
async def test_a_chain_streams_piece_by_piece(kind: Kind, sync: bool, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    prompt = ChatPromptTemplate.from_messages([("human", "{question}")])
    async with kind.at(server.url) as model:
        chain = prompt | model | StrOutputParser()
        asked = {"question": "q"}
        pieces = list(chain.stream(asked)) if sync else [p async for p in chain.astream(asked)]
        server.replies(kind.reply(stream=kind.streams_whole))
        whole = await chain.ainvoke(asked)
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces) == whole


@every(CHATS)
async def test_all_answers_of_a_batch_arrive_in_its_order(kind: Kind, sandbox: Sandbox) -> None:
    questions = [QUESTION, "Are return costs free in the European Union?"]
    async with kind.over(sandbox) as model:
        together: list[BaseMessage] = await model.abatch(questions)
        alone = [await model.ainvoke(question) for question in questions]
    assert [m.text for m in together] == [m.text for m in alone]
    assert together[0].text != together[1].text


@every(CHATS)
async def test_all_chunks_of_a_stream_have_one_id(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=True))
    async with kind.at(server.url) as model:
        chunks = await chunks_of(model)
    assert all(isinstance(chunk, AIMessageChunk) for chunk in chunks)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_text_that_the_service_repeats_to_confirm_it_is_shown_once(
    server: FaultServer,
) -> None:
    server.replies(BY_ID["dify/stream_message_replace_identical"].reply())
    kind = next(kind for kind in CHATS if kind.service == "dify")
    async with kind.at(server.url) as model:
        total = merged(await chunks_of(model))
    assert total.text == "Water runs off the deck."
