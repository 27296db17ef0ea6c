"""Fireworks AI: chat completions, text completions, the list of models.

Vendor page: https://docs.fireworks.ai/api-reference/introduction
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from qaip_core.backend import Params, as_list
from qaip_core.backends._openai import Shape, StreamOptions, WireChunk, chat, completions
from qaip_core.backends._prompts import parts_of
from qaip_core.backends.fireworks._service import FIREWORKS
from qaip_core.backends.fireworks.models import MODELS
from qaip_core.types import Message

__all__ = [
    "CHAT",
    "TEXT",
    "FireworksChatParams",
    "FireworksParams",
    "FireworksTextParams",
]

_WHOLE_TOKENS = 4096
"""Above this the service answers streams only."""


class FireworksParams(Params):
    """Parameters that text and chat completions share.

    Parameters:
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct"; never rewritten.
        n: answers to one prompt, 1 to 128.
        max_tokens, max_completion_tokens: tokens of the answer; one of the two.
        temperature: 0 to 2.
        top_p, min_p, typical_p: 0 to 1.
        top_k: 0 to 128.
        frequency_penalty, presence_penalty: -2 to 2.
        repetition_penalty: 0 to 2.
        mirostat_target, mirostat_lr: see the vendor page.
        seed: for repeatable answers.
        logit_bias: token id to -100..100.
        stop: at most 4 sequences at which the answer ends.
        logprobs: 0 to 5 (the older format), or True (the newer).
        top_logprobs: 0 to 5.
        echo: whether the prompt is repeated before the answer.
        echo_last: how many of the prompt's last tokens are repeated.
        ignore_eos: whether to write on after the end-of-text token.
        context_length_exceeded_behavior: "truncate" lowers max_tokens, "error" refuses.
        response_format: {"type": "json_object"}, {"type": "json_schema", ...}, ...
        reasoning_effort: "low", "medium", "high", "max", "none", a number, or a switch.
        thinking: {"type": "enabled", "budget_tokens": ...}; excludes reasoning_effort.
        reasoning_history: what becomes of earlier reasoning.
        raw_output, perf_metrics_in_response, return_token_ids: further details in the answer.
        service_tier: only "priority" has an effect.
        speculation, prediction: guesses of the answer that speed it up.
        user: your name for the end user.
        request_metadata: string pairs, ``metadata`` on the wire.
        prompt_cache_key, prompt_cache_isolation_key: see the vendor page.
        stream_options: what a stream carries; usage is asked for unless this is given.
    """

    model: str | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=128)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    mirostat_target: float | None = None
    mirostat_lr: float | None = None
    seed: int | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stop: Annotated[
        Annotated[list[str], Field(max_length=4)] | str | None, BeforeValidator(as_list)
    ] = None
    logprobs: bool | Annotated[int, Field(ge=0, le=5)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    echo_last: Annotated[int, Field(ge=0)] | None = None
    ignore_eos: bool | None = None
    context_length_exceeded_behavior: Literal["truncate", "error"] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: bool | int | Literal["low", "medium", "high", "max", "none"] | None = None
    thinking: dict[str, Any] | None = None
    reasoning_history: Literal["disabled", "interleaved", "preserved"] | None = None
    raw_output: bool | None = None
    perf_metrics_in_response: bool | None = None
    return_token_ids: bool | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    speculation: str | list[int] | None = None
    prediction: str | dict[str, Any] | None = None
    user: str | None = None
    request_metadata: dict[str, str] | None = Field(default=None, serialization_alias="metadata")
    prompt_cache_key: str | None = None
    prompt_cache_isolation_key: str | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _exclusive(self) -> FireworksParams:
        for one, other in (
            ("max_tokens", "max_completion_tokens"),
            ("thinking", "reasoning_effort"),
        ):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{one} and {other} exclude each other")
        return self


class FireworksTextParams(FireworksParams):
    """Parameters of text completions.

    Parameters:
        images: ``data:image/...;base64,...``, as many as ``<image>`` stands in the prompt.
    """

    images: list[str] | list[list[str]] | None = None


def _functions(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for tool in tools:
        function = tool.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if tool.get("type") != "function" or not isinstance(name, str):
            raise ValueError('a tool is {"type": "function", "function": {"name": ..., ...}}')
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
            raise ValueError(f"{name!r} is no function name: 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return tools


class FireworksChatParams(FireworksParams):
    """Parameters of chat completions.

    Parameters:
        tools: functions that the model may ask for; their names are at most 64 of
            ``A-Za-z0-9_-``.
        tool_choice: "auto", "none", "required" (or "any"), or one function.
        parallel_tool_calls: whether it may ask for several at once.
        prompt_truncate_len: tokens that the history is cut to.
        safe_tokenization: see the vendor page.
    """

    tools: Annotated[list[dict[str, Any]], AfterValidator(_functions)] | None = None
    tool_choice: Literal["auto", "none", "required", "any"] | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    prompt_truncate_len: Annotated[int, Field(ge=1)] | None = None
    safe_tokenization: bool | None = None


class _Chunk(WireChunk, total=False):
    perf_metrics: dict[str, Any] | None
    raw_output: dict[str, Any] | None


_SHAPE = Shape(_Chunk, FIREWORKS.rules, ("perf_metrics", "raw_output"))


_PARTS = frozenset({"image_url", "video_url"})


def _turn(message: Message) -> dict[str, Any]:
    content = parts_of(message, FIREWORKS.title, _PARTS)
    turn: dict[str, Any] = {"role": message.role, "content": content}
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        turn["tool_calls"] = [
            {
                "id": call.id or f"call_{call.index}",
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return turn


def _must_stream(params: Mapping[str, Any]) -> bool:
    tokens = params.get("max_tokens") or params.get("max_completion_tokens") or 0
    return isinstance(tokens, int) and tokens > _WHOLE_TOKENS


# As the service's list of models gave them; it may know more by now: see `listed`.
_CONTEXTS = {
    "deepseek-r1-0528": 163_840,
    "deepseek-v3-0324": 163_840,
    "deepseek-v3p1": 163_840,
    "deepseek-v3p1-terminus": 163_840,
    "glm-4p5": 131_072,
    "glm-4p6": 202_752,
    "gpt-oss-120b": 131_072,
    "gpt-oss-20b": 131_072,
    "kimi-k2-instruct": 131_072,
    "kimi-k2-instruct-0905": 262_144,
    "llama-v3p1-8b-instruct": 131_072,
    "llama-v3p1-70b-instruct": 131_072,
    "llama-v3p1-405b-instruct": 131_072,
    "llama-v3p3-70b-instruct": 131_072,
    "llama4-maverick-instruct-basic": 1_048_576,
    "llama4-scout-instruct-basic": 1_048_576,
    "minimax-m2": 131_072,
    "qwen3-235b-a22b": 131_072,
    "qwen3-235b-a22b-instruct-2507": 262_144,
    "qwen3-235b-a22b-thinking-2507": 262_144,
    "qwen3-8b": 40_960,
    "qwen3-coder-480b-a35b-instruct": 262_144,
}


TEXT = completions(
    FIREWORKS, _SHAPE, FireworksTextParams, must_stream=_must_stream, contexts=_CONTEXTS
)
CHAT = chat(
    FIREWORKS,
    _SHAPE,
    FireworksChatParams,
    _turn,
    must_stream=_must_stream,
    parts=_PARTS,
    formats=frozenset({"json_object", "json_schema", "grammar"}),
    models=MODELS,
    contexts=_CONTEXTS,
)
