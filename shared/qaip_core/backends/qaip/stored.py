"""Stored conversations of Qaip, and the operations on them.

Vendor page: https://docs.qaip.com (API reference, Conversations)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeAlias

from pydantic import model_validator

from qaip_core.backend import Params, Wire
from qaip_core.backends.qaip._service import QAIP, Content
from qaip_core.backends.qaip.params import Id, Limit, Offset
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, finite, ranked
from qaip_core.types import Citation

__all__ = [
    "CHANGE",
    "CHANGE_OF_PRINCIPAL",
    "DELETE",
    "LIST",
    "READ",
    "Conversation",
    "Listed",
    "StoredMessage",
]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a stored conversation.

    Parameters:
        id: what ``parent_message_id`` may name.
        role: "user" or "assistant", as sent.
        content: its text.
        parent_id: the message before it; None for the first.
        created_at: when it was stored, ISO 8601, as sent.
        citations: the sources of an answer, also of one that was streamed.
        metadata: what else the service keeps: the filters of a question, extras of an answer.
    """

    id: str
    role: str
    content: str = ""
    parent_id: str | None = None
    created_at: str | None = None
    citations: tuple[Citation, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A stored conversation.

    Parameters:
        id: what ``conversation_id`` may name.
        title: its title.
        current_leaf_id: the message in which its current path ends.
        principal_id: the end user to whom it belongs.
        created_at, updated_at: ISO 8601, as sent.
        messages: the current path, from the first message on; empty in a list of conversations.
        tree: all its messages, without their texts.
    """

    id: str
    title: str | None = None
    current_leaf_id: str | None = None
    principal_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    messages: tuple[StoredMessage, ...] = ()
    tree: tuple[StoredMessage, ...] = ()

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The sources of the last answer."""
        answers = [message for message in self.messages if message.role == "assistant"]
        return answers[-1].citations if answers else ()


Listed: TypeAlias = list[Conversation]
"""By a name of its own, since a method below is called list."""


class _Message(Wire):
    id: str
    role: str
    content: str | None = None
    parent_id: str | None = None
    created_at: str | None = None
    citations: list[Content | None] | None = None
    filter_snapshot: dict[str, Any] | None = None
    assistant_metadata: dict[str, Any] | None = None

    def stored(self, notes: Notes) -> StoredMessage:
        cited = ranked(self.citations, notes, "citations")
        more = {
            "filter_snapshot": self.filter_snapshot,
            "assistant_metadata": self.assistant_metadata,
        }
        return StoredMessage(
            self.id,
            self.role,
            self.content or "",
            self.parent_id,
            self.created_at,
            tuple(content.citation(rank) for rank, content in cited),
            finite({name: value for name, value in more.items() if value is not None}),
        )


class _Conversation(Wire):
    id: str
    title: str | None = None
    current_leaf_id: str | None = None
    principal_id: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    active_path: list[_Message] | None = None
    tree: list[_Message | None] | None = None

    def stored(self) -> Conversation:
        notes: Notes = {}
        facts = {n: getattr(self, n) for n in _Conversation.model_fields}
        path, tree = facts.pop("active_path") or (), facts.pop("tree")
        return Conversation(
            **facts,
            messages=tuple(message.stored(notes) for message in path),
            tree=tuple(message.stored(notes) for _, message in ranked(tree, notes, "tree")),
        )


class _Listed(Wire):
    conversations: list[_Conversation]


_PATH = "active_path.*"
_ONE: Reader[_Conversation] = Reader(
    _Conversation, {"", "id", "active_path", _PATH, f"{_PATH}.id", f"{_PATH}.role"}
)
_LIST: Reader[_Listed] = Reader(_Listed, {"", "conversations", "conversations.*.id"})


def _one(body: Any) -> Conversation:
    return _ONE.body(body, {}).stored()


def _several(body: Any) -> Listed:
    return [found.stored() for found in _LIST.body(body, {}).conversations]


class _Page(Params):
    limit: Limit | None = None
    offset: Offset | None = None
    principal_id: str | None = None
    all_principals: bool | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.all_principals and self.principal_id is not None:
            raise ValueError("principal_id and all_principals exclude each other")
        return self


class _Named(Params):
    conversation_id: Id | None = None
    principal_id: str | None = None


class _Reading(_Named):
    leaf_id: Id | None = None


class _Change(_Named):
    title: str | None = None
    current_leaf_id: Id | None = None


_WHERE = "/conversations/{conversation_id}"
_NEEDS = ("conversation_id",)
LIST = Operation(QAIP, "/conversations", _several, _Page)
READ = Operation(QAIP, _WHERE, _one, _Reading, _NEEDS)
CHANGE = Operation(
    QAIP, _WHERE, lambda _body: None, _Change, _NEEDS, method="PATCH", may_be_empty=True
)
CHANGE_OF_PRINCIPAL = replace(
    CHANGE, path=f"{_WHERE}?principal_id={{principal_id}}", required=(*_NEEDS, "principal_id")
)
DELETE = Operation(
    QAIP,
    _WHERE,
    lambda _body: None,
    _Named,
    _NEEDS,
    method="DELETE",
    is_safe=False,  # a second one would be told that there is no such conversation
    may_be_empty=True,
)
