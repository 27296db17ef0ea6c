"""Sources as they are shown: harmless, and with what is known of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from qaip_core.rendering.excerpts import cited_words, excerpt, telling
from qaip_core.rendering.harmless import clean, one_line, safe_link, shorten

__all__ = ["Source", "source"]

_DAY = re.compile(r"(\d{4}-\d\d-\d\d)T")
# Other packages' loaders call the same things by other names.
_TITLES = ("title", "file_name", "filename", "name")
_LINKS = ("url", "source", "link")
_PAGES = ("page_number", "page_label")
_LONGEST = 4000


@dataclass(frozen=True, slots=True)
class Source:
    """A source as it is shown.

    Parameters:
        number: n of the ``[n]`` in the answer.
        named: whether the answer names it.
        title: its title, else its address.
        url: a web address that can be followed; None if there is none.
        site: the address's host.
        page: the page, as the service counts.
        date: as sent.
        text: the passage, at most 4,000 characters.
        telling: where in it the sentence begins that the answer most likely rests on.
    """

    number: int
    named: bool
    title: str
    url: str | None = None
    site: str | None = None
    page: str | None = None
    date: str | None = None
    text: str = ""
    telling: int = 0

    @property
    def facts(self) -> tuple[str, ...]:
        """Page, date and site, as far as they are known."""
        page = f"p. {self.page}" if self.page else None
        site = None if self.site == self.title else self.site
        return tuple(fact for fact in (page, self.date, site) if fact)

    def excerpt(self, length: int) -> str:
        """Return the passage in one line, or the telling part of it, cut to a length."""
        return excerpt(self.text, self.telling, length)


def source(citation: Mapping[str, Any], number: int, answer: str, ends: Sequence[int]) -> Source:
    """Return a source as it is shown.

    Parameters:
        citation: as `Citation.as_dict` writes it.
        number: n of its ``[n]``.
        answer: the text.
        ends: where in the text the sentences end that cite it; none if none does.
    """
    said = str(citation.get("text") or "")[: 4 * _LONGEST]  # to clean megabytes takes its time
    passage = shorten(clean(said).strip(), _LONGEST)
    url = next((link for name in _LINKS if (link := safe_link(citation.get(name)))), None)
    site = (urlsplit(url).hostname or "").removeprefix("www.") if url else None
    return Source(
        number=number,
        named=bool(ends),
        title=_said(citation, _TITLES, 200)
        or _address(url)
        or _said(citation, _LINKS, 200)
        or f"Source {number}",
        url=url,
        site=site,
        page=_said(citation, _PAGES, 20),
        date=_date(citation),
        text=passage,
        telling=telling(passage, cited_words(answer, ends)) if ends else 0,
    )


def _said(citation: Mapping[str, Any], names: Sequence[str], length: int) -> str | None:
    """Return the first of several facts that says something, in one line."""
    for name in names:
        value = citation.get(name)
        if isinstance(value, str | int | float) and (line := one_line(str(value)[: 10 * length])):
            return shorten(line, length)
    return None


def _address(url: str | None) -> str | None:
    """Return an address as a title: without what could make it look like another's."""
    if not url:
        return None
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2].removeprefix("www.")
    return shorten(urlunsplit(("", place, *parts[2:]))[2:].rstrip("/"), 80)


def _date(citation: Mapping[str, Any]) -> str | None:
    said = _said(citation, ("date",), 40)
    day = _DAY.match(said) if said else None
    return day[1] if day else said
