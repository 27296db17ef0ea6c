"""How much of a question a passage answers."""

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from .text import Term, fold, tokens

__all__ = ["Found", "Question", "joined"]

Found = Mapping[Term, float]
"""The words of a question that were found: 1 for a word itself, less for a synonym."""

_SYNONYM = 0.5
_KEPT = 512  # passages and headings: those of the last questions
_FORM = 5  # letters that a stem needs before other words that begin with it count as its forms


@dataclass(frozen=True, slots=True)
class Question:
    """The content words of a question, each with its weight: the rarer, the heavier.

    `synonyms` are the stems that stand in for words which no document has.
    """

    weights: Mapping[Term, float]
    synonyms: Mapping[Term, frozenset[str]] = field(default_factory=dict[Term, frozenset[str]])
    total: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", sum(self.weights.values()))

    @property
    def wanted(self) -> list[Term]:
        """What to look for: the content words and their synonyms."""
        others = {stem for stems in self.synonyms.values() for stem in stems}
        return [*self.weights, *(Term(stem, prefix=True) for stem in sorted(others))]

    def coverage(self, text: str) -> float:
        """Return the weighted share of the content words that `text` contains, 0 to 1."""
        return self.share(self.found(text))

    def share(self, found: Found) -> float:
        """Return the weighted share of the content words that `found` are, 0 to 1."""
        if not self.total:
            return 0.0
        return sum(self.weights[term] * degree for term, degree in found.items()) / self.total

    def found(self, text: str) -> Found:
        """Return the content words that `text` contains, themselves or by a synonym."""
        return self.among(_known(text), text)

    def among(self, known: Collection[str], text: str) -> Found:
        """Return what `found` does, where the tokens of `text` are known."""
        folded = fold(text)
        degrees = {term: self._degree(known, folded, term) for term in self.weights}
        return {term: degree for term, degree in degrees.items() if degree}

    def named(self, title: str) -> tuple[Found, float]:
        """Return the content words in `title`, also as parts of its words, and how well they fit.

        A title fits, 0 to 1, if it names much of the question and little else.
        """
        folded = fold(title)
        found = [t for t in self.weights if len(t.stem) >= _part(t) and t.stem in folded]
        length = sum(map(str.isalnum, folded))
        if not found:
            return {}, 0.0
        named = dict.fromkeys(found, 1.0)
        return named, math.sqrt(self.share(named) * _covered(folded, found) / length)

    def _degree(self, known: Collection[str], folded: str, term: Term) -> float:
        if not term.prefix:
            return float(term.stem in folded)
        if term.stem in known:
            return 1.0
        # The first question is quickly answered, and mostly with no.
        if len(term.stem) >= _FORM and term.stem in folded:
            return float(any(token.startswith(term.stem) for token in known))
        return _SYNONYM if any(s in known for s in self.synonyms.get(term, ())) else 0.0


@lru_cache(maxsize=_KEPT)
def _known(text: str) -> frozenset[str]:
    return frozenset(tokens(text))


def _part(term: Term) -> int:
    """Return how many letters a stem needs to be looked for inside the words of a title."""
    return 3 if term.prefix else 1


def _covered(folded: str, found: Iterable[Term]) -> int:
    """Return how many characters of `folded` the stems cover."""
    pattern = "|".join(re.escape(t.stem) for t in sorted(found, key=lambda t: -len(t.stem)))
    return sum(len(match[0]) for match in re.finditer(pattern, folded))


def joined(*found: Found) -> Found:
    """Return what was found in any of several places."""
    whole: dict[Term, float] = {}
    for one in found:
        for term, degree in one.items():
            whole[term] = max(degree, whole.get(term, 0.0))
    return whole
