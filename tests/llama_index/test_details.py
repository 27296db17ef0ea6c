"""Small promises of the LlamaIndex classes, one test each."""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from llama_index.core.base.llms.types import DocumentBlock, VideoBlock
from llama_index.core.base.response.schema import AsyncStreamingResponse
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.llms import ChatMessage

from llama_index_qaip import CitationRetriever
from llama_index_qaip.errors import InvalidParameterError
from support.fault_server import FaultServer, Reply, json_reply, sse_reply
from support.wire import WireCase

from .speech import sent_turns, spoken

Make = Callable[..., Any]
Serve = Callable[..., WireCase]
PDF = b"%PDF-1.7 \xff"
both = pytest.mark.parametrize("a", ["", "a"], ids=["sync", "async"])
either = pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])


async def called(target: Any, name: str, *args: Any) -> Any:
    result = getattr(target, name)(*args)
    return await result if name.startswith("a") else result


async def read_to_its_end(response: Any) -> None:
    read = response.get_response()
    if isinstance(response, AsyncStreamingResponse):
        await read


def chunk(text: str, finish: str | None = None, **more: Any) -> str:
    """Return an event of either OpenAI protocol."""
    choice = {"index": 0, "text": text, "delta": {"content": text}, "finish_reason": finish}
    return json.dumps({"choices": [{**choice, **more}]})


def answered(**more: Any) -> Reply:
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    return json_reply({"choices": [choice], **more})


@both
@pytest.mark.parametrize("name", ["stream_chat", "stream_complete"])
async def test_increments_carry_their_own_log_probabilities(
    name: str, a: str, make: Make, server: FaultServer
) -> None:
    chosen = [{"content": [{"token": token, "logprob": -0.5}]} for token in ("x", "y")]
    pieces = (chunk("x", logprobs=chosen[0]), chunk("-"), chunk("y", logprobs=chosen[1]))
    server.replies(sse_reply(*pieces, chunk("", "stop"), "[DONE]"))
    async with make("fireworks") as llm:
        stream = await called(llm, a + name, [ChatMessage("q")] if "chat" in name else "q")
        seen = [response async for response in stream] if a else [*stream]
    tokens = [[top[0].token for top in response.logprobs or ()] for response in seen]
    assert tokens[:3] == [["x"], [], ["y"]]
    assert tokens[-1] == ["x", "y"]
    assert seen[1].logprobs is None


@pytest.mark.parametrize(
    "service", ["fireworks", "pais", "perplexity", "pais-agent", "perplexity-agent"]
)
def test_messages_to_prompt_is_not_for_services_that_chat(
    service: str, make: Make, server: FaultServer
) -> None:
    server.replies(spoken(service, "whole", "a"))
    turns = [ChatMessage("s", role="system"), ChatMessage("q")]
    make(service, messages_to_prompt=lambda _: "flattened").chat(turns)
    assert sent_turns(server.requests[0].json()) == [("system", "s"), ("user", "q")]


@pytest.mark.parametrize(
    ("service", "name"), [("qaip", "qaip/whole_seed"), ("dify-conversation", "dify/chat_stream")]
)
def test_a_service_that_chats_gets_turns_whatever_messages_to_prompt_says(
    service: str, name: str, make: Make, server: FaultServer, serve: Serve
) -> None:
    serve(name)
    for fields in ({}, {"messages_to_prompt": lambda _: "flattened"}):
        make(service, **fields).chat([ChatMessage("s", role="system"), ChatMessage("q")])
    plain, custom = (request.json() for request in server.requests)
    assert custom == plain


FILE = {"file_url": {"url": base64.b64encode(PDF).decode()}, "file_name": "t", "type": "file_url"}


@pytest.mark.parametrize(
    ("data", "mime", "content"),
    [(b"held here", "text/plain", "held here"), (PDF, "application/pdf", [FILE])],
    ids=["text", "pdf"],
)
def test_a_document_with_data_and_an_address_is_sent_by_its_data(
    data: bytes, mime: str, content: Any, make: Make, server: FaultServer
) -> None:
    server.replies(answered())
    address = "https://files.example/a"
    block = DocumentBlock(data=data, url=address, document_mimetype=mime, title="t")
    make("perplexity").chat([ChatMessage([block])])
    assert server.requests[0].json()["messages"][0]["content"] == content


def test_a_video_is_sent_as_what_its_mimetype_says(make: Make, server: FaultServer) -> None:
    server.replies(answered())
    held = base64.b64encode(b"a moving picture")
    make("fireworks").chat([ChatMessage([VideoBlock(video=held, video_mimetype="video/webm")])])
    (part,) = server.requests[0].json()["messages"][0]["content"]
    url = f"data:video/webm;base64,{held.decode()}"
    assert part == {"type": "video_url", "video_url": {"url": url}}


@both
@either
async def test_a_source_is_listed_with_its_page(
    streaming: bool, a: str, make: Make, serve: Serve
) -> None:
    serve("qaip/stream_citations_first" if streaming else "qaip/whole_seed")
    async with make("qaip") as llm:
        response = await called(llm.as_query_engine(streaming=streaming), f"{a}query", "q")
        if streaming:
            await read_to_its_end(response)
    first, second = response.get_formatted_sources().splitlines()
    assert ", p. " not in first
    assert ", p. 3" in second


