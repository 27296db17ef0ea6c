"""Raw failures, tool calls and token counts reach LlamaIndex as the fixtures of `wire` say."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from llama_index.core.base.llms.types import ThinkingBlock, ToolCallBlock
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.llms import ChatMessage

from llama_index_qaip import ServiceLLM, errors
from support.fault_server import FaultServer
from support.wire import Failure, WireCase, cases

from .conftest import FORMS, given_to, llm_of

Make = Callable[..., ServiceLLM]
Serve = Callable[..., WireCase]
KINDS: dict[str, type[errors.ServiceError]] = {
    "bad_request": errors.BadRequestError,
    "authentication": errors.AuthenticationError,
    "payment_required": errors.PaymentRequiredError,
    "permission": errors.PermissionDeniedError,
    "retired": errors.EndpointRetiredError,
    "not_found": errors.NotFoundError,
    "precondition": errors.PreconditionFailedError,
    "unprocessable": errors.UnprocessableEntityError,
    "rate_limit": errors.RateLimitError,
    "context_length": errors.ContextOverflowError,
    "model_not_ready": errors.ModelNotReadyError,
    "server": errors.ServerError,
    "server_reported_in_stream": errors.ServerReportedError,
    "incomplete": errors.IncompleteStreamError,
    "malformed": errors.MalformedResponseError,
}
REPEATED = ("rate_limit", "server")
BROKEN = [c for c in cases() if c.expected["error"] and (c.service, c.operation) in FORMS]
both = pytest.mark.parametrize("a", ["", "a"], ids=["sync", "async"])


def calls_that_meet(case: WireCase) -> Iterator[str]:
    """Name the calls, without their `a`, whose answer the fixture can be.

    A failure by status is met by both forms.
    """
    by_status = case.status >= 400
    for form in ("chat", "complete") if by_status else FORMS[case.service, case.operation][1]:
        if by_status or not case.stream or case.service == "dify":  # Dify streams whole answers
            yield form
        if by_status or case.stream:
            yield f"stream_{form}"


async def drained(llm: ServiceLLM, call: str, **kwargs: Any) -> Any:
    """Return the last response of a call."""
    answer = getattr(llm, call)([ChatMessage("q")] if "chat" in call else "q", **kwargs)
    if call.startswith("a"):
        answer = await answer
    if "stream" not in call:
        return answer
    return [r async for r in answer][-1] if call.startswith("a") else [*answer][-1]


@both
@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
async def test_a_raw_failure_is_of_its_exact_class(
    case: WireCase, a: str, server: FaultServer, make: Make
) -> None:
    soon = {**case.headers, "retry-after-ms": "1"}
    server.replies(replace(case.reply(), headers=soon))
    failure = case.expected["error"]
    assert failure is not None
    # Before its first word a stream that fails is repeated too, and no header shortens that wait.
    retries = 2 if case.status >= 400 or case.expected["partial"] else 0
    async with make(llm_of(case), max_retries=retries) as llm:
        for call in calls_that_meet(case):
            sent = len(server.requests)
            with pytest.raises(errors.ServiceError) as caught:
                await drained(llm, a + call, **given_to(case))
            check_failure(case, failure, caught.value)
            assert caught.value.attempts == len(server.requests) - sent, call


def check_failure(case: WireCase, failure: Failure, error: errors.ServiceError) -> None:
    assert type(error) is KINDS[failure["kind"]]
    assert error.code == failure["code"]
    assert failure["message"] in str(error)
    if status := failure.get("body_status") or failure["status"]:
        assert error.status == status
    assert error.service == case.service
    assert error.attempts == (3 if failure["kind"] in REPEATED else 1)
    assert error.partial_text == case.expected["partial"]
    known = error.partial.citations if error.partial else []
    assert [c.url for c in known] == [c.get("url") for c in case.expected["citations"]]
    assert failure.get("absent", "test-key") not in str(error)


CALLED: dict[str, tuple[tuple[str, str], dict[str, str]]] = {
    "fireworks/chat_whole_tool_call": (("call_tide01", "tide"), {"port": "Brest"}),
    "fireworks/chat_stream_tool_call": (("call_tide01", "tide"), {"port": "Brest"}),
    "perplexity/agent_tool_call": (("call_8", "tide_at"), {"port": "Skerry"}),
    "perplexity/agent_stream_tool_call": (("call_8", "tide_at"), {"port": "Skerry"}),
}


@both
@pytest.mark.parametrize("name", CALLED)
async def test_a_raw_tool_call_is_a_block(a: str, name: str, make: Make, serve: Serve) -> None:
    case = serve(name)
    async with make(llm_of(case)) as llm:
        answer = await drained(llm, a + ("stream_chat" if case.stream else "chat"))
    blocks = answer.message.blocks
    thoughts = [block.content for block in blocks if isinstance(block, ThinkingBlock)]
    assert thoughts == [case.expected["reasoning"]] * bool(case.expected["reasoning"])
    named, arguments = CALLED[name]
    (call,) = (block for block in blocks if isinstance(block, ToolCallBlock))
    assert (call.tool_call_id, call.tool_name) == named
    assert call.tool_kwargs == arguments
    assert answer.additional_kwargs["finish_reason"] == "tool_calls"


COUNTED = {
    "qaip/whole_seed": ("chat", "complete"),
    "qaip/stream_ag_ui": ("stream_chat", "stream_complete"),
    "fireworks/chat_whole": ("chat",),
    "fireworks/chat_stream_usage_trailing": ("stream_chat",),
    "fireworks/text_whole": ("complete",),
    "fireworks/text_stream": ("stream_complete",),
    "pais/chat_whole": ("chat",),
    "pais/chat_stream_engine": ("stream_chat",),
    "pais/whole_vllm": ("complete",),
    "pais/stream_include_usage": ("stream_complete",),
    "perplexity/whole_2026_06": ("chat", "complete"),
    "perplexity/stream_2026_06_pings": ("stream_chat", "stream_complete"),
    "dify/blocking": ("chat", "complete"),
    "dify/stream_1_16": ("stream_chat", "stream_complete"),
    "perplexity/agent_whole": ("chat", "complete"),
    "perplexity/agent_stream": ("stream_chat", "stream_complete"),
    "pais/agent_chat_whole": ("chat",),
    "pais/agent_chat_stream_usage": ("stream_chat",),
    "pais/agent_text_whole": ("complete",),
    "pais/agent_text_stream_usage": ("stream_complete",),
    "dify/chat_blocking": ("chat", "complete"),
    "dify/chat_stream": ("stream_chat", "stream_complete"),
}


@both
@pytest.mark.parametrize(
    ("name", "call"), [(name, call) for name, calls in COUNTED.items() for call in calls]
)
async def test_tokens_are_counted_as_the_wire_counts_them(
    name: str, call: str, a: str, make: Make, serve: Serve
) -> None:
    case = serve(name)
    counter = TokenCountingHandler(tokenizer=str.split)
    async with make(llm_of(case), callback_manager=CallbackManager([counter])) as llm:
        answer = await drained(llm, a + call, **given_to(case))
    (event,) = counter.llm_token_counts
    if usage := case.expected["usage"]:
        counts = (usage["input_tokens"], usage["output_tokens"])
        assert (event.prompt_token_count, event.completion_token_count) == counts
        assert event.total_token_count == usage["total_tokens"]
    else:  # then LlamaIndex estimates
        assert case.service == "qaip"
        assert "usage" not in answer.raw
        assert event.completion_token_count >= len(case.expected["text"].split())
