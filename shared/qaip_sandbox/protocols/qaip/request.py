"""What Qaip is asked, checked as strictly as the service does."""

import uuid
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qaip_sandbox._wire import Json, parse_json
from qaip_sandbox.service import Call

from .errors import refused
from .filters import DEFAULT_POLICY, Filters, LaterFilters

__all__ = [
    "Completion",
    "Extraction",
    "LaterCompletion",
    "LaterSearch",
    "Message",
    "Page",
    "Renaming",
    "Search",
    "checked",
    "id_of",
    "parse",
]

_Limit = Annotated[int, Field(ge=1)]
_Offset = Annotated[int, Field(ge=0)]
_Uuid = Annotated[uuid.UUID, Field(strict=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class Message(_Strict):
    """One turn."""

    role: Literal["system", "user", "assistant"]
    content: str


class Completion(Filters):
    """A completion of the seed."""

    messages: Annotated[list[Message], Field(min_length=1)]
    stream: bool = False
    citation: bool = True


class LaterCompletion(LaterFilters, Completion):
    """A completion of today."""

    limit: _Limit = 5
    include_retrieved: bool = False
    include_redacted_input: bool = False
    grounding: bool = False
    truncation: Literal["auto", "disabled"] = "auto"
    conversation_id: _Uuid | None = None
    parent_message_id: _Uuid | None = None
    regenerate: bool = False
    redaction_policy_id: str | None = None

    @model_validator(mode="after")
    def _branches(self) -> Self:
        if self.parent_message_id and not self.conversation_id:
            raise ValueError("parent_message_id: it needs the conversation_id that it belongs to")
        if self.regenerate and not self.parent_message_id:
            raise ValueError("regenerate: it needs the parent_message_id of a user message")
        return self


class Search(Filters):
    """A search of the seed."""

    query: Annotated[str, Field(min_length=1)]
    limit: _Limit = 10
    offset: _Offset = 0


class LaterSearch(LaterFilters, Search):
    """A search of today. The sandbox's documents make one group, whatever its id."""

    source_group_id: _Uuid | None = None

    @model_validator(mode="after")
    def _permitted(self) -> Self:
        if self.authz_policy != DEFAULT_POLICY:
            raise ValueError(f"authz_policy: there is only {DEFAULT_POLICY!r}")
        return self


class _Related(LaterFilters):
    limit: _Limit = 10
    offset: _Offset = 0


class Extraction(LaterFilters):
    """An extraction."""

    model_config = ConfigDict(strict=True, extra="forbid", populate_by_name=True)

    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    prompt: str = ""
    limit: _Limit = 10
    offset: _Offset = 0
    use_related: bool = False
    related_filter: _Related = _Related()


class Page(BaseModel):
    """Which conversations are listed, from the query of a URL."""

    model_config = ConfigDict(extra="ignore")

    limit: _Limit = 20
    offset: _Offset = 0
    principal_id: str | None = None
    all_principals: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.all_principals and self.principal_id is not None:
            raise ValueError("principal_id: not together with all_principals")
        return self


class Renaming(_Strict):
    """What can be changed of a conversation."""

    title: str | None = None
    current_leaf_id: _Uuid | None = None


_Model = TypeVar("_Model", bound=BaseModel)


def parse(model: type[_Model], call: Call) -> _Model:
    """Return the body of a call as a `model`; a body that is none is refused."""
    try:
        value = parse_json(call.raw)
    except ValueError:
        raise refused(call, 400, "The request body is not valid JSON.") from None
    return checked(model, value, call)


def checked(model: type[_Model], value: Json, call: Call) -> _Model:
    """Return `value` as a `model`; one that is none is refused."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fault = error.errors()[0]
        place = ".".join(map(str, fault["loc"]))
        why = fault["msg"].removeprefix("Value error, ")
        raise refused(call, 400, f"{place}: {why}" if place else why) from None


def id_of(call: Call) -> str:
    """Return the UUID in the path of a call; a text that is none is refused."""
    try:
        return str(uuid.UUID(call.parameters["id"]))
    except ValueError:
        raise refused(call, 400, "id: not a UUID.") from None
