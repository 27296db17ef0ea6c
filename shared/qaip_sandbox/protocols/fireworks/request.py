"""The requests of Fireworks: strict about types, ranges and unknown fields."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from qaip_sandbox._wire import Refusal, json_response, parse_json, request_id
from qaip_sandbox.service import Call

__all__ = ["Chat", "Completion", "Format", "Named", "Sampling", "Tool", "error", "invalid", "parse"]

_UNKNOWN_MODEL = "unknown-model"

_Item = TypeVar("_Item")
_Some = Annotated[list[_Item], Field(min_length=1)]
_Penalty = Annotated[float, Field(ge=-2, le=2)] | None
_Share = Annotated[float, Field(ge=0, le=1)] | None
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Address = Annotated[str, Field(pattern=r"^(?:https?:|data:)")]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _StreamOptions(_Strict):
    include_usage: bool = False


class _JsonSchema(_Strict):
    schema_: dict[str, Any] = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Format(_Strict):
    """The form of the answer; a schema stands either in `json_schema` or beside the type."""

    type: Literal["text", "json_object", "json_schema", "grammar"]
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    json_schema: _JsonSchema | None = None
    grammar: str | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The schema that the answer conforms to, or None."""
        return self.json_schema.schema_ if self.json_schema else self.schema_


