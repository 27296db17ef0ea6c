"""From LangChain's content blocks to the parts that services take.

The parts are those of chat completions (``image_url``, ``file_url``, ...); each service refuses
the kinds that it does not take.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from qaip_core.errors import InvalidParameterError
from qaip_core.types import Part

__all__ = ["reasoning_of", "to_content"]

_WIRE_PARTS = frozenset({"image_url", "file_url", "pdf_url", "video_url"})


def to_content(message: BaseMessage) -> str | list[Part]:
    """Return the content of a message: a text, or parts if it holds more than text.

    What an assistant's message holds beside its text (tool calls, reasoning, other services'
    blocks) is left out here: it travels in fields of its own, or not at all.

    Raises:
        InvalidParameterError: a block is of a kind that no service takes, or incomplete.
    """
    content = message.content
    if isinstance(content, str):
        return content
    blocks = [{"type": "text", "text": b} if isinstance(b, str) else b for b in content]
    if isinstance(message, AIMessage):
        blocks = [block for block in blocks if block.get("type") == "text"]
    parts = [_part(block) for block in blocks]
    if all(part["type"] == "text" for part in parts):
        return _joined(blocks, [part["text"] for part in parts])
    return parts


def _joined(blocks: Sequence[Mapping[str, Any]], texts: Sequence[str]) -> str:
    """Return several texts as one; documents stand apart."""
    joined, apart = "", False
    for block, text in zip(blocks, texts, strict=True):
        document = block.get("type") != "text"
        joined += ("\n\n" if joined and (document or apart) else "") + text
        apart = document
    return joined


def reasoning_of(message: BaseMessage) -> str | None:
    """Return what the assistant thought, wherever the message keeps it."""
    kept = message.additional_kwargs.get("reasoning_content")
    if kept or isinstance(message.content, str):
        return kept or None
    blocks = [b for b in message.content if isinstance(b, dict) and b.get("type") == "reasoning"]
    return "".join(str(block.get("reasoning", "")) for block in blocks) or None


def _part(block: Mapping[str, Any]) -> Part:
    kind = block.get("type")
    if kind in _WIRE_PARTS:
        return _wire_part(str(kind), block)
    write = _WRITERS.get(str(kind))
    if write is None:
        what = f"{kind!r} content" if kind else "a content block without a type"
        raise InvalidParameterError(
            f"{what} cannot be sent: no service takes it. Known are "
            f"{', '.join(sorted({*_WRITERS, *_WIRE_PARTS}))}"
        )
    return write(block)


def _wire_part(kind: str, block: Mapping[str, Any]) -> Part:
    """Return a part in the service's form, without keys that belong to other vendors."""
    held = block.get(kind)
    part = {"type": kind, kind: {"url": held} if isinstance(held, str) else held}
    return {**part, "file_name": block["file_name"]} if block.get("file_name") else part


def _text(block: Mapping[str, Any]) -> Part:
    return {"type": "text", "text": str(block.get("text") or "")}  # without other vendors' keys


def _unwrapped(block: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return Anthropic's form of an image or a document as LangChain's."""
    source = block.get("source")
    if not isinstance(source, Mapping):
        return block
    mime, data = source.get("media_type"), source.get("data")
    named = {"filename": block.get("title")}
    return {**named, "url": source.get("url"), "base64": data, "mime_type": mime}


def _image(block: Mapping[str, Any]) -> Part:
    block = _unwrapped(block)
    return {"type": "image_url", "image_url": {"url": _link(block, "an image")}}


def _video(block: Mapping[str, Any]) -> Part:
    return {"type": "video_url", "video_url": {"url": _link(block, "a video")}}


def _document(block: Mapping[str, Any]) -> Part:
    """Return a document in Anthropic's form, which may also be plain text."""
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":
        return _text({"text": source.get("data")})
    return _file(block)


def _file(block: Mapping[str, Any]) -> Part:
    """Return a document; its bytes are sent as they are, without a ``data:`` head."""
    block = _unwrapped(block)
    url = block.get("base64") or _link(block, "a file")
    if url.startswith("data:"):
        url = url.partition(",")[2]
    part: dict[str, Any] = {"type": "file_url", "file_url": {"url": url}}
    name = block.get("filename") or (block.get("extras") or {}).get("filename")
    return {**part, "file_name": name} if name else part


def _plain(block: Mapping[str, Any]) -> Part:
    if block.get("text") is not None:
        return _text(block)
    if not block.get("base64"):
        return _file(block)
    try:
        return {"type": "text", "text": base64.b64decode(block["base64"], validate=True).decode()}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise InvalidParameterError("a text-plain block is not base64 of UTF-8 text") from error


def _foreign(block: Mapping[str, Any]) -> Part:
    """Return what a non-standard block holds, if it is a part in a service's own form."""
    value = block.get("value")
    return _part(value if isinstance(value, Mapping) else {})


def _link(block: Mapping[str, Any], what: str) -> str:
    if url := block.get("url"):
        return str(url)
    if block.get("base64") and block.get("mime_type"):
        return f"data:{block['mime_type']};base64,{block['base64']}"
    raise InvalidParameterError(f"{what} needs a url, or base64 with its mime_type")


_WRITERS: Mapping[str, Callable[[Mapping[str, Any]], Part]] = {
    "text": _text,
    "image": _image,
    "video": _video,
    "file": _file,
    "document": _document,
    "text-plain": _plain,
    "non_standard": _foreign,
}
