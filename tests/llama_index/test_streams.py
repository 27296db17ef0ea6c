"""A reader that leaves a stream frees its connection, whoever keeps what."""

import asyncio
import gc
from collections.abc import Callable, Iterator

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler
from llama_index.core.llms import ChatMessage

from llama_index_qaip import ServiceLLM
from support.fault_server import FaultServer, sse_reply

EVENT = '{"id":"1","choices":[{"index":0,"delta":{"content":"a"}}]}'
Make = Callable[..., ServiceLLM]
every_form = pytest.mark.parametrize("form", ["chat", "complete"])


@pytest.fixture(autouse=True)
def endless(server: FaultServer) -> Iterator[None]:
    """The server goes silent after a few events; no garbage collection helps."""
    server.replies(sse_reply(EVENT, EVENT, EVENT, end="hang"))
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def llm(make: Make) -> ServiceLLM:
    """An LLM with a handler that keeps every exception it is shown."""
    keeper = LlamaDebugHandler(print_trace_on_end=False)
    return make("perplexity", callback_manager=CallbackManager([keeper]))


def question(form: str) -> list[ChatMessage] | str:
    return [ChatMessage("q")] if form == "chat" else "q"


@every_form
def test_breaking_out(form: str, llm: ServiceLLM, server: FaultServer) -> None:
    for response in getattr(llm, f"stream_{form}")(question(form)):
        assert response.delta == "a"
        break
    assert server.wait_closed(0.5)


@every_form
def test_closing(form: str, llm: ServiceLLM, server: FaultServer) -> None:
    stream = getattr(llm, f"stream_{form}")(question(form))
    next(stream)
    assert not server.wait_closed(0.05)
    stream.close()
    assert server.wait_closed(0.5)


@every_form
async def test_breaking_out_async(form: str, llm: ServiceLLM, server: FaultServer) -> None:
    async for response in await getattr(llm, f"astream_{form}")(question(form)):
        assert response.delta == "a"
        break
    assert await asyncio.to_thread(server.wait_closed, 0.5)


@every_form
async def test_closing_async(form: str, llm: ServiceLLM, server: FaultServer) -> None:
    stream = await getattr(llm, f"astream_{form}")(question(form))
    await anext(stream)
    await stream.aclose()
    assert await asyncio.to_thread(server.wait_closed, 0.5)


@every_form
async def test_cancelling(form: str, llm: ServiceLLM, server: FaultServer) -> None:
    async def read() -> None:
        async for _ in await getattr(llm, f"astream_{form}")(question(form)):
            pass

    task = asyncio.create_task(read())
    await asyncio.to_thread(server.wait_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.wait_closed, 0.5)


def test_an_unread_stream_sends_nothing(llm: ServiceLLM, server: FaultServer) -> None:
    llm.stream_chat([ChatMessage("q")])
    assert server.requests == []


def test_leaving_a_streamed_query(make: Make, server: FaultServer) -> None:
    engine = make("perplexity").as_query_engine(streaming=True)  # type: ignore[attr-defined]
    for token in engine.query("q").response_gen:
        assert token == "a"
        break
    assert server.wait_closed(0.5)
