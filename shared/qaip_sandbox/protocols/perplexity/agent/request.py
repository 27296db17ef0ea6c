"""The requests of the agent call, and the rules that they keep."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from qaip_sandbox._wire import Json, parse_json
from qaip_sandbox.protocols.perplexity.models import PRESET_MODEL, PRESETS, supported
from qaip_sandbox.service import Call

from .items import Input
from .tools import RESERVED, Choice, FunctionTool, Named, Strict, Tool, WebSearch, with_preset
from .words import invalid, refusal, unusable

__all__ = ["Request", "parse"]

_Tool = TypeVar("_Tool", bound=BaseModel)


class _Reasoning(Strict):
    effort: str | None = None
    summary: str | None = None


class _Schema(Strict):
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _TextFormat(Strict):
    type: Literal["text"]


class _SchemaFormat(Strict):
    type: Literal["json_schema"]
    json_schema: _Schema


class _StreamOptions(Strict):
    include_usage: bool = True


class Request(Strict):
    """A request. Those of its fields that only steer a real service are checked, then ignored."""

    input: Input
    model: str | None = None
    models: Annotated[list[str], Field(max_length=5)] | None = None
    preset: str | None = None
    effort: str | None = None
    instructions: str | None = None
    max_output_tokens: Annotated[int, Field(ge=16)] | None = None
    max_steps: Annotated[int, Field(ge=1, le=100)] | None = None
    max_tool_calls: Annotated[int, Field(ge=0)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    reasoning: _Reasoning | None = None
    response_format: Annotated[_TextFormat | _SchemaFormat, Field(discriminator="type")] | None = (
        None
    )
    tools: list[Tool] | None = None
    tool_choice: Choice | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    background: bool | None = None
    store: bool | None = None
    previous_response_id: str | None = None
    language_preference: str | None = None
    parallel_tool_calls: bool | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    truncation: str | None = None
    prompt_cache_key: str | None = None
    skills: list[dict[str, Any]] | None = None

    @property
    def bundle(self) -> str | None:
        """The name of the bundle that is asked for, if one is."""
        return self.effort or self.preset

    @property
    def candidates(self) -> list[str]:
        """The models that are named, best first."""
        return self.models or ([self.model] if self.model else [])

    @property
    def resolved(self) -> str:
        """The model that answers."""
        return (self.candidates or [PRESET_MODEL])[0]

    @property
    def named(self) -> str:
        """What stands for the model until the answer is there."""
        return (self.candidates or [self.bundle or ""])[0]

    @property
    def schema_of_answer(self) -> Json:
        """The schema that the answer conforms to, or None."""
        form = self.response_format
        return form.json_schema.schema_ if isinstance(form, _SchemaFormat) else None

    @property
    def shown_tools(self) -> list[Tool]:
        """The tools of the request and of its bundle."""
        return with_preset(self.tools or []) if self.bundle else self.tools or []

    @property
    def usable(self) -> list[Tool]:
        """The tools that may be used."""
        if self.tool_choice == "none" or self.max_tool_calls == 0:
            return []
        choice = self.tool_choice
        return [t for t in self.shown_tools if not isinstance(choice, Named) or _chosen(t, choice)]

    def tool(self, kind: type[_Tool]) -> _Tool | None:
        """Return the usable tool of a kind, or None."""
        return next((tool for tool in self.usable if isinstance(tool, kind)), None)

    @property
    def functions(self) -> list[FunctionTool]:
        """The functions that may be called."""
        return [tool for tool in self.usable if isinstance(tool, FunctionTool)]


def _chosen(tool: Tool, choice: Named) -> bool:
    if choice.name:
        return isinstance(tool, FunctionTool) and tool.name == choice.name
    return tool.type == choice.type


def parse(call: Call) -> Request:
    """Read the request of `call`.

    Raises:
        Refusal: it is not one that the agent would take.
    """
    try:
        request = Request.model_validate(parse_json(call.raw))
    except ValidationError as fault:
        raise refusal(fault) from None
    except ValueError:
        raise unusable("invalid request body: not valid JSON") from None
    if request.input == []:
        raise unusable("input array cannot be empty")
    if request.max_output_tokens is None and request.resolved.startswith("anthropic/"):
        raise unusable("max_output_tokens is required when using Anthropic models")
    root = request.schema_of_answer
    if root is not None and root.get("type") != "object":
        kind = root.get("type", "none")
        words = f"json_schema.schema must have a root type of 'object' (got '{kind}')"
        raise unusable(words, "invalid_parameter")
    for message in _broken(request):
        raise invalid(message)
    return request


def _broken(request: Request) -> Iterator[str]:
    """Yield the rules that a request breaks."""
    if request.input == "":
        yield "input cannot be empty"
    if not request.candidates and not request.bundle:
        yield "one of model, models, preset and effort is required"
    for name in request.candidates:
        if not supported(name):
            yield f'model "{name}" is not supported'
    for name in filter(None, (request.effort, request.preset)):
        if name not in PRESETS:
            yield f'preset "{name}" is not supported'
    for place, tool in enumerate(request.tools or []):
        if isinstance(tool, FunctionTool) and tool.name in RESERVED:
            yield f'tools[{place}]: function name "{tool.name}" is reserved'
        if isinstance(tool, WebSearch) and tool.search_context_size and _budget(tool):
            yield f"tools[{place}]: search context size and max tokens exclude each other"
    if request.background and request.store is False:
        yield "background requires store"


def _budget(tool: WebSearch) -> bool:
    return bool(tool.max_tokens or tool.max_tokens_per_page)
