"""The parameters of Fireworks' chat and text completions.

Vendor page: https://docs.fireworks.ai/api-reference/post-chatcompletions
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from qaip_core.backend import Params, as_list
from qaip_core.backends._openai import StreamOptions

__all__ = ["FireworksChatParams", "FireworksParams", "FireworksTextParams"]


def _format(given: dict[str, Any]) -> dict[str, Any]:
    kind = given.get("type")
    if kind not in ("text", "json_object", "json_schema", "grammar"):
        raise ValueError(f'its type is "json_schema", "json_object", "grammar" or "text": {kind!r}')
    held = given.get("json_schema")
    schema = held.get("schema") if isinstance(held, dict) else given.get("schema")
    if kind == "json_schema" and not isinstance(schema, dict):
        raise ValueError('a schema is missing: pass "json_schema": {"name": ..., "schema": {...}}')
    if kind == "grammar" and not isinstance(given.get("grammar"), str):
        raise ValueError('the grammar is missing: pass "grammar": "root ::= ..."')
    return given


def _thinking(given: dict[str, Any]) -> dict[str, Any]:
    budget = given.get("budget_tokens", 1024)
    known = given.keys() <= {"type", "budget_tokens"} and isinstance(budget, int)
    if known and given.get("type") == "enabled" and budget >= 1024:
        return given
    if given != {"type": "disabled"}:
        raise ValueError(
            'it is {"type": "enabled", "budget_tokens": 1024 or more} or {"type": "disabled"}'
        )
    return given


def _prediction(given: dict[str, Any]) -> dict[str, Any]:
    if given.get("type") != "content" or not isinstance(given.get("content"), str):
        raise ValueError('it is a text or {"type": "content", "content": a text}')
    return given


class FireworksParams(Params):
    """Parameters that text and chat completions share.

    Parameters:
        model: such as "accounts/fireworks/models/llama-v3p1-8b-instruct"; never rewritten.
        n: answers to one prompt, 1 to 128; the service's default is 1.
        max_tokens: tokens of the answer, at least 0; the service's default is 16 for a text and
            2,048 for a chat. Above 4,096 whole answers are asked for as streams.
        max_completion_tokens: the later name of ``max_tokens``; one of the two.
        temperature: how freely tokens are drawn, 0 (the likeliest) to 2; the default is the
            model's own, as for the others that draw tokens.
        top_p: only the likeliest tokens that sum up to this probability, 0 to 1.
        top_k: only so many of the likeliest tokens, 0 to 128.
        min_p: only tokens at least so likely, compared with the likeliest, 0 to 1.
        typical_p: only tokens of typical information that sum up to this probability, 0 to 1.
        frequency_penalty: against tokens by how often they stand in the text, -2 to 2.
        presence_penalty: against tokens that stand in the text at all, -2 to 2.
        repetition_penalty: against repetition, as a factor, 0 to 2.
        mirostat_target: the perplexity that the Mirostat way of drawing aims at.
        mirostat_lr: how fast Mirostat adapts.
        seed: for repeatable answers.
        logit_bias: ids of tokens, as texts, with what is added to their logits, -100 to 100.
        stop: at most 4 sequences at which the answer ends.
        logprobs: how many log-probabilities come with each token, 0 to 5 (the older format), or
            True (the newer).
        top_logprobs: how many of the likeliest tokens come with theirs, 0 to 5.
        echo: whether the prompt is repeated before the answer.
        echo_last: how many of the prompt's last tokens are repeated.
        ignore_eos: whether to write on after the end-of-text token.
        context_length_exceeded_behavior: "truncate" lowers max_tokens, "error" refuses.
        response_format: {"type": "json_object"}, {"type": "json_schema", "json_schema": {"name":
            ..., "schema": {...}}}, {"type": "grammar", "grammar": "root ::= ..."} (GBNF), or
            {"type": "text"}.
        reasoning_effort: "low", "medium", "high", "max", "none", a number of tokens, or a
            switch; which of them a model takes differs.
        thinking: {"type": "enabled", "budget_tokens": at least 1024} or {"type": "disabled"};
            excludes reasoning_effort.
        reasoning_history: what becomes of earlier reasoning: "disabled", "interleaved" or
            "preserved".
        raw_output: whether the metadata tell prompt and answer as the model sees them.
        perf_metrics_in_response: whether the metadata tell what the answer took.
        return_token_ids: whether the metadata tell the tokens of prompt and answer.
        service_tier: only "priority" has an effect.
        speculation: a guess of the answer that speeds it up: a text or token ids.
        prediction: the same as a text or {"type": "content", "content": ...}.
        user: your name for the end user.
        request_metadata: string pairs, ``metadata`` on the wire.
        prompt_cache_key: requests of one key share a cache of their common beginning.
        prompt_cache_isolation_key: requests of other keys never share it.
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
    response_format: Annotated[dict[str, Any], AfterValidator(_format)] | None = None
    reasoning_effort: bool | int | Literal["low", "medium", "high", "max", "none"] | None = None
    thinking: Annotated[dict[str, Any], AfterValidator(_thinking)] | None = None
    reasoning_history: Literal["disabled", "interleaved", "preserved"] | None = None
    raw_output: bool | None = None
    perf_metrics_in_response: bool | None = None
    return_token_ids: bool | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    speculation: str | list[int] | None = None
    prediction: str | Annotated[dict[str, Any], AfterValidator(_prediction)] | None = None
    user: str | None = None
    request_metadata: dict[str, str] | None = Field(default=None, serialization_alias="metadata")
    prompt_cache_key: str | None = None
    prompt_cache_isolation_key: str | None = None
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _exclusive(self) -> "FireworksParams":
        for one, other in (
            ("max_tokens", "max_completion_tokens"),
            ("thinking", "reasoning_effort"),
        ):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise ValueError(f"{one} and {other} exclude each other: set one of them")
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


def _choice(given: dict[str, Any]) -> dict[str, Any]:
    function = given.get("function")
    name = function.get("name") if isinstance(function, dict) else None
    if given.get("type") != "function" or not isinstance(name, str):
        raise ValueError('one function is {"type": "function", "function": {"name": ...}}')
    return given


class FireworksChatParams(FireworksParams):
    """Parameters of chat completions.

    Parameters:
        tools: functions that the model may ask for; their names are at most 64 of
            ``A-Za-z0-9_-``.
        tool_choice: "auto", "none", "required" (or "any"), or one function.
        parallel_tool_calls: whether it may ask for several at once.
        prompt_truncate_len: tokens that the history is cut to.
        safe_tokenization: sent as it is; the vendor's page describes it.
    """

    tools: Annotated[list[dict[str, Any]], AfterValidator(_functions)] | None = None
    tool_choice: (
        Literal["auto", "none", "required", "any"]
        | Annotated[dict[str, Any], AfterValidator(_choice)]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    prompt_truncate_len: Annotated[int, Field(ge=1)] | None = None
    safe_tokenization: bool | None = None
