"""What LangChain's messages and chunks say."""

import operator
from functools import reduce
from typing import Any

from ._judge import Said

__all__ = ["added", "joined", "whole"]


def whole(message: Any) -> Said:
    """Return what a message says."""
    usage = message.usage_metadata
    return Said([message.text], _sources(message), usage["total_tokens"] if usage else None)


def added(chunks: list[Any]) -> Any:
    """Return the message that chunks add up to."""
    return reduce(operator.add, chunks)


def joined(chunks: list[Any]) -> Said:
    """Return what the chunks of a stream say."""
    said = whole(added(chunks))
    return Said([chunk.text for chunk in chunks], said.sources, said.tokens)


def _sources(message: Any) -> list[str]:
    return message.additional_kwargs.get("citations") or []
