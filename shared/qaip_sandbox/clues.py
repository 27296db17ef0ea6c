"""What a prompt, and the answer to it, offer for the values of a JSON object."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from ._wire import Json
from .text import fold, sentences, terms

__all__ = ["Clues", "Grade", "is_prose", "name_words"]

_QUOTED = re.compile(
    r"(?<!\w)'([^'\n]+)'(?!\w)|\"([^\"\n]+)\"|“([^”\n]+)”|‘([^’\n]+)’|«([^»\n]+)»"
    r"|「([^」\n]+)」|『([^』\n]+)』|`([^`\n]+)`"
)
# A number may end in a unit ("9W") but not begin inside a word ("sonar2", "3.1.4").
_SIGN = r"(?:(?<![\w)\].])[-−])?(?<![A-Za-z_\d.])"
_NUMBER = re.compile(
    rf"{_SIGN}\d{{1,3}}(?:,\d{{3}})+(?:\.\d{{1,15}})?(?!\.?\d)"
    rf"|{_SIGN}\d{{1,15}}(?:\.\d{{1,15}})?(?!\.?\d)"
)
_PROPER = r"[A-ZÀ-ÖØ-Þ][\w'’.&-]*"
_PLACE = re.compile(
    rf"\b(?:in|for|at|of|near|to|from)\s+({_PROPER}(?:(?:,\s*|\s+){_PROPER})*)(?<![.'’&-])"
)
_NAME = re.compile(r"[A-Z][\w-]*(?:\s+[A-Z][\w-]*)*")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_BEFORE, _AFTER = re.compile(r"\S+\s*\S*\s*\Z"), re.compile(r"\s*\S+(?:\s+\S+)?")
_NEGATION = r"\b(?:no|not|without|don't|never)\s+(?:\w+\s+)?"

_FORMATS = {
    "date": (r"\d{4}-\d\d-\d\d", "2025-01-01"),
    "date-time": (
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)",
        "2025-01-01T00:00:00Z",
    ),
    "time": (r"(?<![\d:])\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)", "00:00:00Z"),
    "duration": (r"\bP(?=[\dT])(?:\d+[YMWD])*(?:T(?:\d+[HMS])+)?\b", "P1D"),
    "email": (r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", "someone@example.org"),
    "uri": (r"https?://[^\s<>\"')\]]+", "https://example.org/"),
    "uuid": (
        r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",
        f"{'0' * 8}{'-0000' * 3}-{'0' * 12}",
    ),
    "hostname": (r"\b(?:[a-z0-9-]+\.)+[a-z]{2,}\b", "example.org"),
    "ipv4": (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "192.0.2.1"),
    "ipv6": (r"\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b", "2001:db8::1"),
}
_FORMAT_ALIASES = {"url": "uri", "uri-reference": "uri", "iri": "uri", "idn-email": "email"}

_QUERIES = frozenset(["query", "question", "search", "q", "keywords", "prompt", "request", "input"])
_ANSWERS = frozenset(["answer", "response", "reply", "result", "summary", "explanation", "content"])
_PLACES = frozenset(["location", "place", "city", "country", "region", "town", "destination"])
_NAMES = frozenset(["name", "style", "title", "topic", "subject", "person", "author", "language"])
_PROSE = _ANSWERS | {"description", "text", "body", "comment", "note", "details", "reason"}


class Grade(IntEnum):
    """How good a clue must be."""

    SURE = 0
    """It belongs to the property's name."""
    FRESH = 1
    """It has not been used for another property."""
    ANY = 2


@dataclass(frozen=True, slots=True)
class _Number:
    value: int | float
    near: frozenset[str]
    """The stems of the words next to it."""


