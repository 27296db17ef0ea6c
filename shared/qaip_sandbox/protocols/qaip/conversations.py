"""The conversations that Qaip stores: trees of turns, of which one path is the current one."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from qaip_sandbox._wire import Json, request_id
from qaip_sandbox.shelf import Shelf

__all__ = ["Conversation", "Conversations", "Node"]

_LONGEST = 2_000
_TITLE = 60


def _now() -> str:
    return datetime.now(UTC).isoformat()


@dataclass(slots=True)
class Node:
    """One message. `snapshot` are the filters of a question, `extras` what an answer came with."""

    role: str
    content: str
    parent_id: str | None
    citations: Json = None
    snapshot: Json = None
    extras: Json = None
    id: str = field(default_factory=request_id)
    created_at: str = field(default_factory=_now)

    def brief(self) -> Json:
        """Return the node as it stands in a tree."""
        return {
            "id": self.id,
            "role": self.role,
            "parent_id": self.parent_id,
            "created_at": self.created_at,
        }

    def full(self) -> Json:
        """Return the node as it stands in a path."""
        return {
            "id": self.id,
            "role": self.role,
            "content": self.content,
            "parent_id": self.parent_id,
            "created_at": self.created_at,
            "citations": self.citations,
            "filter_snapshot": self.snapshot,
            "assistant_metadata": self.extras,
        }


@dataclass(slots=True)
class Conversation:
    """A tree of messages; `leaf` is where its current path ends."""

    title: str
    principal_id: str | None
    id: str = field(default_factory=request_id)
    leaf: str | None = None
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    created_at: str = field(default_factory=_now)
    updated_at: str = field(default_factory=_now)

    def touch(self) -> None:
        """Note that it has changed."""
        self.updated_at = _now()

    def add(self, node: Node) -> Node:
        """Append a message, which becomes the leaf."""
        self.nodes[node.id] = node
        self.leaf = node.id
        self.touch()
        return node

    @property
    def full(self) -> bool:
        """Whether it takes no further turns."""
        return len(self.nodes) >= _LONGEST

    def path(self, leaf: str | None) -> list[Node]:
        """Return the messages from the root to `leaf`."""
        found = list(self._upwards(leaf))
        return found[::-1]

    def _upwards(self, place: str | None) -> Iterator[Node]:
        while place is not None:
            node = self.nodes[place]
            yield node
            place = node.parent_id

    def brief(self) -> Json:
        """Return the conversation as it stands in a list."""
        return {
            "id": self.id,
            "title": self.title,
            "current_leaf_id": self.leaf,
            "principal_id": self.principal_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }

    def detail(self, leaf: str | None) -> Json:
        """Return the conversation with its path to `leaf`, and its tree."""
        return {
            **self.brief(),
            "active_path": [node.full() for node in self.path(leaf)],
            "tree": [node.brief() for node in self.nodes.values()],
        }


class Conversations:
    """The conversations, the one that changed last at the end; of very many the oldest are lost."""

    def __init__(self) -> None:
        self._known: Shelf[str, Conversation] = Shelf()

    def find(self, wanted: str, principal: str | None) -> Conversation | None:
        """Return the conversation of a principal, None without one, or None if it is another's."""
        found = self._known.get(wanted)
        return found if found and found.principal_id == principal else None

    def keep(self, conversation: Conversation) -> None:
        """Store a conversation, or note that it has changed."""
        self._known[conversation.id] = conversation

    def drop(self, conversation: Conversation) -> None:
        """Forget a conversation."""
        del self._known[conversation.id]

    def page(self, principal: str | None, offset: int, limit: int, *, everyone: bool) -> list[Json]:
        """Return the conversations of a principal, or of `everyone`, the latest first."""
        found = [
            conversation
            for conversation in reversed(self._known.values())
            if everyone or conversation.principal_id == principal
        ]
        return [conversation.brief() for conversation in found[offset : offset + limit]]

    def begin(self, question: str, principal: str | None) -> Conversation:
        """Return a new conversation, named after its first question."""
        title = " ".join(question.split())
        return Conversation(title[: _TITLE - 1] + "…" if len(title) > _TITLE else title, principal)
