"""From LlamaIndex's messages to the core's."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from io import IOBase
from typing import Any

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    CitableBlock,
    CitationBlock,
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


def to_turns(messages: Sequence[ChatMessage], *, tools: bool) -> list[Message]:
    """Return messages as turns.

    What an earlier answer holds besides its text (citations, cache marks) is left out.

    Parameters:
        messages: the conversation.
        tools: whether the service takes tool calls and their results. Where it does not, they
            are written as text, in the words of LlamaIndex's ReAct agents: a memory may be
            shared with an agent that calls tools.

    Raises:
        InvalidParameterError: a message holds what cannot be sent.
    """
    turns = [_turn(message) for message in messages]
    return turns if tools else [_told(turn) for turn in turns]


def _told(turn: Message) -> Message:
    """Return a turn whose tool calls, or whose result of one, are text."""
    if turn.role == "tool":
        return Message("user", _behind("Observation: ", turn.content))
    if not turn.tool_calls:
        return turn
    calls = "\n".join(f"Action: {c.name}\nAction Input: {c.arguments}" for c in turn.tool_calls)
    return Message(turn.role, _before(turn.content, calls), reasoning=turn.reasoning)


def _before(content: str | Sequence[Part], text: str) -> str | Sequence[Part]:
    if isinstance(content, str):
        return f"{content}\n{text}" if content else text
    return [*content, {"type": "text", "text": text}]


def _behind(label: str, content: str | Sequence[Part]) -> str | Sequence[Part]:
    if isinstance(content, str):
        return label + content
    return [{"type": "text", "text": label}, *content]


def _turn(message: ChatMessage) -> Message:
    thoughts = [b.content for b in message.blocks if isinstance(b, ThinkingBlock) and b.content]
    return Message(
        _ROLES[message.role],
        _content(list(_parts(message.blocks))),
        tool_calls=tuple(_tool_calls(message)),
        tool_call_id=message.additional_kwargs.get("tool_call_id"),
        reasoning="\n".join(thoughts) or None,
    )


def _content(parts: list[Part]) -> str | list[Part]:
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _parts(blocks: Iterable[Any]) -> Iterator[Part]:
    for block in blocks:
        if isinstance(block, CitableBlock):
            yield {"type": "text", "text": f"{block.title} ({block.source}):"}
            yield from _parts(block.content)
        elif isinstance(block, AudioBlock):
            raise InvalidParameterError("audio cannot be sent to any of the services: send text")
        elif write := _WRITERS.get(type(block)):
            yield write(block)
        elif not isinstance(block, _ELSEWHERE):
            raise InvalidParameterError(f"a {type(block).__name__} cannot be sent")


# Sent in fields of their own, or with nothing to tell a service.
_ELSEWHERE = (ThinkingBlock, ToolCallBlock, CitationBlock, CachePoint)


def _text(block: TextBlock) -> Part:
    return {"type": "text", "text": block.text}


def _image(block: ImageBlock) -> Part:
    url = block.url or _data_url(block.resolve_image, block.image_mimetype or "image/png")
    detail = {"detail": block.detail} if block.detail else {}
    return {"type": "image_url", "image_url": {"url": str(url), **detail}}


def _video(block: VideoBlock) -> Part:
    url = block.url or _data_url(block.resolve_video, block.video_mimetype or "video/mp4")
    return {"type": "video_url", "video_url": {"url": str(url)}}


def _document(block: DocumentBlock) -> Part:
    """Return a document: as text where it is text, else as a file, whose bytes have no head."""
    if block.url and not block.data:
        return {"type": "file_url", "file_url": {"url": block.url}}
    held = _bytes(block.resolve_document)
    if _TEXTUAL.search(block.document_mimetype or "text/"):
        with suppress(UnicodeDecodeError):
            return {"type": "text", "text": held.decode()}
    part: dict[str, Any] = {"file_url": {"url": base64.b64encode(held).decode()}}
    return {"type": "file_url", **part, "file_name": block.title}


_TEXTUAL = re.compile(r"^text/|[/+](?:json|xml|x-yaml|yaml|x-ndjson)\b")


_WRITERS: Mapping[type, Callable[[Any], Part]] = {
    TextBlock: _text,
    ImageBlock: _image,
    VideoBlock: _video,
    DocumentBlock: _document,
}


def _data_url(resolve: Callable[[], IOBase], mime_type: str) -> str:
    return f"data:{mime_type};base64,{base64.b64encode(_bytes(resolve)).decode()}"


def _bytes(resolve: Callable[[], IOBase]) -> bytes:
    try:
        held: bytes = resolve().read()
    except (OSError, ValueError) as error:
        raise InvalidParameterError(f"an attachment could not be read: {error}") from error
    return held


def _tool_calls(message: ChatMessage) -> Iterator[ToolCall]:
    """Yield the calls of a message; of one without blocks for them, those of older integrations."""
    blocks = [b for b in message.blocks if isinstance(b, ToolCallBlock)]
    signed = message.additional_kwargs.get("thought_signatures") or {}
    for index, block in enumerate(blocks):
        given = block.tool_kwargs
        arguments = given if isinstance(given, str) else json.dumps(given)
        signature = signed.get(block.tool_call_id)
        yield ToolCall(block.tool_name, arguments, block.tool_call_id, index, signature)
    for index, kept in enumerate([] if blocks else message.additional_kwargs.get("tool_calls", ())):
        call = kept if isinstance(kept, Mapping) else kept.model_dump()
        function = call["function"]
        yield ToolCall(function["name"], function["arguments"], call.get("id"), index)
