"""Cutting a text by headings, pages and paragraphs into passages of about 800 characters."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .text import sentences

__all__ = ["Passage", "cut", "front_matter", "headings"]

_SIZE = 800
_LONGEST = 2 * _SIZE  # of a passage that has no sentences, such as a line of data
_Span = tuple[int, int]

# A rule at the top of a text is no front matter: that is empty or begins with a name.
_FRONT_MATTER = re.compile(
    r"\A---[ \t]*+\n(?P<facts>(?:(?=\#|[\w\"'.-]++[ \t]*+:)(?:[^\n]*\n)*?)?)---[ \t]*+(?:\n|\Z)"
)
# Blanks are cut off in Python and repeats are possessive, so that no line takes long.
_BLOCK = re.compile(
    r"^(?P<fence>`{3,}+(?=[^\n`]*+\n)|~{3,}+(?=[^\n]*+\n)).*?(?:^(?P=fence)[^\n]*$|\Z)"
    r"|^#{1,6}[ \t](?P<heading>[^\n]*)$"
    r"|^(?P<underlined>[^\s|>*+-][^\n]{0,200})\n(?P<line>[=^-])(?P=line){2,}+[ \t]*+$"
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


def front_matter(text: str) -> re.Match[str] | None:
    """Return the block of facts that `text` begins with; its lines are the group `facts`."""
    return _FRONT_MATTER.match(text)


def cut(text: str, title: str = "") -> tuple[Passage, ...]:
    """Cut `text` into passages; form feeds part its pages, and front matter is left out.

    A heading that nothing stands below belongs to the passage that follows it, or to the last
    one; but not where it is the title, which every passage has. A text that has only headings is
    one passage, a text without any is none.

    Args:
        text: The text.
        title: The title of the document, or "".
    """
    spans = list(_spans(text, title))
    if not spans and text.strip():
        spans = [("", *_stripped(text, 0, len(text)))]
    return tuple(_paged(text, spans))


def _paged(text: str, spans: list[tuple[str, int, int]]) -> Iterator[Passage]:
    page, last = int("\f" in text), 0
    for heading, start, end in spans:
        page, last = page + text.count("\f", last, start), start
        yield Passage(start, end, heading, page)


def _blocks(text: str) -> Iterator[re.Match[str]]:
    front = front_matter(text)
    return _BLOCK.finditer(text, front.end() if front else 0)


def _heading(block: re.Match[str]) -> str:
    if block["heading"] is None:
        return (block["underlined"] or "").strip()
    found = block["heading"].strip()
    bare = found.rstrip("#")
    return found if bare[-1:].strip() else bare.rstrip()


def _spans(text: str, title: str) -> Iterator[tuple[str, int, int]]:
    for heading, bare, pieces in _filled(text, title):
        for span in _joined(text, bare, pieces):
            yield heading, *span


def _filled(text: str, title: str) -> list[tuple[str, list[_Span], list[_Span]]]:
    """Return each heading with text below it, the empty headings before it, and that text."""
    found: list[tuple[str, list[_Span], list[_Span]]] = []
    bare: list[_Span] = []
    for heading, place, pieces in _sections(text):
        if pieces:
            found.append((heading, bare, pieces))
            bare = []
        elif heading and heading != title:
            bare.append(place)
    if found:
        found[-1][2].extend(bare)
    return found


def _sections(text: str) -> Iterator[tuple[str, _Span, list[_Span]]]:
    heading, place = "", (0, 0)
    pieces: list[_Span] = []
    for block in _blocks(text):
        if found := _heading(block):
            yield heading, place, pieces
            heading, place, pieces = found, block.span(), []
        else:
            pieces.extend(_slices(text, *block.span()))
    yield heading, place, pieces


def _joined(text: str, bare: list[_Span], pieces: list[_Span]) -> list[_Span]:
    """Join what follows one another while it is short; headings do not stand alone."""
    spans: list[_Span] = []
    for number, (start, end) in enumerate([*bare, *pieces]):
        longest = _LONGEST if number == len(bare) else _SIZE
        begin = spans[-1][0] if spans else start
        if spans and end - begin <= longest and "\f" not in text[begin:start]:
            spans[-1] = begin, end
        else:
            spans.append((start, end))
    return spans


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
    parts = (part for pair in pairs for part in _bounded(text, *pair))
    return [_stripped(text, *part) for part in parts if text[slice(*part)].strip()]


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
