"""The parameters of Perplexity's agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from qaip_core.backend import LEAVE_OUT, Params
from qaip_core.backends.perplexity._classes import in_place_of, is_of_chats
from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.agent_tools import (
    FILTERS,
    OPTIONS,
    Choice,
    Search,
    Tools,
)

__all__ = ["Effort", "PerplexityAgentParams"]

Effort: TypeAlias = Literal["fast", "low", "medium", "high", "xhigh", "wide-research"]
"""How much the service does for an answer: a bundle of a model, instructions and tools."""

_NOT_THERE = (
    *("top_k", "presence_penalty", "frequency_penalty", "stream_mode", "search_mode"),
    *("search_language_filter", "enable_search_classifier", "return_related_questions"),
    *("return_images", "image_domain_filter", "image_format_filter"),
)
"""Parameters of chat completions that the agent has not."""


def _known(model: str) -> str:
    """Refuse the models of chat completions."""
    if is_of_chats(model):
        wanted = ", ".join(f"{k}={v!r}" for k, v in in_place_of(model).items())
        raise ValueError(f"{model!r} is a model of chat completions: pass {wanted} in its place")
    return model


def _format(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what the service does not enforce."""
    if value.get("type") == "text":
        return value
    described = value.get("json_schema")
    if value.get("type") != "json_schema" or not isinstance(described, dict):
        raise ValueError('it is {"type": "json_schema", "json_schema": {"name", "schema"}}')
    schema = described.get("schema")
    if not isinstance(schema, dict) or schema.get("type") != "object":
        raise ValueError('its schema is one of objects: {"type": "object", ...}')
    return value


_Model: TypeAlias = Annotated[str, AfterValidator(_known)]
_Thinks: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class PerplexityAgentParams(Params):
    """Parameters of Perplexity's agent; one of model, models, effort and preset is needed.

    Parameters:
        model: the model with its provider, such as "perplexity/sonar". By itself a model never
            searches: add ``web_search``.
        models: up to 5 models, tried in this order; they go before ``model``.
        effort: a bundle of model, instructions and tools, chosen by the service; what you set
            yourself goes before what is in it.
        preset: the older name of ``effort``, which goes before it.
        web_search: whether the model searches the web, and how (see `WebSearch`); a preset's own
            search goes by this too. False adds none, which is said for a model alone.
        server_tools: further tools that the service runs, such as ``{"type": "fetch_url"}``
            (with ``max_urls`` 1 to 10), "people_search", "finance_search", "image_search",
            "sandbox", "mcp".
        tools: functions that the model may ask for, and tools that the service runs. Tools that
            are bound to the model later take the place of these, not of ``web_search`` and
            ``server_tools``.
        tool_choice: whether tools are used, or which: "auto", "none", "required", {"name": ...}
            of a function or {"type": ...} of another tool.
        parallel_tool_calls: whether it may ask for several functions at once.
        instructions: what the model is told to do; they take the place of a preset's own.
        max_tokens: tokens of the answer, at least 16; models of Anthropic need it. It is
            ``max_output_tokens`` on the wire, and may be given by that name.
        max_steps: how often the model may turn to its tools, 1 to 100.
        max_tool_calls: calls of tools, at least 0, which means none.
        temperature: how freely tokens are drawn, 0 (the likeliest) to 2.
        top_p: only the likeliest tokens that sum up to this probability, 0 to 1.
        reasoning: how much the model thinks, such as {"effort": "low"}.
        reasoning_effort: the same as a word; one of the two.
        response_format: {"type": "json_schema", "json_schema": {"name": ..., "schema": ...}},
            whose schema is one of objects.
        previous_response_id: a completed answer that this one goes on from.
        store: whether the service keeps the answer, for `previous_response_id` and later reading.
        language_preference: language of the answer, ISO 639-1.
        request_metadata: your notes on the request, ``metadata`` on the wire.
        service_tier: sent as it is, as ``truncation``, ``prompt_cache_key``, ``skills`` are.
        truncation: sent as it is.
        prompt_cache_key: sent as it is.
        skills: sent as they are.

    Source: https://docs.perplexity.ai/api-reference/agent-post
    """

    synonyms: ClassVar[Mapping[str, str]] = {"max_output_tokens": "max_tokens"}
    elsewhere: ClassVar[Mapping[str, str]] = {
        **{name: f'web_search={{"filters": {{"{name}": ...}}}}' for name in FILTERS},
        **{name: f'web_search={{"{name}": ...}}' for name in OPTIONS},
        "web_search_options": 'web_search={"search_context_size": ..., ...}',
        "background": "start() in place of the call, then get_response()",
        "text": "response_format=...",
        "disable_search": "web_search=False",
        **dict.fromkeys(_NOT_THERE, f"{LEAVE_OUT}, as the agent has no equivalent"),
    }

    model: _Model | None = None
    models: Annotated[list[_Model], Field(min_length=1, max_length=5)] | None = None
    effort: Effort | None = None
    preset: Effort | Literal["fast-search", "pro-search", "deep-research"] | None = None
    web_search: Search | None = None
    server_tools: Tools | None = Field(default=None, repr=False)  # may hold a token
    tools: Tools | None = Field(default=None, repr=False)
    tool_choice: Choice | None = None
    parallel_tool_calls: bool | None = None
    instructions: str | None = None
    max_tokens: Annotated[int, Field(ge=16)] | None = Field(
        default=None, serialization_alias="max_output_tokens"
    )
    max_steps: Annotated[int, Field(ge=1, le=100)] | None = None
    max_tool_calls: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    reasoning: dict[str, Any] | None = None
    reasoning_effort: _Thinks | None = None
    response_format: Annotated[dict[str, Any], AfterValidator(_format)] | None = None
    previous_response_id: Annotated[str, Field(min_length=1)] | None = None
    store: bool | None = None
    language_preference: str | None = None
    request_metadata: dict[str, Any] | None = Field(default=None, serialization_alias="metadata")
    service_tier: str | None = None
    truncation: str | None = None
    prompt_cache_key: str | None = None
    skills: list[dict[str, Any]] | None = None

    @property
    def model_label(self) -> str:
        """What is asked for an answer: a model, else a bundle by its name."""
        named = [*(self.models or ()), self.model, self.effort, self.preset]
        return next(filter(None, named), PERPLEXITY.name)

    @model_validator(mode="after")
    def _one_reasoning(self) -> PerplexityAgentParams:
        if self.reasoning is not None and self.reasoning_effort is not None:
            raise ValueError("reasoning and reasoning_effort exclude each other: set one of them")
        return self
