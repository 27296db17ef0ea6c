"""Answers as plain text, with a numbered list of their sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer
    from qaip_core.rendering.sources import Source

__all__ = ["as_text", "sources_as_text"]

_EXCERPT = 90


def as_text(answer: CitedAnswer) -> str:
    """Return an answer with its sources below it."""
    return "\n\n".join(filter(None, (answer.marked_text, sources_as_text(answer.sources))))


def sources_as_text(sources: Sequence[Source]) -> str:
    """Return sources one below the other: number, title, page, date, link, passage."""
    return "\n".join(_shown(source) for source in sources)


def _shown(source: Source) -> str:
    page = (f"p. {source.page}",) if source.page else ()
    head = ", ".join((source.title, *page, *((source.date,) if source.date else ())))
    lines = [f"[{source.number}] {head}"]
    lines += [source.url] if source.url else []
    lines += [excerpt] if (excerpt := source.excerpt(_EXCERPT)) else []
    return "\n    ".join(lines)
