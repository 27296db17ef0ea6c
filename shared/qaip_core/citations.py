"""Resolves ``[n]`` markers in an answer to spans of its citations.

Offsets are those of the marker itself, in characters of the answer's text. A marker that
names no source is left alone, and a citation without a marker gets no offset: none is invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from qaip_core.types import Citation, Span

__all__ = ["resolve_markers"]

_MARKER = re.compile(r"\[(\d{1,4})\](?!\()")  # "[1](url)" is a link, no marker


def resolve_markers(text: str, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Return the citations with the spans of the markers that name them.

    Parameters:
        text: the whole answer.
        citations: marker ``[1]`` names the one whose rank is 1; the rank is the place in the
            list where there is none.
    """
    spans: dict[int, list[Span]] = {}
    for marker in _MARKER.finditer(text):
        spans.setdefault(int(marker[1]), []).append(Span(marker.start(), marker.end()))
    ranked = [(c.rank or n, c) for n, c in enumerate(citations, start=1)]
    return tuple(replace(c, spans=tuple(spans[n])) if n in spans else c for n, c in ranked)
