"""What the chat protocols read from their messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import Json
from qaip_sandbox.text import pieces

__all__ = ["Conversation", "conversation_of", "last_user_text", "prompt_tokens", "text_of"]

_ORDERS = ("system", "developer")
_ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
}


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, with the orders of the system and what the user said last."""

    messages: Sequence[Json]

    @property
    def orders(self) -> str:
        """What system messages say, below one another."""
        found = [text_of(m["content"]) for m in self.messages if m["role"] in _ORDERS]
        return "\n\n".join(found)

    @property
    def asked(self) -> str:
        """What the user said last."""
        return last_user_text(self.messages)

    def asking(self, text: str) -> "Conversation":
        """Return the conversation as if the user had said `text` last."""
        places = [n for n, message in enumerate(self.messages) if message["role"] == "user"]
        said = {"role": "user", "content": text}
        return Conversation(
            [said if [n] == places[-1:] else m for n, m in enumerate(self.messages)]
        )


def conversation_of(text: str) -> Conversation:
    """Return a prompt as messages: those that it writes out as "User: ..." lines, or itself.

    The first label tells how the others are written, so that a history quoted in another
    manner stays a part of its message.
    """
    style = str.lower if text[:1].islower() else str.capitalize
    names = "|".join(
        "AI" if name == "ai" and style is not str.lower else style(name) for name in _ROLES
    )
    found = list(re.finditer(rf"^({names}):[ \t]*", text, re.MULTILINE))
    if len(found) < 2 or found[0].start() > 0:
        return Conversation([{"role": "user", "content": text}])
    ends = [match.start() for match in found[1:]] + [len(text)]
    turns = [
        {"role": _ROLES[match[1].lower()], "content": text[match.end() : end].strip()}
        for match, end in zip(found, ends, strict=True)
    ]
    return Conversation(turns)


def text_of(content: Json) -> str:
    """Return the text of a message's content: a string, a list of parts, or null."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(str(part.get("text") or "") for part in parts if part.get("type") == "text")


def last_user_text(messages: Sequence[Json]) -> str:
    """Return the text of the last message whose role is user, or an empty string."""
    return next((text_of(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")


def prompt_tokens(messages: Sequence[Json]) -> int:
    """Count the tokens of all messages, as `text.pieces` counts them."""
    return sum(len(pieces(text_of(message.get("content")))) for message in messages)
