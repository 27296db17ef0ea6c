"""Extractive answers: sentences quoted from the documents, with markers that cite them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .index import Filter, Hit, Index
from .text import pieces, sentences

__all__ = ["NOT_FOUND", "Answer", "Generation", "Quote", "answer", "best_of", "generate"]

NOT_FOUND = "I could not find an answer to this question in the documents."

_HITS = 5
_SENTENCES = 4
_TABLE_ROW = 0.2  # a row of a table says less by itself than a sentence
_MARKER = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence, and the numbers (from 1) of the hits that contain it."""

    text: str
    sources: tuple[int, ...]


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
    hits = index.search(question, limit, allowed)
    quotes = _quotes(index, question, hits)
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


def _quotes(index: Index, question: str, hits: Sequence[Hit]) -> list[Quote]:
    weighed = index.question(question)
    sources: dict[str, list[int]] = {}
    values: dict[str, float] = {}
    for number, hit in enumerate(hits, 1):
        for sentence in sentences(hit.chunk.text):
            # The document's own footnote marks would pass for markers of the answer.
            if _MARKER.search(sentence.text):
                continue
            # The heading speaks for every sentence below it, but less than the sentence itself.
            value = weighed.coverage(sentence.text)
            value += 0.3 * weighed.coverage(f"{hit.chunk.heading} {sentence.text}")
            sources.setdefault(sentence.text, []).append(number)
            values[sentence.text] = max(values.get(sentence.text, 0.0), value * hit.score)
    return [Quote(text, tuple(dict.fromkeys(sources[text]))) for text in best_of(values)]


def best_of(values: Mapping[str, float]) -> list[str]:
    """Return the few texts whose values are at least half of the best, best first; none for 0."""
    weighed = {t: v * _TABLE_ROW if t.startswith("|") else v for t, v in values.items()}
    best = sorted(weighed, key=lambda text: -weighed[text])[:_SENTENCES]
    return [text for text in best if weighed[text] > 0 and weighed[text] >= weighed[best[0]] / 2]
