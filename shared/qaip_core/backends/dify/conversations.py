"""The conversations that Dify keeps: lists of them, and of their messages.

Vendor page: https://docs.dify.ai/api-reference/conversations/get-conversations
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from pydantic import Field

from qaip_core.backend import Params, Wire
from qaip_core.backends.dify._params import USER, User
from qaip_core.backends.dify._service import DIFY
from qaip_core.backends.dify._sources import Resource
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, ranked, seconds
from qaip_core.types import Citation

__all__ = ["CONVERSATIONS", "MESSAGES", "RENAME", "Conversation", "Page", "Past"]

T = TypeVar("T")
_Limit: TypeAlias = Annotated[int, Field(ge=1, le=100)]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation that the service keeps.

    Parameters:
        id: what to pass as ``conversation_id``.
        name: its name.
        inputs: the variables that it began with.
        created, updated: Unix seconds.
        metadata: everything else that the service says of it.
    """

    id: str
    name: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    created: int | None = None
    updated: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Past:
    """A question of a conversation, and its answer.

    Parameters:
        id: the message's id, for ``feedback``.
        query: what was asked.
        answer: what was answered.
        conversation_id: where.
        citations: the sources of the answer.
        rating: "like", "dislike", or None.
        created: Unix seconds.
        metadata: everything else that the service says of it.
    """

    id: str
    query: str = ""
    answer: str = ""
    conversation_id: str | None = None
    citations: tuple[Citation, ...] = ()
    rating: str | None = None
    created: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page(Generic[T]):
    """A part of a list.

    Parameters:
        items: what is on it.
        has_more: whether there is more of the list.
    """

    items: tuple[T, ...] = ()
    has_more: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: int) -> T:
        return self.items[place]


class ListParams(Params):
    """Parameters of the list of conversations.

    Parameters:
        user: whose; "default-user" where it is not given.
        last_id: the last conversation of the page before.
        limit: how many at most, 1 to 100; the service's default is 20.
        sort_by: "created_at" or "updated_at", with "-" before it for the latest first, which is
            the service's default ("-updated_at").
    """

    user: User = USER
    last_id: str | None = None
    limit: _Limit | None = None
    sort_by: Literal["created_at", "-created_at", "updated_at", "-updated_at"] | None = None


class MessageParams(Params):
    """Parameters of the list of messages.

    Parameters:
        conversation_id: the conversation.
        user: whose it is; "default-user" where it is not given.
        first_id: the first message of the page that comes after.
        limit: how many at most, 1 to 100; the service's default is 20.
    """

    conversation_id: str | None = None
    user: User = USER
    first_id: str | None = None
    limit: _Limit | None = None


class NameParams(Params):
    """Parameters of a new name.

    Parameters:
        conversation_id: the conversation.
        name: its name.
        auto_generate: whether the service finds one.
        user: whose it is; "default-user" where it is not given.
    """

    conversation_id: str | None = None
    name: str | None = None
    auto_generate: bool | None = None
    user: User = USER


class _Conversation(Wire, extra="allow"):
    id: str
    name: str | None = None
    inputs: dict[str, Any] | None = None
    created_at: Any = None
    updated_at: Any = None

    def read(self, notes: Notes) -> Conversation:
        return Conversation(
            self.id,
            self.name or "",
            self.inputs or {},
            seconds(self.created_at, notes, "created_at"),
            seconds(self.updated_at, notes, "updated_at"),
            _rest(self),
        )


class _Feedback(Wire):
    rating: str | None = None


class _Message(Wire, extra="allow"):
    id: str
    conversation_id: str | None = None
    query: str | None = None
    answer: str | None = None
    feedback: _Feedback | None = None
    retriever_resources: list[Resource | None] | None = None
    created_at: Any = None

    def read(self, notes: Notes) -> Past:
        sources = ranked(self.retriever_resources, notes, "retriever_resources")
        return Past(
            self.id,
            self.query or "",
            self.answer or "",
            self.conversation_id,
            tuple(source.citation(rank) for rank, source in sources),
            self.feedback.rating if self.feedback else None,
            seconds(self.created_at, notes, "created_at"),
            _rest(self),
        )


def _rest(wire: Wire) -> dict[str, Any]:
    return {k: v for k, v in (wire.model_extra or {}).items() if v not in (None, "", [], {})}


class _Conversations(Wire):
    data: list[_Conversation]
    has_more: bool | None = None


class _Messages(Wire):
    data: list[_Message]
    has_more: bool | None = None


_LISTED: Reader[_Conversations] = Reader(_Conversations, ("", "data", "data.*", "data.*.id"))
_SAID: Reader[_Messages] = Reader(_Messages, ("", "data", "data.*", "data.*.id"))
_NAMED: Reader[_Conversation] = Reader(_Conversation, ("", "id"))


def _conversations(body: Any) -> Page[Conversation]:
    read = _LISTED.body(body, {})
    return Page(tuple(c.read({}) for c in read.data), bool(read.has_more))


def _messages(body: Any) -> Page[Past]:
    read = _SAID.body(body, {})
    return Page(tuple(m.read({}) for m in read.data), bool(read.has_more))


CONVERSATIONS = Operation(DIFY, "/conversations", _conversations, ListParams)

MESSAGES = Operation(DIFY, "/messages", _messages, MessageParams, ("conversation_id",))

RENAME = Operation(
    DIFY,
    "/conversations/{conversation_id}/name",
    lambda body: _NAMED.body(body, {}).read({}),
    NameParams,
    ("conversation_id",),
    method="POST",
    is_safe=False,  # where the service finds the name, a model is asked
)
