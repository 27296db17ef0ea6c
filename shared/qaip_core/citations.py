"""Resolves ``[n]`` markers in an answer to spans of its citations.

Offsets are those of the marker itself, in characters of the answer's text. A marker that
names no source is left alone, and a citation without a marker gets no offset: none is invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qaip_core.types import Citation, Span

__all__ = ["distinct", "resolve_markers"]

_MARKER = re.compile(r"\[(web:)?(\d{1,4})\](?!\()")  # "[1](url)" is a link, no marker


def resolve_markers(text: str, citations: Sequence[Citation]) -> tuple[Citation, ...]:
    """Return the citations with the spans of the markers that name them.

    Parameters:
        text: the whole answer.
        citations: marker ``[1]`` names the one whose marker is 1; where it has none of its own,
            its rank, and without that its place in the list. ``[web:1]`` names a marker only.
    """
    plain: dict[int, list[Span]] = {}
    every: dict[int, list[Span]] = {}
    for marker in _MARKER.finditer(text):
        span = Span(marker.start(), marker.end())
        every.setdefault(int(marker[2]), []).append(span)
        if not marker[1]:
            plain.setdefault(int(marker[2]), []).append(span)
    named = [
        (c, plain.get(c.rank or n) if c.marker is None else every.get(c.marker))
        for n, c in enumerate(citations, start=1)
    ]
    return tuple(replace(c, spans=tuple(spans)) if spans else c for c, spans in named)


def distinct(citations: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return each source once, where it is listed first.

    Of several entries of a source, such as one for each search that found it, the first that the
    answer names stands for all: its number is that of a marker.

    Parameters:
        citations: as `Citation.as_dict` writes them.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for citation in citations:
        key = citation["id"] or f"source {len(known)}"
        entry = known.setdefault(key, citation)
        if citation.get("spans") and not entry.get("spans"):
            known[key] = citation
    return list(known.values())
