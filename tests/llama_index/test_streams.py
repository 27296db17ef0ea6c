"""Responses of a stream as objects, and what LlamaIndex's listeners are told of them."""

import asyncio
import copy
import gc
import inspect
import json
import pickle
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from llama_index.core.base.llms.types import TextBlock, ThinkingBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload, LlamaDebugHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, MessageRole
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.dispatcher import Dispatcher

from llama_index_qaip.errors import ServiceError
from support.fault_server import FaultServer, Reply, sse_reply

from .speech import spoken

Make = Callable[..., Any]
COUNT = 20
STREAMS = ("stream_chat", "stream_complete", "astream_chat", "astream_complete")
every_stream = pytest.mark.parametrize("way", STREAMS)
every_service = pytest.mark.parametrize(
    "service", ["perplexity", "perplexity-agent", "pais-agent", "dify-conversation"]
)


def event(finish: str | None = None, **delta: Any) -> str:
    return json.dumps(
        {"id": "1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    )


def text_of(count: int, service: str = "perplexity") -> Reply:
    """Return an answer of so many pieces: "00 ", "01 ", and so on."""
    return spoken(service, "streamed", "".join(map("{:02} ".format, range(count))), size=3)


def thinking_and_calls() -> Reply:
    """Return an answer that reasons, speaks and calls a function, with text after each."""
    call = {"index": 0, "id": "7", "function": {"name": "f", "arguments": '{"x": '}}
    rest = {"index": 0, "function": {"arguments": "1}"}}
    thoughts = [event(reasoning_content="let me "), event(reasoning_content="see")]
    said = [event(content="It "), event(content="is")]
    calls = [event(tool_calls=[call]), event(content=" so"), event(tool_calls=[rest])]
    late = [event(content=" far"), event(content=".")]
    return sse_reply(*thoughts, *said, *calls, *late, event("tool_calls"), "[DONE]")


def asked(way: str) -> Any:
    return [ChatMessage("q")] if "chat" in way else "q"


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def pieces(llm: Any, way: str) -> AsyncIterator[Any]:
    stream = await settled(getattr(llm, way)(asked(way)))
    if way.startswith("a"):
        async for response in stream:
            yield response
    else:
        for response in stream:
            yield response


async def read(llm: Any, way: str) -> list[Any]:
    return [response async for response in pieces(llm, way)]


def blocks_of(response: ChatResponse) -> list[Any]:
    """Return the blocks as LlamaIndex's own constructors make them."""
    return [type(block)(**block.model_dump()) for block in response.message.blocks]


def made_anew(response: Any) -> Any:
    """Return the response of LlamaIndex's own constructors, with what was set, and no more."""
    set_here = {name: getattr(response, name) for name in response.model_fields_set}
    if isinstance(response, CompletionResponse):
        return CompletionResponse(**set_here)
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks_of(response))
    return ChatResponse(**{**set_here, "message": message})


ANSWERS = {
    "text": ("perplexity", text_of(COUNT)),
    "all kinds": ("perplexity", thinking_and_calls()),
    **{
        each: (each, text_of(COUNT, each))
        for each in ("perplexity-agent", "pais-agent", "dify-conversation")
    },
}


@every_stream
@pytest.mark.parametrize(("service", "reply"), ANSWERS.values(), ids=ANSWERS)
async def test_a_response_is_what_the_constructors_make(
    way: str, service: str, reply: Reply, make: Make, server: FaultServer
) -> None:
    server.replies(reply)
    async with make(service) as llm:
        seen = await read(llm, way)
    assert len(seen) > 5
    for response in seen:
        wanted = made_anew(response)
        assert response == wanted
        assert repr(response) == repr(wanted)
        assert str(response) == str(wanted)
        if isinstance(response, ChatResponse):
            assert response.message.model_fields_set == wanted.message.model_fields_set
        assert response.model_dump() == wanted.model_dump()
        assert pickle.loads(pickle.dumps(response)) == wanted
        assert copy.copy(response) == copy.deepcopy(response) == wanted
        assert type(response).model_validate(response.model_dump()) == wanted


async def test_the_kinds_of_blocks_stand_in_the_same_order_while_an_answer_grows(
    make: Make, server: FaultServer
) -> None:
    server.replies(thinking_and_calls())
    async with make("perplexity") as llm:
        seen = await read(llm, "stream_chat")
    said = [[type(block) for block in response.message.blocks] for response in seen]
    assert said[2] == [ThinkingBlock, TextBlock]
    assert said[-3] == said[-1] == [ThinkingBlock, TextBlock, ToolCallBlock]
    (far,) = [response.message for response in seen if response.delta == " far"]
    assert far.content == "It is so far"
    assert far.blocks[0].content == "let me see"
    assert far.blocks[2].tool_kwargs == '{"x": 1}'


@every_stream
@every_service
async def test_what_a_reader_changes_in_one_response_is_in_no_other(
    way: str, service: str, make: Make, server: FaultServer
) -> None:
    server.replies(text_of(COUNT, service), text_of(COUNT, service))
    async with make(service) as llm:
        wanted = [response.model_dump() for response in await read(llm, way)]
        number, kept = 0, []
        async for response in pieces(llm, way):
            assert response.model_dump() == wanted[number]
            kept.append(response)
            number += 1
            if number % 2:
                spoil(response)
    untouched = [response.model_dump() for response in kept[1::2]]
    assert untouched == wanted[1::2]
    for part in parts(kept[1]):
        others = [each for response in kept if response is not kept[1] for each in parts(response)]
        assert all(part is not other for other in others)


def parts(response: Any) -> list[Any]:
    """Return the objects of a response that can be changed."""
    if isinstance(response, CompletionResponse):
        return [response, response.additional_kwargs, response.model_fields_set]
    message = response.message
    own = [response, message, message.blocks[0]]
    changeable = [response.additional_kwargs, message.additional_kwargs, message.blocks]
    return [*own, *changeable, *(each.model_fields_set for each in own)]


def spoil(response: Any) -> None:
    response.delta = response.raw = "changed"
    response.additional_kwargs["more"] = 1
    if isinstance(response, CompletionResponse):
        response.text = "changed"
        return
    response.message.additional_kwargs["more"] = 1
    response.message.blocks[0].text = "changed"
    response.message.blocks.append(TextBlock(text="more"))
    response.message.role = MessageRole.USER


class Listener(BaseEventHandler):
    """Keeps every event of LlamaIndex's instrumentation."""

    heard: list[Any] = []

    def handle(self, event: Any, **_: Any) -> None:
        self.heard.append(event)

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.heard if event.class_name().endswith(kind)]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener that is added by its user."""
    made = Listener(heard=[])
    yield made
    handlers = get_dispatcher("root").event_handlers
    if made in handlers:
        handlers.remove(made)


@pytest.fixture
def dispatched(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the events that LlamaIndex's decorators make, whether or not they are heard."""
    found: Counter[str] = Counter()
    send = Dispatcher.event

    def counting(self: Dispatcher, event: Any, **more: Any) -> None:
        found[event.class_name().removeprefix("LLMChat").removeprefix("LLMCompletion")] += 1
        send(self, event, **more)

    monkeypatch.setattr(Dispatcher, "event", counting)
    return found


