"""Content blocks of our answers: reasoning, searches, text with its citations, tool calls.

LangChain calls the translator that is registered for a message's ``model_provider``. Ours have
names of their own ("qaip-perplexity", ...), so that other packages' messages stay untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.block_translators import register_translator

from qaip_core.backends import SERVICES

__all__ = ["provider", "register", "server_blocks", "translate"]


def provider(service: str) -> str:
    """Return the ``model_provider`` of a service's answers."""
    return service if service == "qaip" else f"qaip-{service}"


def server_blocks(tools: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield two blocks for each tool that the service used: what it asked, and what came of it.

    Parameters:
        tools: as a message keeps them.
    """
    for tool in tools:
        yield {
            "type": "server_tool_call",
            "id": tool["id"],
            "name": tool["name"],
            "args": tool["arguments"],
        }
        yield {
            "type": "server_tool_result",
            "tool_call_id": tool["id"],
            "status": "success",
            "output": tool["output"],
        }


def translate(message: AIMessage) -> list[Any]:
    """Return the content blocks of one of our messages or chunks."""
    blocks: list[Any] = []
    more = message.additional_kwargs
    if more.get("reasoning_content"):
        blocks.append({"type": "reasoning", "reasoning": more["reasoning_content"]})
    used = list(server_blocks(more.get("server_tools") or ()))
    text, cited = str(message.text), more.get("annotations")
    if text or cited:
        block: dict[str, Any] = {"type": "text", "text": text}
        blocks.append({**block, "annotations": [dict(note) for note in cited]} if cited else block)
    summed = text or used or more.get("reasoning_content")  # as the last chunk alone has none
    if isinstance(message, AIMessageChunk) and not (summed and message.chunk_position == "last"):
        # With these numbers chunks become one block of each kind, in whatever order they come.
        blocks = [{**block, "index": f"lc_{block['type']}"} for block in blocks]
        used = [{**block, "index": _number(block)} for block in used]
    after_reasoning = 1 if more.get("reasoning_content") else 0
    blocks[after_reasoning:after_reasoning] = used
    if isinstance(message, AIMessageChunk) and message.chunk_position != "last":
        # Numbers of their own, or LangChain adds them to the block of text with that number.
        blocks.extend(
            {**call, "index": f"lc_tc_{call['index']}"} for call in message.tool_call_chunks
        )
    else:
        blocks.extend(message.tool_calls)
        blocks.extend(message.invalid_tool_calls)
    return blocks


def _number(block: Mapping[str, Any]) -> str:
    return f"lc_{block['type']}_{block.get('tool_call_id') or block.get('id')}"


def register() -> None:
    """Register the translator for all services."""
    for service in SERVICES:
        register_translator(provider(service), translate, translate)
