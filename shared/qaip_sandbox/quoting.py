"""The sentences of a passage that can stand in an answer.

In an answer `[n]` is a source of the answer, so the marks of footnotes that a document has itself
are left out of what is quoted from it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from .text import Sentence, sentences, tokens

__all__ = ["Said", "marked", "quotable", "span", "unmarked", "worth"]

_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?(?:^\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_RULE = re.compile(r"[ \t]*\n[ \t]*\|[ \t]*:?-[ \t|:-]*(?:\n|\Z)")  # below the head of a table
# A mark may be a link, as `[[3]](https://...)` or `[\[3\]](#note)`. The index of a list in code is
# no mark, nor is a year. Repeats are possessive, so that no text takes long.
_CODE_OR_MARK = re.compile(
    r"`[^`\n]*`"
    r"|(?P<mark>(?:(?<![ \t])[ \t]++)?\[(?P<inner>\\?\[)?(?:web:)?\d{1,3}(?(inner)\\?\])\]"
    r"(?:\((?:[^()\s]|\([^()\s]*+\))*+\))?)"
)
_MARK = re.compile(r"\[(?:web:)?\d{1,3}\]")
_ROW = 0.2
_KEPT = 512  # passages: those of the last questions, which are read once more to be quoted


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, word for word but for the marks of footnotes, and its tokens.

    `worth` is 1, less for the row of a table, which says little by itself.
    """

    text: str
    tokens: frozenset[str]
    worth: float


@lru_cache(maxsize=_KEPT)
def quotable(text: str) -> tuple[Said, ...]:
    """Return the sentences of `text` without its code, its headings and the heads of tables."""
    fences = [match.span() for match in _FENCED.finditer(text)]
    found = (
        unmarked(one.text)
        for one in sentences(text)
        if not (_in_code(one, fences) or _is_heading(text, one) or _RULE.match(text, one.end))
    )
    return tuple(Said(one, frozenset(tokens(one)), worth(one)) for one in found if one)


def unmarked(text: str) -> str:
    """Return `text` without the marks of its footnotes."""
    parts: list[str] = []
    end = 0
    for mark in _marks(text):
        parts.append(text[end : mark.start()])
        end = mark.end()
    return "".join([*parts, text[end:]]).strip()


def marked(sentence: str) -> bool:
    """Say whether a sentence would, in an answer, name sources: by an index in code."""
    return bool(_MARK.search(sentence))


def span(text: str, quote: str) -> tuple[int, int] | None:
    """Return where `text`, which may have marks, says `quote`, which has none."""
    kept = [*range(len(text))]
    for mark in reversed([*_marks(text)]):
        del kept[mark.start() : mark.end()]
    start = "".join(text[place] for place in kept).find(quote)
    if start < 0 or not quote:
        return None
    return kept[start], kept[start + len(quote) - 1] + 1


def _marks(text: str) -> Iterator[re.Match[str]]:
    return (match for match in _CODE_OR_MARK.finditer(text) if match["mark"])


def worth(sentence: str) -> float:
    """Return 1, or less for the row of a table, which says little by itself."""
    return _ROW if sentence.startswith("|") else 1.0


def _in_code(sentence: Sentence, fences: list[tuple[int, int]]) -> bool:
    return any(start <= sentence.start < end for start, end in fences)


def _is_heading(text: str, sentence: Sentence) -> bool:
    # The mark of a heading is no part of the sentence.
    line = text.rfind("\n", 0, sentence.start) + 1
    return line < sentence.start and bool(_HEADING.match(text, line))