@every_stream
@every_service
async def test_while_nobody_listens_no_events_are_made_of_a_stream_s_middle(
    way: str, service: str, make: Make, server: FaultServer, dispatched: Counter[str]
) -> None:
    server.replies(text_of(COUNT, service))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make(service, callback_manager=CallbackManager([debug])) as llm:
        seen = await read(llm, way)
    assert len(seen) > COUNT
    assert dispatched == {"StartEvent": 1, "InProgressEvent": 2, "EndEvent": 1}
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    told = EventPayload.RESPONSE if "chat" in way else EventPayload.COMPLETION
    assert end.payload[told] is seen[-1]


@every_stream
@pytest.mark.parametrize("first", [0, 1, 5, COUNT - 1, COUNT, COUNT + 1])
async def test_who_begins_to_listen_hears_of_all_responses_from_then_on(
    way: str, first: int, make: Make, server: FaultServer, listener: Listener
) -> None:
    server.replies(text_of(COUNT))
    seen: list[Any] = []
    async with make("perplexity") as llm:
        if not first:
            get_dispatcher("root").add_event_handler(listener)
        async for response in pieces(llm, way):
            seen.append(response)
            if len(seen) == first:
                get_dispatcher("root").add_event_handler(listener)
    assert len({id(response) for response in seen}) == len(seen) > COUNT
    assert [told.response for told in listener.of("InProgressEvent")] == seen[first:]
    (end,) = listener.of("EndEvent")
    assert end.response == seen[-1]


