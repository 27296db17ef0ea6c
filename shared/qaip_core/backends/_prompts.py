"""Prompts as the services take them: turns of text, or one text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from qaip_core.errors import InvalidParameterError
from qaip_core.types import Message, Prompt

__all__ = ["as_text", "as_turns", "parts_of", "text_of", "turn"]


def parts_of(
    message: Message, service: str, kinds: Collection[str]
) -> str | list[Mapping[str, Any]]:
    """Return the content of a message for a service that takes text and some other parts.

    Parameters:
        kinds: the kinds of parts it takes besides text.

    Raises:
        InvalidParameterError: it holds a part of another kind.
    """
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        kind = part.get("type")
        if kind != "text" and kind not in kinds:
            taken = f"text, {', '.join(sorted(kinds))}" if kinds else "text only"
            raise InvalidParameterError(f"{service} takes {taken}, not {kind!r} content")
    return list(message.content)


def text_of(message: Message, service: str) -> str:
    """Return the text of a message for a service that takes nothing else.

    Raises:
        InvalidParameterError: it holds something else.
    """
    content = parts_of(message, service, ())
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)


def as_turns(prompt: Prompt) -> Sequence[Message]:
    """Return a prompt as turns; a text is one user turn."""
    return [Message("user", prompt)] if isinstance(prompt, str) else prompt


def as_text(
    prompt: Prompt,
    service: str,
    turn_template: str = "{role}: {text}",
    prompt_template: str = "{history}\nAssistant:",
) -> str:
    """Return a prompt as one text; a single turn as it is, several by the templates.

    Parameters:
        turn_template: one turn, of ``{role}`` and ``{text}``.
        prompt_template: all of them, of ``{history}`` (all turns, one below the other),
            ``{earlier}`` (all but the last) and ``{question}`` (the text of the last).
    """
    if isinstance(prompt, str):
        return prompt
    texts = [text_of(message, service) for message in prompt]
    if len(prompt) == 1:
        return texts[0]
    lines = [
        turn_template.format(role=message.role.capitalize(), text=text)
        for message, text in zip(prompt, texts, strict=True)
    ]
    return prompt_template.format(
        history="\n".join(lines), earlier="\n".join(lines[:-1]), question=texts[-1]
    )


def turn(message: Message, service: str) -> dict[str, Any]:
    """Return a turn of a chat whose service takes roles and text only.

    Raises:
        InvalidParameterError: it holds tool calls, a tool's result, or media.
    """
    if message.role == "tool" or message.tool_calls:
        raise InvalidParameterError(
            f"{service} takes no tool calls or tool results: leave those turns out, or write what "
            "they say as text"
        )
    return {"role": message.role, "content": text_of(message, service)}
