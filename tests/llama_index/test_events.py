"""One start and one end event for each call, whatever ends it; tokens are counted exactly."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, LlamaDebugHandler, TokenCountingHandler
from llama_index.core.callbacks.schema import CBEventType
from llama_index.core.llms import ChatMessage
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler

from llama_index_qaip import ServiceError, ServiceLLM
from support.wire import WireCase

Make = Callable[..., ServiceLLM]
Serve = Callable[..., WireCase]
KEY = "test-key-5f1d0c"
CALLS = ("chat", "complete", "stream_chat", "stream_complete")
ANSWERS = {
    "perplexity": ("perplexity/whole_2026_06", "perplexity/stream_2026_06_pings"),
    "dify": ("dify/stream_1_16", "dify/stream_1_16"),
    "qaip": ("qaip/whole_seed", "qaip/stream_ag_ui"),
}
every_call = pytest.mark.parametrize("name", [*CALLS, *("a" + name for name in CALLS)])


class Recorder(BaseEventHandler):
    events: list[Any]

    def handle(self, event: Any, **_: Any) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        """The kinds of LLM events in order, repetitions of progress once."""
        found = [n for e in self.events if (n := e.class_name()).startswith("LLM")]
        return [n for i, n in enumerate(found) if "InProgress" not in n or found[i - 1] != n]


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    handlers = get_dispatcher().event_handlers
    recording = Recorder(events=[])
    handlers.append(recording)
    yield recording
    handlers.pop()


async def drain(llm: ServiceLLM, name: str) -> None:
    answer = getattr(llm, name)([ChatMessage("q")] if "chat" in name else "q")
    if name.startswith("a"):
        answer = await answer
    if name.startswith("astream"):
        async for _ in answer:
            pass
    elif name.startswith("stream"):
        list(answer)


class Limiter:
    acquired = 0

    def acquire(self) -> None:
        self.acquired += 1

    async def async_acquire(self) -> None:
        self.acquired += 1


@every_call
@pytest.mark.parametrize("service", ANSWERS)
async def test_a_call_fires_one_start_and_one_end(
    service: str, name: str, make: Make, serve: Serve, recorder: Recorder
) -> None:
    serve(ANSWERS[service]["stream" in name])
    debug, limiter = LlamaDebugHandler(print_trace_on_end=False), Limiter()
    async with make(
        service, callback_manager=CallbackManager([debug]), rate_limiter=limiter
    ) as llm:
        await drain(llm, name)
    kind = "LLMChat" if "chat" in name else "LLMCompletion"
    progress = [f"{kind}InProgressEvent"] if "stream" in name else []
    assert recorder.names == [f"{kind}StartEvent", *progress, f"{kind}EndEvent"]
    assert len(debug.get_event_pairs(CBEventType.LLM)) == 1
    assert limiter.acquired == 1
    assert KEY not in str([event.model_dump() for event in recorder.events])


@pytest.mark.parametrize("name", ["stream_chat", "astream_complete"])
async def test_an_error_inside_a_stream_is_an_event(
    name: str, make: Make, serve: Serve, recorder: Recorder
) -> None:
    serve("perplexity/err_mid_stream")
    async with make("perplexity") as llm:
        with pytest.raises(ServiceError):
            await drain(llm, name)
    assert recorder.events[-1].class_name() == "ExceptionEvent"


@every_call
@pytest.mark.parametrize("service", ["perplexity", "dify"])
async def test_tokens_are_counted_as_the_service_counts_them(
    service: str, name: str, make: Make, serve: Serve
) -> None:
    case = serve(ANSWERS[service]["stream" in name])
    counter = TokenCountingHandler(tokenizer=lambda text: text.split())
    async with make(service, callback_manager=CallbackManager([counter])) as llm:
        await drain(llm, name)
    usage = case.expected["usage"]
    assert usage is not None
    assert counter.prompt_llm_token_count == usage["input_tokens"]
    assert counter.completion_llm_token_count == usage["output_tokens"]
