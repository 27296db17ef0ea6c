"""Qaip's search: passages of the indexed documents, without an answer.

Vendor page: https://docs.qaip.com (API reference, Search)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qaip_core.backend import Wire
from qaip_core.backends.qaip._service import QAIP, Content
from qaip_core.backends.qaip.params import FilterParams, Id, Limit, Offset
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, finite, ranked
from qaip_core.types import Citation

__all__ = ["SEARCH", "SEARCH_AS_SENT", "Pages", "SearchParams"]

PAGE = 10
"""How many passages the service returns where it is not told, as users report."""


class SearchParams(FilterParams):
    """Parameters of Qaip's search, besides `FilterParams`.

    Parameters:
        limit: passages to return, at least 1; the service's default is 10, its maximum not known.
        offset: passages to leave out at the front, at least 0.
        source_group_id: the group of sources to search, a UUID; for a crawl its id.

    Source: https://docs.qaip.com (API reference, Search)
    """

    limit: Limit | None = None
    offset: Offset | None = None
    source_group_id: Id | None = None


class _Call(SearchParams):
    query: str | None = None


class _Found(Wire):
    results: list[Content | None]


_READER: Reader[_Found] = Reader(_Found, {"", "results", "results.*.text"})


def _read(body: Any) -> Iterator[tuple[int, Content]]:
    notes: Notes = {}
    return ranked(_READER.body(body, notes).results, notes, "results")


def _decode(body: Any) -> tuple[Citation, ...]:
    return tuple(content.citation(rank) for rank, content in _read(body))


def _as_sent(body: Any) -> tuple[Citation, ...]:
    """Return the passages, each with all that was sent of it, but its text, as metadata."""
    read = _read(body)
    sent = finite(body)["results"]
    return tuple(
        replace(
            content.citation(rank),
            metadata={k: v for k, v in sent[rank - 1].items() if k != "text"},
        )
        for rank, content in read
    )


SEARCH: Operation[Sequence[Citation]] = Operation(
    QAIP, "/search", _decode, _Call, ("query",), method="POST"
)
SEARCH_AS_SENT: Operation[Sequence[Citation]] = replace(SEARCH, decode=_as_sent)
"""The same search; the metadata of a passage is what was sent, nulls and zeros included."""


class Pages:
    """Which pages of a search are still wanted, and what is new on them.

    The service tells neither how many passages there are nor which page is the last: a page that
    is shorter than asked for ends the search, except with ``use_postfilter``, where it proves
    nothing. A page without a new passage always does.

    Parameters:
        values: the parameters of the first page.
        most: how many passages are wanted at most; None for all.

    Raises:
        InvalidParameterError: ``most`` is no such number.
    """

    def __init__(self, values: Mapping[str, Any], most: int | None = None) -> None:
        if most is not None and (not isinstance(most, int) or most < 1):
            raise InvalidParameterError(f"most must be a whole number from 1, not {most!r}")
        self._values = {"limit": min(PAGE, most or PAGE), "offset": 0, **values}
        self._left = most
        self._known: set[str] = set()
        self._ended = False

    @property
    def wanted(self) -> dict[str, Any] | None:
        """The parameters of the next page; None if there is none."""
        return None if self._ended else dict(self._values)

    def new(self, found: Sequence[Citation]) -> list[Citation]:
        """Return the passages of a page that no page before it had, ranked over all pages."""
        limit, offset = self._values["limit"], self._values["offset"]
        fresh: dict[str, Citation] = {}
        for passage in found:
            if passage.id not in self._known:
                fresh.setdefault(passage.id, passage)
        self._known |= fresh.keys()
        taken = [replace(c, rank=offset + (c.rank or 0)) for c in fresh.values()][: self._left]
        if self._left is not None:
            self._left -= len(taken)
        is_short = len(found) < limit and not self._values.get("use_postfilter")
        self._ended = is_short or not fresh or self._left == 0
        self._values["offset"] = offset + limit
        return taken
