"""What the chat protocols read from their messages."""

from collections.abc import Sequence

from qaip_sandbox._wire import Json
from qaip_sandbox.text import pieces

__all__ = ["last_user_text", "prompt_tokens", "text_of"]


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
