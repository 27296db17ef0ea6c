"""A memory in a list: LlamaIndex's own is a database that nobody closes."""

from __future__ import annotations

from typing import Any, Self

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import BaseMemory
from pydantic import Field

__all__ = ["ListMemory"]


class ListMemory(BaseMemory):
    """Remembers all."""

    messages: list[ChatMessage] = Field(default_factory=list)

    @classmethod
    def from_defaults(cls, **_: Any) -> Self:
        """Return an empty one."""
        return cls()

    def get(self, *_: Any, **__: Any) -> list[ChatMessage]:
        """Return all messages."""
        return list(self.messages)

    def get_all(self) -> list[ChatMessage]:
        """Return all messages."""
        return list(self.messages)

    def put(self, message: ChatMessage) -> None:
        """Add a message."""
        self.messages.append(message)

    def set(self, messages: list[ChatMessage]) -> None:
        """Replace all messages."""
        self.messages = list(messages)

    def reset(self) -> None:
        """Forget all messages."""
        self.messages = []
