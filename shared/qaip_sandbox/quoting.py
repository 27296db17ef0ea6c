"""The sentences of a passage that can stand in an answer."""

import re
from dataclasses import dataclass
from functools import lru_cache

from .text import Sentence, sentences, tokens

__all__ = ["Said", "quotable", "worth"]

_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n.*?(?:^\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6}[ \t]", re.MULTILINE)
_RULE = re.compile(r"[ \t]*\n[ \t]*\|[ \t]*:?-[ \t|:-]*(?:\n|\Z)")  # below the head of a table
_ROW = 0.2
_KEPT = 512  # passages: those of the last questions, which are read once more to be quoted


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence, word for word, and its tokens.

    `worth` is 1, less for the row of a table, which says little by itself.
    """

    text: str
    tokens: frozenset[str]
    worth: float


@lru_cache(maxsize=_KEPT)
def quotable(text: str) -> tuple[Said, ...]:
    """Return the sentences of `text` without its code, its headings and the heads of tables."""
    fences = [match.span() for match in _FENCED.finditer(text)]
    return tuple(
        Said(one.text, frozenset(tokens(one.text)), worth(one.text))
        for one in sentences(text)
        if not (_in_code(one, fences) or _is_heading(text, one) or _RULE.match(text, one.end))
    )


def worth(sentence: str) -> float:
    """Return 1, or less for the row of a table, which says little by itself."""
    return _ROW if sentence.startswith("|") else 1.0


def _in_code(sentence: Sentence, fences: list[tuple[int, int]]) -> bool:
    return any(start <= sentence.start < end for start, end in fences)


def _is_heading(text: str, sentence: Sentence) -> bool:
    # The mark of a heading is no part of the sentence.
    line = text.rfind("\n", 0, sentence.start) + 1
    return line < sentence.start and bool(_HEADING.match(text, line))
