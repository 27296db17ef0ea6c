"""Cutting a text by headings, pages and paragraphs into passages of about 800 characters."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .text import sentences

__all__ = ["Passage", "cut", "headings"]

_SIZE = 800
_LONGEST = 2 * _SIZE  # of a passage that has no sentences, such as a line of data
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[^\n]*$|\Z)"
    r"|^#{1,6}[ \t]+(?P<heading>[^\n]+?)[ \t]*#*[ \t]*$"
    r"|^(?P<underlined>[^\s|>*+-][^\n]{0,200})\n(?P<line>[=^-])(?P=line){2,}[ \t]*$"
    r"|^(?P<paragraph>[^\n]*\S[^\n]*(?:\n(?!#{1,6}[ \t]|`{3}|~{3})[^\n]*\S[^\n]*)*)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Passage:
    """Where a passage lies in its text, in characters, and what stands above it.

    `page` counts from 1, 0 without pages. `url` is the address of just this passage, or "".
    """

    start: int
    end: int
    heading: str = ""
    page: int = 0
    url: str = ""


def headings(text: str) -> Iterator[str]:
    """Yield the headings of `text`, from the top."""
    return (heading for block in _blocks(text) if (heading := _heading(block)))


def cut(text: str) -> tuple[Passage, ...]:
    """Cut `text` into passages; form feeds part its pages, and front matter is left out.

    A text that has only headings is one passage, a text without any is none.
    """
    spans = list(_spans(text))
    if not spans and text.strip():
        spans = [("", *_stripped(text, 0, len(text)))]
    return tuple(_paged(text, spans))


def _paged(text: str, spans: list[tuple[str, int, int]]) -> Iterator[Passage]:
    page, last = int("\f" in text), 0
    for heading, start, end in spans:
        page, last = page + text.count("\f", last, start), start
        yield Passage(start, end, heading, page)


def _blocks(text: str) -> Iterator[re.Match[str]]:
    front = _FRONT_MATTER.match(text)
    return _BLOCK.finditer(text, front.end() if front else 0)


def _heading(block: re.Match[str]) -> str:
    return (block["heading"] or block["underlined"] or "").strip()


def _spans(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield passages; paragraphs that follow one another are joined while they are short."""
    heading = ""
    open_span: tuple[int, int] | None = None
    for block in _blocks(text):
        if _heading(block):
            if open_span:
                yield heading, *open_span
            heading, open_span = _heading(block), None
            continue
        for start, end in _slices(text, *block.span()):
            if open_span and end - open_span[0] <= _SIZE and "\f" not in text[open_span[0] : start]:
                open_span = open_span[0], end
                continue
            if open_span:
                yield heading, *open_span
            open_span = start, end
    if open_span:
        yield heading, *open_span


def _slices(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a block at page ends, and where it is long, between sentences."""
    for page in re.finditer(r"[^\f]+", text[start:end]):
        if page[0].strip():
            yield from _shorter(text, *_stripped(text, start + page.start(), start + page.end()))


def _shorter(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cuts, last = [start], start
    for sentence in sentences(text[start:end]) if end - start > _SIZE else []:
        if start + sentence.end - cuts[-1] > _SIZE and last > cuts[-1]:
            cuts.append(last)
        last = start + sentence.end
    pairs = zip(cuts, [*cuts[1:], end], strict=True)
    return [_stripped(text, *piece) for pair in pairs for piece in _bounded(text, *pair)]


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST:
        space = text.rfind(" ", start + 1, start + _LONGEST)
        middle = space if space > 0 else start + _LONGEST
        yield start, middle
        start = middle
    yield start, end


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
