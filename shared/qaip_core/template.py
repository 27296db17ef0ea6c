"""What an event has in common with the one before it, byte for byte, is not decoded again.

Most events of a stream differ in their text only (`Template`); some services repeat all sources
and count tokens in each (`Outline`). Either way an event is read to what a reader of all of it
would find, or it is left to that one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json, to_json

from qaip_core.errors import ServiceError

__all__ = ["Outline", "Template"]

_PROBE = "a text that no event has \x00"
_NUMBER = 1_234_567_890_123_456  # nor has one such a number
_NONE = b"\n"  # which hardly an event begins with
_TRIES = 8
"""How often something is learned in vain, until no more is tried."""


class Template:
    """Reads an event's text without reading the rest, if that is known byte for byte.

    The rest is JSON around one string. What stands in the string's place is read as JSON: so an
    event is taken for one of the kind only if a reader of all of it would find the same. Only
    neighbours are compared: what an event says besides its text holds until another says else.

    Parameters:
        text_of: returns the text that an event adds, None if it adds none; it has no effects,
            and raises `ServiceError`, as the reader of all of it would.
    """

    __slots__ = ("_after", "_before", "_end", "_start", "_text_of", "_tries")

    def __init__(self, text_of: Callable[[bytes], str | None]) -> None:
        self._text_of = text_of
        self._before = _NONE
        self._after = b""
        self._start = self._end = 0
        self._tries = _TRIES

    def text(self, data: bytes) -> str | None:
        """Return the text of an event of the kind that is known; None for another one."""
        if data.startswith(self._before) and data.endswith(self._after):
            try:
                text = from_json(data[self._start : self._end])
            except ValueError:
                text = None
            if text and type(text) is str:
                self._tries = _TRIES
                return text
        self._before, self._start, self._end = _NONE, 0, 0  # what is in between is empty then
        return None

    def learn(self, data: bytes, text: str) -> None:
        """Take an event, whose text is known, for one of those that are to come.

        Where no two events are alike that is given up after a few.
        """
        if not self._tries:
            return
        self._tries -= 1
        before, _, after = data.partition(to_json(text))
        if after and self._is_text(before, after):
            self._before, self._start = before, len(before)
            self._after, self._end = after, -len(after)

    def _is_text(self, before: bytes, after: bytes) -> bool:
        """Try out whether the text stands between: another string may be the same.

        A comma in quotes may even be what stands between two strings.
        """
        try:
            return self._text_of(before + to_json(_PROBE) + after) == _PROBE
        except ServiceError:
            return False


class Outline:
    """Reads the text of events that differ in texts and numbers only, without the rest.

    What differs between two events is taken for a gap in what is known byte for byte. What
    stands in the gaps of another event is read as JSON, and has to be one text or number each:
    so a reader of all of it would find the same shape, and the same values outside of the gaps.

    Parameters:
        parts: returns the text that an event adds, and what else of it has to be alike; it has
            no effects, and raises `ServiceError`, as the reader of all of it would.

    Unlike with `Template`, what stands in other gaps than that of the text may mean something:
    whoever needs it reads the last event again.
    """

    __slots__ = ("_after", "_before", "_between", "_kinds", "_parts", "_seen", "_text", "_tries")

    def __init__(self, parts: Callable[[bytes], tuple[str | None, Any]]) -> None:
        self._parts = parts
        self._before = _NONE
        self._between: list[tuple[bytes, bytes, int]] = []  # its first bytes, all, how many
        self._after = b""
        self._kinds: list[type] = [type]  # which no JSON is
        self._text = 0  # in which of the gaps it stands
        self._seen = b""
        self._tries = _TRIES

    def text(self, data: bytes) -> str | None:
        """Return the text of an event that is known but for its gaps; None for another one."""
        if not (data.startswith(self._before) and data.endswith(self._after)):
            return None
        place = len(self._before)
        said = []
        for beginning, known, size in self._between:
            end = data.find(beginning, place)
            if end < 0 or not data.startswith(known, end):
                return None
            said.append(data[place:end])
            place = end + size
        said.append(data[place : len(data) - len(self._after)])
        return self._said(said)

    def _said(self, said: list[bytes]) -> str | None:
        try:
            # a line end stands in no string: so each is a value by itself, or this is no JSON
            values = from_json(b"[" + b",\n".join(said) + b"]")
        except ValueError:
            return None
        if [*map(type, values)] != self._kinds:
            return None
        self._tries = _TRIES
        return values[self._text] or None

    def learn(self, data: bytes) -> None:
        """Take an event that adds text, and nothing else, for one of those that are to come."""
        if not self._tries:
            return
        self._tries -= 1
        seen, self._seen = self._seen, data
        text, rest = self._parts(data) if seen else (None, None)
        if text and (gaps := _gaps(seen, data)):
            self._take(*gaps, rest)

    def _take(self, known: list[bytes], kinds: list[type], rest: Any) -> None:
        """Try out what the gaps hold: one the text, the others nothing that has to be alike."""
        probes = [f"{_PROBE}{n}" if k is str else k(_NUMBER + n) for n, k in enumerate(kinds)]
        filled = [known[0]]
        for probe, after in zip(probes, known[1:], strict=True):
            filled += (to_json(probe), after)
        try:
            text, others = self._parts(b"".join(filled))
        except ServiceError:
            return
        if text in probes and others == rest:
            self._text, self._kinds = probes.index(text), kinds
            self._before, *between, self._after = known
            self._between = [(b[:_SOON], b, len(b)) for b in between]


_SOON = 24
"""Bytes of what is known that are looked for: few, since that is slower than to compare."""

_VALUE = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*)', re.DOTALL)


def _kind(value: bytes) -> type:
    """Return what a text or number is read as."""
    if value[:1] == b'"':
        return str
    return int if value.lstrip(b"-").isdigit() else float


def _gaps(one: bytes, other: bytes) -> tuple[list[bytes], list[type]] | None:
    """Return what is between the texts and numbers that differ, and what these are."""
    ones, others = _VALUE.split(one), _VALUE.split(other)
    if ones[::2] != others[::2]:
        return None
    known, kinds, begin = [], [], 0
    for n in range(1, len(ones), 2):
        if ones[n] != others[n]:
            if others[n + 1].lstrip().startswith(b":"):  # a key: what it names may mean something
                return None
            known.append(b"".join(others[begin:n]))
            kinds.append(_kind(others[n]))
            begin = n + 1
    return ([*known, b"".join(others[begin:])], kinds) if kinds else None
