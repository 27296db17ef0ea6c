"""Prompts as the services take them: turns of text, or one text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qaip_core.errors import InvalidParameterError
from qaip_core.types import Message, Prompt

__all__ = ["as_text", "as_turns", "text_of", "turn"]


def text_of(message: Message, service: str) -> str:
    """Return the text of a message for a service that takes nothing else.

    Raises:
        InvalidParameterError: it holds something else.
    """
    if isinstance(message.content, str):
        return message.content
    kinds = [str(part.get("type")) for part in message.content]
    other = next((kind for kind in kinds if kind != "text"), None)
    if other is not None:
        raise InvalidParameterError(f"{service} takes text only, not {other!r} content")
    return "".join(str(part.get("text", "")) for part in message.content)


def as_turns(prompt: Prompt) -> Sequence[Message]:
    """Return a prompt as turns; a text is one user turn."""
    return [Message("user", prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt, service: str) -> str:
    """Return a prompt as one text; turns are written one below the other."""
    if isinstance(prompt, str):
        return prompt
    if len(prompt) == 1:
        return text_of(prompt[0], service)
    lines = [f"{m.role.capitalize()}: {text_of(m, service)}" for m in prompt]
    return "\n".join([*lines, "Assistant:"])


def turn(message: Message, service: str) -> dict[str, Any]:
    """Return a turn of a chat whose service takes roles and text only.

    Raises:
        InvalidParameterError: it holds tool calls, a tool's result, or media.
    """
    if message.role == "tool" or message.tool_calls:
        raise InvalidParameterError(f"{service} takes no tool calls or tool results")
    return {"role": message.role, "content": text_of(message, service)}
