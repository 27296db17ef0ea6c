"""Which part of a passage to show, where there is no room for all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qaip_core.rendering.harmless import shorten

__all__ = ["cited_words", "excerpt", "telling"]

_ENDS = re.compile(r"(?<=[.!?])\s+|\n+|\[(?:web:)?\d{1,4}\]")
_SENTENCES = re.compile(r".*?(?:[.!?](?=\s)|\n|\Z)", re.DOTALL)
_WORDS = re.compile(r"\w{2,}")
# A heading at the beginning: a short line that ends no sentence, above a blank line or a capital.
_HEADING = re.compile(r"\A\s*([^\n]{0,59}[^\s.!?:;,])[ \t]*\n(?:\s*\n|(?=[A-ZÀ-ÖØ-Þ]))")
_BEFORE = 300


def cited_words(text: str, ends: Iterable[int]) -> frozenset[str]:
    """Return the words of the sentences that end where a text cites.

    Parameters:
        text: the answer.
        ends: where the markers begin, or the cited phrases end.
    """
    found: set[str] = set()
    for end in ends:
        sentences = [piece for piece in _ENDS.split(text[max(0, end - _BEFORE) : end]) if piece]
        found.update(_words(sentences[-1]) if sentences else ())
    return frozenset(found)


def telling(passage: str, words: frozenset[str]) -> int:
    """Return where the sentence begins that has most of the words; the first one of several."""
    best, most = 0, 0
    for sentence in _SENTENCES.finditer(passage):
        shared = len(words & _words(sentence[0]))
        if shared > most:
            best, most = sentence.start(), shared
    return best


def excerpt(passage: str, begin: int, length: int) -> str:
    """Return a passage in one line: all of it, or what begins at a place, cut to a length."""
    whole = " ".join(_HEADING.sub(r"\1 · ", passage).split())
    if len(whole) <= length or not begin:
        return shorten(whole, length)
    return shorten("... " + " ".join(passage[begin:].split()), length)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _WORDS.findall(text))