@every_stream
async def test_who_stops_listening_changes_nothing_for_the_reader(
    way: str, make: Make, server: FaultServer, listener: Listener
) -> None:
    server.replies(text_of(COUNT))
    seen: list[Any] = []
    dispatcher = get_dispatcher("root")
    dispatcher.add_event_handler(listener)
    async with make("perplexity") as llm:
        async for response in pieces(llm, way):
            seen.append(response)
            if len(seen) == 5:
                dispatcher.event_handlers.remove(listener)
            if len(seen) == 9:
                dispatcher.add_event_handler(listener)
    deltas = "".join(response.delta for response in seen)
    assert deltas == "".join(map("{:02} ".format, range(COUNT)))
    assert [told.response for told in listener.of("InProgressEvent")] == seen[:5] + seen[9:]
    assert len(listener.of("EndEvent")) == 1


@every_stream
@pytest.mark.parametrize("shown", [0, 1, 5])
async def test_a_handler_is_told_the_error_that_ends_a_stream_to_which_nobody_listens(
    way: str, shown: int, make: Make, server: FaultServer, dispatched: Counter[str]
) -> None:
    server.replies(sse_reply(*[event(content="a")] * shown, end="cut"))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make("perplexity", callback_manager=CallbackManager([debug])) as llm:
        with pytest.raises(ServiceError) as caught:
            await read(llm, way)
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert end.payload[EventPayload.EXCEPTION] is caught.value
    assert (dispatched["ExceptionEvent"], dispatched["EndEvent"]) == (1, 0)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "a" * shown


@every_stream
@pytest.mark.parametrize("shown", [1, 5])
async def test_an_error_of_the_reader_ends_the_stream_and_is_told(
    way: str, shown: int, make: Make, server: FaultServer
) -> None:
    server.replies(sse_reply(*[event(content="a")] * shown, end="hang"))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make("perplexity", callback_manager=CallbackManager([debug])) as llm:
        stream = await settled(getattr(llm, way)(asked(way)))
        name = "athrow" if way.startswith("a") else "throw"
        for _ in range(shown):
            await settled(anext(stream) if name == "athrow" else next(stream))
        with pytest.raises(KeyError, match="reader") as kept:
            await settled(getattr(stream, name)(KeyError("reader")))
        assert await asyncio.to_thread(server.wait_closed)
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert end.payload[EventPayload.EXCEPTION] is kept.value


@every_stream
async def test_a_handler_that_keeps_the_exception_of_a_reader_who_left_keeps_no_answer(
    way: str, make: Make, server: FaultServer
) -> None:
    server.replies(sse_reply(*[event(content="a")] * 5, end="hang"))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    async with make("perplexity", callback_manager=CallbackManager([debug])) as llm:
        stream = await settled(getattr(llm, way)(asked(way)))
        is_async = way.startswith("a")
        last = await anext(stream) if is_async else next(stream)
        last = await anext(stream) if is_async else next(stream)
        await settled(stream.aclose() if is_async else stream.close())
        assert await asyncio.to_thread(server.wait_closed)
    ((_, end),) = debug.get_event_pairs(CBEventType.LLM)
    assert end.payload is not None
    assert isinstance(end.payload[EventPayload.EXCEPTION], GeneratorExit)
    answer = weakref.ref(last)
    del last, stream
    gc.collect()
    assert answer() is None
