"""Content blocks of our answers: reasoning, text with its citations, tool calls.

LangChain calls the translator that is registered for a message's ``model_provider``. Ours have
names of their own ("qaip-perplexity", ...), so that other packages' messages stay untouched.
"""

from __future__ import annotations

from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator

from qaip_core.backends import BACKENDS

__all__ = ["provider", "register", "translate"]


def provider(service: str) -> str:
    """Return the ``model_provider`` of a service's answers."""
    return service if service == "qaip" else f"qaip-{service}"


def translate(message: AIMessage) -> list[Any]:
    """Return the content blocks of one of our messages or chunks."""
    blocks: list[Any] = []
    more = message.additional_kwargs
    if more.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": more["reasoning_content"]})
    text, cited = str(message.text), more.get("annotations")
    if text or cited:
        block: dict[str, Any] = {"type": "text", "text": text}
        blocks.append({**block, "annotations": [dict(note) for note in cited]} if cited else block)
    summed = text or more.get("reasoning_content")  # as the last chunk alone has neither
    if isinstance(message, AIMessageChunk) and not (summed and message.chunk_position == "last"):
        # With these numbers chunks become one block of each kind, in whatever order they come.
        blocks = [{**block, "index": f"lc_{block['type']}"} for block in blocks]
    if isinstance(message, AIMessageChunk) and message.chunk_position != "last":
        # Numbers of their own, or LangChain adds them to the block of text with that number.
        blocks.extend(
            {**call, "index": f"lc_tc_{call['index']}"} for call in message.tool_call_chunks
        )
    else:
        blocks.extend(message.tool_calls)
        blocks.extend(message.invalid_tool_calls)
    return blocks


def register() -> None:
    """Register the translator for all services."""
    for backend in BACKENDS:
        register_translator(provider(backend.name), translate, translate)
