"""From LlamaIndex's messages to the core's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CitableBlock,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms import ChatMessage, MessageRole

from qaip_core import Message, ToolCall
from qaip_core.errors import InvalidParameterError
from qaip_core.types import Part, Role

__all__ = ["to_turns"]

_ROLES: Mapping[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}


def to_turns(messages: Sequence[ChatMessage]) -> list[Message]:
    """Return messages as turns.

    What an earlier answer holds besides its text (citations, cache marks) is left out.

    Raises:
        InvalidParameterError: a message holds media that cannot be sent.
    """
    return [_turn(message) for message in messages]


def _turn(message: ChatMessage) -> Message:
    thoughts = [b.content for b in message.blocks if isinstance(b, ThinkingBlock) and b.content]
    return Message(
        _ROLES[message.role],
        _content(list(_parts(message.blocks))),
        tool_calls=tuple(_tool_calls(message.blocks)),
        tool_call_id=message.additional_kwargs.get("tool_call_id"),
        reasoning="\n".join(thoughts) or None,
    )


def _content(parts: list[Part]) -> str | list[Part]:
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _parts(blocks: Iterable[Any]) -> Iterator[Part]:
    for block in blocks:
        if isinstance(block, TextBlock):
            yield {"type": "text", "text": block.text}
        elif isinstance(block, ImageBlock):
            yield {"type": "image_url", "image_url": {"url": _image_url(block)}}
        elif isinstance(block, CitableBlock):
            yield from _parts(block.content)
        elif isinstance(block, AudioBlock | VideoBlock | DocumentBlock):
            raise InvalidParameterError(f"{block.block_type} content cannot be sent; send its text")


def _image_url(image: ImageBlock) -> str:
    """Return the image's own URL, else its bytes as a data URL."""
    if image.url is not None:
        return str(image.url)
    try:
        encoded = image.resolve_image(as_base64=True).read()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"an image could not be read: {error}") from error
    text = encoded if isinstance(encoded, str) else encoded.decode()
    return f"data:{image.image_mimetype or 'image/png'};base64,{text}"


def _tool_calls(blocks: Iterable[Any]) -> Iterator[ToolCall]:
    for index, block in enumerate(b for b in blocks if isinstance(b, ToolCallBlock)):
        given = block.tool_kwargs
        arguments = given if isinstance(given, str) else json.dumps(given)
        yield ToolCall(block.tool_name, arguments, block.tool_call_id, index)