def test_sources_are_listed_whole_where_they_are_not_trimmed(
    make: Make, server: FaultServer
) -> None:
    passage = "One line.\n\n  " + "Another, longer. " * 20 + "The end."
    server.replies(answered(search_results=[{"url": "https://a.example", "snippet": passage}]))
    response = make("perplexity").as_query_engine().query("q")
    whole = f"[1] https://a.example: {passage}"
    assert response.get_formatted_sources(trim_text=False) == whole
    assert response.get_formatted_sources(length=12) == "[1] https://a.example: One line...."


@both
async def test_a_streamed_answer_whose_reader_fails_lets_go_of_its_connection(
    a: str, make: Make, server: FaultServer
) -> None:
    server.replies(sse_reply(chunk("a"), end="hang"))
    async with make("perplexity") as llm:
        response = await called(llm.as_query_engine(streaming=True), f"{a}query", "q")
        tokens = response.response_gen
        assert (await anext(tokens) if a else next(tokens)) == "a"
        # Whoever keeps the error keeps its frames: nothing is closed for want of a reference.
        with pytest.raises(KeyError) as kept:
            await called(tokens, f"{a}throw", KeyError("reader"))
        assert await asyncio.to_thread(server.wait_closed)
    assert kept.value.__traceback__ is not None


async def test_a_streamed_answer_has_ended_when_its_aclose_returns(
    make: Make, server: FaultServer
) -> None:
    server.replies(sse_reply(chunk("a"), end="hang"))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make("perplexity", callback_manager=CallbackManager([debug])) as llm:
        response = await llm.as_query_engine(streaming=True).aquery("q")
        assert await anext(response.response_gen) == "a"
        await response.response_gen.aclose()
        assert [len(pair) for pair in debug.get_event_pairs(CBEventType.LLM)] == [2]
        assert await asyncio.to_thread(server.wait_closed)


@both
@either
async def test_a_handler_is_told_the_response_of_a_query(
    streaming: bool, a: str, make: Make, server: FaultServer
) -> None:
    server.replies(sse_reply(chunk("a", "stop"), "[DONE]") if streaming else answered())
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make("perplexity", callback_manager=CallbackManager([debug])) as llm:
        response = await called(llm.as_query_engine(streaming=streaming), f"{a}query", "what?")
        ((start, end),) = debug.get_event_pairs(CBEventType.QUERY)
        assert start.payload == {EventPayload.QUERY_STR: "what?"}
        assert end.payload is not None
        assert end.payload[EventPayload.RESPONSE] is response
        if streaming:
            await read_to_its_end(response)
    assert len(debug.get_event_pairs(CBEventType.QUERY)) == 1


@pytest.mark.parametrize("top_k", [0, -1, "3", 2.5], ids=repr)
def test_a_number_of_sources_that_is_none_is_refused(top_k: Any, make: Make) -> None:
    with pytest.raises(InvalidParameterError, match="similarity_top_k"):
        make("perplexity").as_retriever(similarity_top_k=top_k)
    with pytest.raises(InvalidParameterError, match="similarity_top_k"):
        CitationRetriever(make("perplexity"), similarity_top_k=top_k)


def models(**listed: Any) -> Reply:
    return json_reply({"data": [{"id": "other", "context_length": 1}, {"id": "m", **listed}]})


@both
@pytest.mark.parametrize("takes_tools", [False, True])
@pytest.mark.parametrize(
    "listed", [{}, {"context_length": None, "supports_tools": None}], ids=["absent", "null"]
)
async def test_load_metadata_keeps_what_the_service_does_not_list(
    listed: Mapping[str, Any], takes_tools: bool, a: str, make: Make, server: FaultServer
) -> None:
    server.replies(models(**listed))
    given = {"context_window": 5000, "is_function_calling_model": takes_tools}
    async with make("fireworks", **given) as llm:
        found = await called(llm, f"{a}load_metadata")
    assert (found.context_window, found.is_function_calling_model) == (5000, takes_tools)


@both
@pytest.mark.parametrize("takes_tools", [False, True])
async def test_load_metadata_takes_over_what_the_service_lists(
    takes_tools: bool, a: str, make: Make, server: FaultServer
) -> None:
    server.replies(models(context_length=9000, supports_tools=takes_tools))
    given = {"context_window": 5000, "is_function_calling_model": not takes_tools}
    async with make("fireworks", **given) as llm:
        found = await called(llm, f"{a}load_metadata")
        assert found == llm.metadata
    assert (found.context_window, found.is_function_calling_model) == (9000, takes_tools)
    assert (server.requests[0].method, server.requests[0].path) == ("GET", "/models")


async def test_aload_metadata_does_not_block_the_loop(make: Make, server: FaultServer) -> None:
    reply = models(context_length=9000)
    server.replies(Reply(body=reply.body, framing="length", delay=0.05))
    async with make("fireworks") as llm:
        loading = asyncio.create_task(llm.aload_metadata())
        beats = 0
        while not loading.done():
            await asyncio.sleep(0.005)
            beats += 1
        assert (await loading).context_window == 9000
    assert beats >= 3
