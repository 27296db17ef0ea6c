"""What the service remembers: messages, conversations and uploaded files, the oldest dropped."""

import time
from dataclasses import dataclass, field

from qaip_sandbox._wire import Json
from qaip_sandbox.shelf import Shelf

__all__ = ["Conversation", "Message", "Past"]


@dataclass(slots=True)
class Conversation:
    """Messages of one user that belong together."""

    id: str
    user: str
    name: str
    inputs: dict[str, Json]
    created: int
    updated: int


@dataclass(slots=True)
class Message:
    """A question and its answer; `conversation` is "" for that of a completion app."""

    id: str
    user: str
    conversation: str
    inputs: dict[str, Json]
    query: str
    answer: str
    created: int
    resources: list[Json] = field(default_factory=list[Json])
    rating: str | None = None


class Past:
    """The shelves of one sandbox; `files` holds the names of uploaded files by their ids."""

    def __init__(self) -> None:
        self.messages: Shelf[str, Message] = Shelf()
        self.conversations: Shelf[str, Conversation] = Shelf()
        self.files: Shelf[str, str] = Shelf()

    def renew(self, conversation: Conversation) -> None:
        """Make a conversation the latest one."""
        conversation.updated = int(time.time())
        self.conversations[conversation.id] = conversation