class Sampling(_Strict):
    """The fields of both calls. Those that only steer a real model are checked, then ignored."""

    model: str
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: _Share = None
    top_k: Annotated[int, Field(ge=0, le=128)] | None = None
    min_p: _Share = None
    typical_p: _Share = None
    frequency_penalty: _Penalty = None
    presence_penalty: _Penalty = None
    repetition_penalty: Annotated[float, Field(ge=0, le=2)] | None = None
    mirostat_target: float | None = None
    mirostat_lr: float | None = None
    seed: int | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    logprobs: bool | Annotated[int, Field(ge=0, le=5)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    echo_last: int | None = None
    ignore_eos: bool | None = None
    context_length_exceeded_behavior: Literal["truncate", "error"] | None = None
    response_format: Format | None = None
    reasoning_effort: str | int | bool | None = None
    thinking: dict[str, Any] | None = None
    reasoning_history: Literal["disabled", "interleaved", "preserved"] | None = None
    raw_output: bool | None = None
    perf_metrics_in_response: bool | None = None
    return_token_ids: bool | None = None
    service_tier: Literal["auto", "default", "flex", "priority"] | None = None
    speculation: str | list[int] | None = None
    prediction: str | dict[str, Any] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_isolation_key: str | None = None

    @property
    def limit(self) -> int | None:
        """The largest number of tokens of an answer."""
        return self.max_completion_tokens if self.max_tokens is None else self.max_tokens

    @property
    def stops(self) -> list[str]:
        """The words that end an answer."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def reasons(self) -> bool:
        """Whether the model thinks aloud before it answers."""
        if self.thinking is not None:
            return self.thinking.get("type") == "enabled"
        return self.reasoning_effort not in (None, "none", False, 0)


class Completion(Sampling):
    """A request for a text completion."""

    prompt: str | _Some[str] | _Some[int] | _Some[list[int]]
    images: list[str] | list[list[str]] | None = None


class _TextPart(_Strict):
    type: Literal["text"]
    text: str


class _Link(_Strict):
    url: _Address
    detail: Literal["auto", "low", "high"] | None = None


class _ImagePart(_Strict):
    type: Literal["image_url"]
    image_url: _Link


class _VideoPart(_Strict):
    type: Literal["video_url"]
    video_url: _Link


_Part = Annotated[_TextPart | _ImagePart | _VideoPart, Field(discriminator="type")]


class _Called(_Strict):
    name: str
    arguments: str


class _ToolCall(_Strict):
    id: str
    type: Literal["function"]
    function: _Called


class _Message(_Strict):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Part] | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None


class _Function(_Strict):
    name: _Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Strict):
    """A tool that the model may call."""

    type: Literal["function"]
    function: _Function


class _FunctionName(_Strict):
    name: str


class Named(_Strict):
    """The choice of one tool by its name."""

    type: Literal["function"]
    function: _FunctionName


class Chat(Sampling):
    """A request for a chat completion."""

    messages: Annotated[list[_Message], Field(min_length=1)]
    tools: list[Tool] | None = None
    # The last type of a union is the one whose fault is reported: that of a string says most.
    tool_choice: Named | Literal["auto", "none", "required", "any"] | None = None
    parallel_tool_calls: bool | None = None
    prompt_truncate_len: int | None = None
    safe_tokenization: bool | None = None
    functions: list[dict[str, Any]] | None = None
    function_call: str | dict[str, Any] | None = None


_Model = TypeVar("_Model", bound=Sampling)

# The names by which pydantic tells apart the types of a union; they are no part of a field's name.
_TYPES = frozenset({"bool", "int", "str", "Named"})


def invalid(message: str) -> Refusal:
    """Refuse a request for what is in it."""
    fault = {"object": "error", "type": "invalid_request_error", "message": message}
    return Refusal(json_response({"error": fault}, 400, {"x-request-id": request_id()}))


def error(status: int, message: str, code: str, param: str | None = None) -> Response:
    """Return an answer for every other fault."""
    fault = {"message": message, **({"param": param} if param else {}), "code": code}
    body = {"error": {**fault, "type": "error"}}
    return json_response(body, status, {"x-request-id": request_id()})


def parse(model: type[_Model], call: Call) -> _Model:
    """Read the request of `call`.

    Raises:
        Refusal: it is not one that Fireworks would serve.
    """
    try:
        request = model.model_validate(parse_json(call.raw))
    except ValidationError as fault:
        raise invalid(_told(fault)) from None
    except ValueError:
        raise invalid("The request body is not valid JSON") from None
    _check(request)
    if isinstance(request, Chat):
        _check_tools(request)
    return request


def _told(error: ValidationError) -> str:
    first, *others = error.errors()
    faults = [first, *(fault for fault in others if fault["loc"][0] == first["loc"][0])]
    # Each type of a union reports a fault of its own; the deepest, then the last, is most telling.
    _, fault = max(enumerate(faults), key=lambda pair: (len(pair[1]["loc"]), pair[0]))
    field = ".".join(str(part) for part in fault["loc"] if not _is_type(part))
    return f"{fault['msg']}, field: {field!r}, value: {fault['input']!r}"


def _is_type(part: int | str) -> bool:
    return isinstance(part, str) and (part in _TYPES or not part.isidentifier())


def _check(request: Sampling) -> None:
    if request.model.rpartition("/")[2] == _UNKNOWN_MODEL:
        message = "Model not found, inaccessible, and/or not deployed"
        raise Refusal(error(404, message, "NOT_FOUND", "model"))
    form = request.response_format
    faults = (
        (
            request.max_tokens is not None and request.max_completion_tokens is not None,
            "Only one of max_tokens and max_completion_tokens may be set",
        ),
        (
            (request.limit or 0) > 4096 and not request.stream,
            "Requests with max_tokens > 4096 must have stream=true",
        ),
        (
            request.thinking is not None and request.reasoning_effort is not None,
            "Only one of thinking and reasoning_effort may be set",
        ),
        (
            form is not None and form.type == "json_schema" and form.schema_of_answer is None,
            "Field required, field: 'response_format.json_schema', value: None",
        ),
        (
            form is not None and form.type == "grammar" and form.grammar is None,
            "Field required, field: 'response_format.grammar', value: None",
        ),
    )
    for fault, message in faults:
        if fault:
            raise invalid(message)


def _check_tools(request: Chat) -> None:
    names = [tool.function.name for tool in request.tools or []]
    choice = request.tool_choice
    if isinstance(choice, Named) and choice.function.name not in names:
        raise invalid(f"tool_choice names {choice.function.name!r}, which is not one of the tools")
    if choice in ("required", "any") and not names:
        raise invalid(f"tool_choice is {choice!r}, but there are no tools")
    calls: set[str] = set()
    for place, message in enumerate(request.messages):
        calls.update(call.id for call in message.tool_calls or [])
        if message.role == "tool" and message.tool_call_id not in calls:
            raise invalid(
                "tool_call_id does not match a tool call of an earlier message, "
                f"field: 'messages.{place}.tool_call_id', value: {message.tool_call_id!r}"
            )
