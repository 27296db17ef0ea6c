"""The requests of chat: their types and ranges, and what Perplexity never took."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qaip_sandbox._wire import compact, parse_json
from qaip_sandbox.protocols._messages import prompt_tokens
from qaip_sandbox.service import Call

from .errors import refuse
from .filters import Filters
from .messages import Message, check_order
from .switches import PerplexitySwitches

__all__ = ["Request", "SearchOptions", "parse", "read"]

_Model = TypeVar("_Model", bound=BaseModel)
_PERMITTED = ("sonar", "llama-3.1-sonar-")
_WINDOW, _WINDOWS = 127_072, {"sonar-pro": 200_000}
# The first documents print "0 < x < 2" for what their words call inclusive.
_PRINTED = {"temperature": (0, 2), "top_p": (0, 1), "top_k": (0, 2048), "presence_penalty": (-2, 2)}


class SearchOptions(BaseModel):
    """How the service searches; only the size of the context leaves a trace, in the costs."""

    search_context_size: Literal["low", "medium", "high"] = "low"
    search_type: Literal["fast", "pro", "auto"] | None = None
    user_location: dict[str, Any] | None = None
    image_results_enhanced_relevance: bool | None = None


class _TextFormat(BaseModel):
    type: Literal["text"]


class _JsonSchema(BaseModel):
    schema_: dict[str, Any] = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _SchemaFormat(BaseModel):
    type: Literal["json_schema"]
    json_schema: _JsonSchema


class _Regex(BaseModel):
    regex: str


class _RegexFormat(BaseModel):
    type: Literal["regex"]
    regex: _Regex


_Format = Annotated[_TextFormat | _SchemaFormat | _RegexFormat, Field(discriminator="type")]


class Request(Filters):
    """A request. Those of its fields that only steer a real service are checked, then ignored."""

    # What it does not know is kept, to be told of where that is refused.
    model_config = ConfigDict(strict=True, extra="allow")

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=128000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2048)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: float | None = None
    stream: bool | None = None
    stream_options: Any = None
    return_images: bool | None = None
    return_related_questions: bool | None = None
    disable_search: bool | None = None
    stop: Any = None
    tools: Any = None
    tool_choice: Any = None
    response_format: _Format | None = None
    web_search_options: SearchOptions | None = None
    stream_mode: Literal["full", "concise"] | None = None
    search_mode: Literal["web", "academic", "sec"] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    search_language_filter: list[str] | None = None
    language_preference: str | None = None
    enable_search_classifier: bool | None = None
    image_format_filter: list[str] | None = None
    image_domain_filter: list[str] | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema that the answer conforms to, or None."""
        form = self.response_format
        return form.json_schema.schema_ if isinstance(form, _SchemaFormat) else None

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The messages as the protocols share them."""
        return [message.model_dump() for message in self.messages]

    @property
    def deep(self) -> bool:
        """Whether the model is one that researches, and counts what it read."""
        return "deep-research" in self.model

    @property
    def reasons(self) -> bool:
        """Whether the model is one that thinks first."""
        return self.deep or "reasoning" in self.model


def read(kind: type[_Model], raw: bytes) -> _Model:
    """Read a request of a kind.

    Raises:
        Refusal: it is not JSON, or not of this kind; the message lists what is wrong.
    """
    try:
        return kind.model_validate(parse_json(raw))
    except ValidationError as fault:
        faults = [
            f"At body -> {' -> '.join(map(str, found['loc']))}: {found['msg']}"
            for found in fault.errors()
        ]
        raise refuse(compact(faults).decode()) from None
    except ValueError:
        raise refuse("The request body is not valid JSON.") from None


def parse(call: Call) -> Request:
    """Read the request of `call`.

    Raises:
        Refusal: it is not one that Perplexity would serve.
    """
    request = read(Request, call.raw)
    _check(request)
    switches = call.switched(PerplexitySwitches)
    if switches.strict_ranges:
        _check_ends(request)
    if switches.strict_fields:
        _check_fields(request)
    return request


def _check(request: Request) -> None:
    penalties = request.presence_penalty, request.frequency_penalty
    faults = (
        (request.stop, "Custom stop words not supported.", "bad_request"),
        (request.tools, "Tool calling is not supported for this model", "bad_request"),
        (
            None not in penalties,
            "Cannot set both presence_penalty and frequency_penalty.",
            "invalid_parameter",
        ),
        (
            request.frequency_penalty is not None and request.frequency_penalty <= 0,
            "Frequency penalty must satisfy p > 0.",
            "invalid_parameter",
        ),
        (
            not request.model.startswith(_PERMITTED),
            f"Invalid model '{request.model}'. Permitted models can be found in the documentation.",
            "invalid_model",
        ),
        (
            isinstance(request.response_format, _RegexFormat),
            '["At body -> response_format: The sandbox writes no text for an expression"]',
            "bad_request",
        ),
        (
            prompt_tokens(request.turns) > _WINDOWS.get(request.model, _WINDOW),
            "The total length of all messages is too long.",
            "too_many_prompt_tokens",
        ),
    )
    for fault, message, kind in faults:
        if fault:
            raise refuse(message, kind)
    check_order([message.role for message in request.messages])


def _check_ends(request: Request) -> None:
    for name, (low, high) in _PRINTED.items():
        value = getattr(request, name)
        if value is not None and not low < value < high:
            raise refuse(f'["At body -> {name}: Input should be above {low} and below {high}"]')


def _check_fields(request: Request) -> None:
    faults = [
        f"At body -> {name}: Extra inputs are not permitted" for name in request.model_extra or {}
    ]
    if faults:
        raise refuse(compact(faults).decode())
