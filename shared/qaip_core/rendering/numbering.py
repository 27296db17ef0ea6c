"""Numbers an answer's sources, and marks wherever it cites them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from qaip_core.citations import distinct, resolve_markers
from qaip_core.rendering.harmless import clean
from qaip_core.rendering.sources import Source, source
from qaip_core.types import Citation

__all__ = ["named_by_place", "named_by_search", "numbered"]

_MARKER = re.compile(r"\[(?:web:)?(\d{1,4})\]")


def numbered(
    text: str, citations: Sequence[Mapping[str, Any]]
) -> tuple[str, tuple[Source, ...], dict[int, int]]:
    """Return the text with a marker ``[n]`` wherever it cites, and the sources by their numbers.

    The last of what is returned are numbers of the text that were changed, since two of them are
    the same source, and what they are now.

    A marker that is there keeps its number; a cited phrase gets one after its end. Sources that
    the text does not name have the numbers that are left.

    Parameters:
        text: the answer.
        citations: as `Citation.as_dict` writes them.
    """
    known = [{**citation, "id": citation.get("id")} for citation in citations]
    listed = distinct(known)
    places = {_key(citation): place for place, citation in enumerate(listed)}
    spans: dict[int, list[tuple[int, int]]] = {}
    for citation in known:
        place = places[_key(citation)]
        spans.setdefault(place, []).extend(_spans(text, citation))
    numbers = _numbers(text, listed, spans)
    edits = {_edit(text, span, numbers[place]) for place in spans for span in spans[place]}
    sources = (
        source(citation, numbers[place], text, [*_ends(text, spans[place])])
        for place, citation in enumerate(listed)
    )
    other = {
        int(marker[1]): numbers[place]
        for place in spans
        for span in spans[place]
        if (marker := _MARKER.fullmatch(text, *span)) and int(marker[1]) != numbers[place]
    }
    shown = tuple(sorted(sources, key=lambda source: source.number))
    return clean(_edited(text, edits)), shown, other


def named_by_place(text: str, citations: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return sources with the places of the markers ``[n]`` that name them.

    For answers whose author, a model that was given numbered passages, is not known to say where
    it cites: there ``[n]`` names the source whose marker, rank or place is n.

    Parameters:
        text: the answer.
        citations: as `Citation.as_dict` writes them; spans they have are kept.
    """
    ranks = [_first_number(citation) for citation in citations]
    known = [Citation(id="", rank=rank) for rank in ranks]
    found = (
        [[span.start, span.end] for span in citation.spans]
        for citation in resolve_markers(text, known)
    )
    return [
        {**citation, "spans": citation.get("spans") or spans}
        for citation, spans in zip(citations, found, strict=True)
    ]


def named_by_search(
    text: str, searches: Iterable[Sequence[Mapping[str, Any]]]
) -> list[Mapping[str, Any]]:
    """Return the sources that an agent's searches found.

    Of a single search, with the places of the markers that name them: the numbers of several
    would mean several things.

    Parameters:
        text: the agent's answer.
        searches: what each of them found, as `Citation.as_dict` writes it.
    """
    found = [sources for sources in searches if sources]
    if len(found) == 1:
        return [*named_by_place(text, found[0])]
    return [source for sources in found for source in sources]


def _first_number(citation: Mapping[str, Any]) -> int | None:
    said = (citation.get("marker"), citation.get("rank"))
    return next((n for n in said if type(n) is int and n > 0), None)


def _key(citation: Mapping[str, Any]) -> object:
    """Return what entries of one source have in common; without an id all are different."""
    return citation["id"] or ("", id(citation))


def _spans(text: str, citation: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the places that cite a source, as far as they are such, and lie in the text."""
    listed = citation.get("spans")
    pairs = [*filter(_is_pair, listed)] if isinstance(listed, list | tuple) else []
    return [(start, end) for start, end in pairs if 0 <= start < end <= len(text)]


def _is_pair(span: object) -> bool:
    return (
        isinstance(span, list | tuple)
        and len(span) == 2
        and all(isinstance(place, int) for place in span)
    )


def _numbers(
    text: str,
    listed: Sequence[Mapping[str, Any]],
    spans: Mapping[int, Sequence[tuple[int, int]]],
) -> dict[int, int]:
    """Return the number of each source: no two have the same."""
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    highest = 0
    # Those whose number stands in the text come first, those that it does not name last.
    order = sorted(range(len(listed)), key=lambda place: (_rank(text, spans[place]), place))
    for place in order:
        wanted = _wanted(text, listed[place], spans[place], place)
        number = wanted if wanted not in taken else highest + 1
        highest = max(highest, number)
        numbers[place] = number
        taken.add(number)
    return numbers


def _rank(text: str, spans: Sequence[tuple[int, int]]) -> int:
    if any(_MARKER.fullmatch(text, *span) for span in spans):
        return 0
    return 1 if spans else 2


def _wanted(
    text: str, citation: Mapping[str, Any], spans: Sequence[tuple[int, int]], place: int
) -> int:
    for span in spans:
        if marker := _MARKER.fullmatch(text, *span):
            return int(marker[1])
    return _first_number(citation) or place + 1


def _edit(text: str, span: tuple[int, int], number: int) -> tuple[int, int, str]:
    """Return what to write where: a marker, or one behind a phrase."""
    if _MARKER.fullmatch(text, *span):
        return *span, f"[{number}]"
    return span[1], span[1], f"[{number}]"


def _edited(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    pieces, done, inserted = [], 0, -1
    for start, end, marker in sorted(edits):
        if start < done:
            continue
        pieces.append(text[done:start])
        if start == end and inserted != start:
            pieces.append(" ")
        inserted = start if start == end else -1
        pieces.append(marker)
        done = end
    return "".join([*pieces, text[done:]])


def _ends(text: str, spans: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield where the sentences end that are cited."""
    for start, end in spans:
        yield start if _MARKER.fullmatch(text, start, end) else end
