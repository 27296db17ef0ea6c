"""What PAIS is asked, by the release, and its validator's words about what is wrong."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from qaip_sandbox._wire import Json, parse_json
from qaip_sandbox.service import Call

from .errors import refused, unprocessable
from .switches import PAISSwitches

__all__ = [
    "AgentChat",
    "AgentCompletion",
    "Chat",
    "Completion",
    "Embeddings",
    "Query",
    "Sampling",
    "SearchQuery",
    "parse",
    "query",
]


# The vendor tells no bounds, but each choice and each vector costs memory.
_MOST_CHOICES = 128
_MOST_TEXTS = 2048


class _StreamOptions(BaseModel):
    include_usage: bool = False


class _ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: dict[str, Any] = {}

    @property
    def schema_of_answer(self) -> Json:
        """The schema that the answer is to have, or None."""
        if self.type == "json_object":
            answer = {"type": "object", "properties": {"answer": {"type": "string"}}}
            return {**answer, "required": ["answer"]}
        return self.json_schema.get("schema") if self.type == "json_schema" else None


class Sampling(BaseModel):
    """The parameters of all calls, of all releases; a release that lacks one does not look at it.

    FastAPI ignores fields that are not declared.
    """

    temperature: Annotated[float, Field(ge=0, le=2)] = 0
    n: Annotated[int, Field(ge=1, le=_MOST_CHOICES)] = 1
    stop: Annotated[list[str], Field(min_length=1)] = []
    max_tokens: Annotated[int, Field(ge=1)] = 0
    stream: bool = False
    stream_options: _StreamOptions = _StreamOptions()
    seed: int = 0
    max_completion_tokens: Annotated[int, Field(ge=1)] = 0
    top_p: Annotated[float, Field(ge=0, le=1)] = 1
    top_k: Annotated[int, Field(ge=1)] = 1
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0
    response_format: _ResponseFormat = _ResponseFormat(type="text")

    @property
    def limit(self) -> int | None:
        """The largest number of tokens of an answer, or None."""
        return self.max_completion_tokens or self.max_tokens or None


_LATER = frozenset(
    ["max_completion_tokens", "top_p", "top_k", "presence_penalty", "frequency_penalty",
     "response_format"]
)  # fmt: skip
_UNDECLARED: Mapping[str, frozenset[str]] = {
    "9.0": _LATER | {"stream_options"},
    "seed": _LATER,
    "9.1.1": frozenset(),
}
"""The fields that a release does not declare."""


class _Message(BaseModel):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str


_Messages = Annotated[list[_Message], Field(min_length=1)]


class _Named(BaseModel):
    model: str


class Completion(Sampling, _Named):
    """A text completion."""

    prompt: str


class Chat(Sampling, _Named):
    """A chat completion."""

    messages: _Messages


class _Session(BaseModel):
    model: str = ""
    create_session: bool = False
    store_in_session: UUID | None = None


class AgentCompletion(Sampling, _Session):
    """A text completion by an agent."""

    prompt: str


class AgentChat(Sampling, _Session):
    """A chat completion by an agent."""

    messages: _Messages


class Embeddings(BaseModel):
    """Texts to embed."""

    input: str | Annotated[list[str], Field(max_length=_MOST_TEXTS)]
    model: str


class SearchQuery(BaseModel):
    """A search of an index."""

    text: str
    top_k: Annotated[int, Field(ge=1)] = 2
    similarity_cutoff: float | None = None


class Query(BaseModel):
    """Which part of a list is wanted, from the query of a URL."""

    after: str = ""
    before: str = ""
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    offset: Annotated[int, Field(ge=0)] = 0
    order: Literal["asc", "desc"] = "asc"
    set_num_objects: bool = False
    name: str = ""


_Model = TypeVar("_Model", bound=BaseModel)


def parse(model: type[_Model], call: Call) -> _Model:
    """Return the body of a call as a `model`; a body that is none is refused."""
    body = _body(call)
    switches = call.switched(PAISSwitches)
    undeclared = _UNDECLARED[switches.profile] if issubclass(model, Sampling) else frozenset[str]()
    known = model.model_fields.keys() - undeclared
    if isinstance(body, dict):
        unknown = [key for key in body if key not in known] if switches.forbid else []
        kept = {key: value for key, value in body.items() if key not in undeclared}
    else:
        unknown, kept = [], body
    faults = [_extra(key, body[key]) for key in unknown]
    try:
        found = TypeAdapter(model).validate_python(kept, from_attributes=True)
    except ValidationError as error:
        told = [_fault(fault, "body", body) for fault in _faults(error)]
        raise unprocessable(call, told + faults) from None
    if faults:
        raise unprocessable(call, faults)
    return found


def query(call: Call) -> Query:
    """Return the query of a call's URL; one that is wrong is refused."""
    try:
        return Query.model_validate(call.parameters)
    except ValidationError as error:
        faults = [_fault(fault, "query", call.parameters) for fault in _faults(error)]
        raise unprocessable(call, faults) from None


def _faults(error: ValidationError) -> Sequence[Json]:
    return error.errors(include_url=False)


def _fault(fault: Json, place: str, given: Json) -> Json:
    # What is missing is missing from the whole that was given, dropped fields included.
    whole = fault["type"] == "missing" and len(fault["loc"]) == 1
    return {
        "type": fault["type"],
        "loc": [place, *fault["loc"]],
        "msg": fault["msg"],
        "input": given if whole else fault["input"],
        **({"ctx": fault["ctx"]} if "ctx" in fault else {}),
    }


def _extra(name: str, value: Json) -> Json:
    words = "Extra inputs are not permitted"
    return {"type": "extra_forbidden", "loc": ["body", name], "msg": words, "input": value}


def _body(call: Call) -> Json:
    if not call.raw:
        fault: Json = {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}
        raise unprocessable(call, [fault])
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return call.raw.decode("utf-8", "replace")
    try:
        return parse_json(call.raw)
    except json.JSONDecodeError as error:
        fault = {
            "type": "json_invalid",
            "loc": ["body", error.pos],
            "msg": "JSON decode error",
            "input": {},
            "ctx": {"error": error.msg},
        }
        raise unprocessable(call, [fault]) from None
    except UnicodeDecodeError:
        raise refused(call, 400, "There was an error parsing the body") from None