class Clues:
    """Numbers, quoted strings, names and sentences, each handed out once where there are others.

    Args:
        prompt: What the user asks.
        answer: What the documents say to that; empty for nothing.
    """

    def __init__(self, prompt: str, answer: str = "") -> None:
        self._prompt, self._answer = prompt.strip(), answer.strip()
        self._numbers = [*_numbers(prompt), *_numbers(answer)]
        self._quoted = [next(filter(None, match.groups())) for match in _QUOTED.finditer(prompt)]
        self._counts = {"number": len(self._numbers), "quoted": len(self._quoted)}
        told = self._answer or self._prompt
        self._sentences = [sentence.text for sentence in sentences(told)] or [told]
        self._used: set[tuple[str, int]] = set()

    def mark(self) -> frozenset[tuple[str, int]]:
        """Remember what has been handed out so far."""
        return frozenset(self._used)

    def restore(self, mark: frozenset[tuple[str, int]]) -> None:
        """Take back what has been handed out since `mark`."""
        self._used = set(mark)

    def left(self, kind: Literal["number", "quoted"]) -> int:
        """Count the clues of a kind that no property has got yet."""
        return sum((kind, place) not in self._used for place in range(self._counts[kind]))

    def number(
        self, name: str, fits: Callable[[Json], bool], grade: Grade = Grade.ANY
    ) -> int | float | None:
        """Return a number that fits: one next to a word of `name`, else the first one left."""
        stems = _stems(name)
        fitting = [
            (place, number)
            for place, number in enumerate(self._numbers)
            if fits(number.value) and ("number", place) not in self._used
        ]
        near = [pair for pair in fitting if pair[1].near & stems]
        for place, number in near or (fitting if grade > Grade.SURE else []):
            self._used.add(("number", place))
            return number.value
        return None

    def flag(self, name: str, grade: Grade = Grade.ANY) -> bool | None:
        """Say whether the prompt wants what `name` names; None without a word of it."""
        named = "|".join(map(re.escape, _stems(name)))
        if not named or not re.search(rf"\b(?:{named})", fold(self._prompt)):
            return True if grade is Grade.ANY else None
        return not re.search(f"{_NEGATION}(?:{named})", fold(self._prompt))

    def option(self, options: Sequence[Json]) -> Json:
        """Return the option that is mentioned first, in the prompt or else in the answer; or None.

        Of several that the prompt offers to choose from, the answer chooses.
        """
        offered, told = _mentioned(options, self._prompt), _mentioned(options, self._answer)
        chosen = [option for option in told if option in offered] if len(offered) > 1 else []
        return next(iter(chosen or offered or told), None)

    def mentions(self, word: Json) -> bool:
        """Say whether the prompt contains `word`."""
        return any(True for _ in _places(word, self._prompt))

    def string(
        self, name: str, fits: Callable[[str], str | None], grade: Grade = Grade.ANY
    ) -> str | None:
        """Return a text for `name`, made to fit; None where there is none of this grade."""
        for text, key in self._strings(name, grade):
            fitting = fits(text) if text else None
            if fitting is not None:
                self._used.update([key] if key else [])
                return fitting
        return None

    def formatted(self, kind: str, grade: Grade = Grade.ANY) -> str | None:
        """Return a string of a JSON Schema format; None if it is unknown or not of this grade."""
        kind = _FORMAT_ALIASES.get(kind, kind)
        if kind not in _FORMATS:
            return None
        pattern, fallback = _FORMATS[kind]
        found = [*re.findall(pattern, self._prompt), *re.findall(pattern, self._answer)]
        for place, text in enumerate(found):
            if (kind, place) not in self._used:
                self._used.add((kind, place))
                return str(text)
        return (found or [fallback])[-1] if grade is Grade.ANY else None

    def _strings(self, name: str, grade: Grade) -> Iterator[tuple[str, tuple[str, int] | None]]:
        words = set(name_words(name))
        if words & _ANSWERS:
            yield self._answer, None
        if grade > Grade.SURE:
            yield from self._fresh("quoted", self._quoted)
        if words & _PLACES:
            yield from self._fresh("place", _PLACE.findall(self._prompt))
        if words & _NAMES:
            yield from self._fresh("name", _names(self._prompt))
        if words & _QUERIES:
            yield self._prompt, None
        if grade > Grade.SURE:
            yield from self._fresh("sentence", self._sentences)
        if grade is Grade.ANY:
            told = self._answer or self._prompt
            parts = [*self._sentences, *re.findall(r"[\w-]+", told)]
            yield from ((text, None) for text in [*parts, name, "text"])

    def _fresh(self, kind: str, texts: Iterable[str]) -> Iterator[tuple[str, tuple[str, int]]]:
        for place, text in enumerate(texts):
            if (kind, place) not in self._used:
                yield text, (kind, place)


def name_words(name: str) -> list[str]:
    """Return the words of a name in any of the usual styles: a_b, a-b, aB."""
    return [word.lower() for word in _WORD.findall(name)]


def is_prose(name: str) -> bool:
    """Say whether a property of this name holds a text rather than a short value."""
    return not _PROSE.isdisjoint(name_words(name))


def _stems(text: str) -> frozenset[str]:
    return frozenset(term.stem for term in terms(" ".join(_WORD.findall(text))))


def _numbers(text: str) -> Iterator[_Number]:
    for match in _NUMBER.finditer(text):
        digits = match[0].replace(",", "").replace("−", "-")
        before = _BEFORE.search(text, max(0, match.start() - 60), match.start())
        after = _AFTER.match(text, match.end())
        around = f"{before[0] if before else ''} {after[0] if after else ''}"
        yield _Number(float(digits) if "." in digits else int(digits), _stems(around))


def _names(text: str) -> list[str]:
    # The first word of a sentence is written large whatever it is.
    return [
        match[0]
        for match in _NAME.finditer(text)
        if text[: match.start()].rstrip()[-1:] not in ("", ".", "!", "?", ":", '"', "'")
    ]


def _mentioned(options: Sequence[Json], text: str) -> list[Json]:
    """Return the options in the order of their mention, the longest first where they overlap."""
    found = [(place, option) for option in options for place in _places(option, text)]
    found.sort(key=lambda pair: (pair[0], -len(str(pair[1]))))
    return [option for _, option in found]


def _places(option: Json, text: str) -> Iterator[int]:
    word = re.escape(fold(str(option))).replace("_", "[_ -]")
    if option is not None and str(option) and not isinstance(option, bool):
        # Japanese has no word boundaries: letters only count as the same word in one script.
        pattern = rf"(?<![a-z0-9_]){word}(?![a-z0-9_])" if word.isascii() else word
        yield from (match.start() for match in re.finditer(pattern, fold(text)))
