"""Extractive answers: sentences quoted from the documents, with markers that cite them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from .index import Filter, Hit, Index
from .question import Found, Question, joined
from .quoting import Said, marked, quotable
from .text import pieces

__all__ = [
    "NOT_FOUND",
    "Answer",
    "Candidate",
    "Generation",
    "Quote",
    "answer",
    "best_of",
    "generate",
]

NOT_FOUND = "I could not find an answer to this question in the documents."

_HITS = 5
_SENTENCES = 4
_HEADING = 0.3
_HALF = 0.5
_NEARLY = 0.85
_NEWS = 0.1


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence, and the numbers (from 1) of the hits that contain it."""

    text: str
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sentence that may be quoted: what of the question it says, and where it stands."""

    text: str
    found: Found
    value: float
    sources: tuple[int, ...]

    def also(self, other: "Candidate") -> "Candidate":
        """Return the sentence as it stands in the sources of both."""
        sources = dict.fromkeys((*self.sources, *other.sources))
        return replace(self, value=max(self.value, other.value), sources=tuple(sources))


@dataclass(frozen=True, slots=True)
class Answer:
    """The quotes that answer a question and the hits that they were taken from.

    `numbered` says that the numbers are those of sources in the prompt, which wants them cited.
    """

    quotes: tuple[Quote, ...]
    hits: tuple[Hit, ...]
    numbered: bool = False

    def text(self, *, markers: bool = True, variant: int = 0) -> str:
        """Return the answer as text.

        Args:
            markers: Whether `[n]` follows each sentence, n counting the hits from 1; it always
                does where the prompt numbers its sources.
            variant: Which quote comes first, 0 or more, so that several choices can differ.
        """
        if not (markers or self.numbered):
            return self.bare(variant)
        cited = [q.text + "".join(f"[{n}]" for n in q.sources) for q in self._ordered(variant)]
        return " ".join(cited) or NOT_FOUND

    def bare(self, variant: int = 0) -> str:
        """Return the answer as text without any markers."""
        return " ".join(quote.text for quote in self._ordered(variant)) or NOT_FOUND

    def _ordered(self, variant: int) -> tuple[Quote, ...]:
        first = variant % len(self.quotes) if self.quotes else 0
        return self.quotes[first:] + self.quotes[:first]


@dataclass(frozen=True, slots=True)
class Generation:
    """A finished text in pieces, one per token, with the reason why it ended: stop or length."""

    pieces: tuple[str, ...]
    finish_reason: str

    @property
    def text(self) -> str:
        """The whole text."""
        return "".join(self.pieces)


def answer(
    index: Index,
    question: str,
    *,
    allowed: Filter = lambda _: True,
    limit: int = _HITS,
) -> Answer:
    """Answer `question` from at most `limit` chunks that `allowed` lets through."""
    asked = index.question(question)
    hits = index.search(asked, limit, allowed)
    quotes = _quotes(asked, hits)
    return Answer(tuple(quotes), tuple(hits) if quotes else ())


def generate(text: str, stop: Sequence[str] = (), max_tokens: int | None = None) -> Generation:
    """Cut `text` as a model would end it.

    Args:
        text: What the model would say without limits.
        stop: The text ends before the first of these.
        max_tokens: The largest number of pieces, 1 or more; None for no limit.
    """
    found = [text.find(word) for word in stop if word and word in text]
    parts = pieces(text[: min(found, default=len(text))])
    if max_tokens is not None and len(parts) > max_tokens:
        return Generation(tuple(parts[:max_tokens]), "length")
    return Generation(tuple(parts), "stop")


def _quotes(question: Question, hits: Sequence[Hit]) -> list[Quote]:
    found: dict[str, Candidate] = {}
    for number, hit in enumerate(hits, 1):
        for said in quotable(hit.chunk.text):
            # The index of a list in code would pass for a marker of the answer.
            if marked(said.text):
                continue
            candidate = _candidate(question, said, hit, number)
            known = found.get(said.text)
            found[said.text] = known.also(candidate) if known else candidate
    return [Quote(one.text, one.sources) for one in best_of(question, found.values())]


def _candidate(question: Question, said: Said, hit: Hit, number: int) -> Candidate:
    found = question.among(said.tokens, said.text)
    # The heading speaks for every sentence below it, but less than the sentence itself.
    value = question.share(found) + _HEADING * question.coverage(hit.chunk.heading)
    return Candidate(said.text, found, value * said.worth * hit.score, (number,))


def best_of(question: Question, candidates: Iterable[Candidate]) -> list[Candidate]:
    """Return the few candidates that answer a question, best first.

    After the best one, a sentence is worth its place if it is nearly as good; or if it is half as
    good, and either stands in the same source or says what the others have not said.
    """
    ranked = sorted(candidates, key=lambda one: -one.value)
    chosen: list[Candidate] = []
    for one in ranked:
        if len(chosen) == _SENTENCES or one.value <= 0 or one.value < _HALF * ranked[0].value:
            break
        if not chosen or one.value >= _NEARLY * ranked[0].value or _adds(question, one, chosen):
            chosen.append(one)
    return chosen


def _adds(question: Question, one: Candidate, chosen: Sequence[Candidate]) -> bool:
    said = joined(*(other.found for other in chosen))
    news = question.share(joined(said, one.found)) - question.share(said)
    together = any(set(one.sources) & set(other.sources) for other in chosen)
    return together or news >= _NEWS
