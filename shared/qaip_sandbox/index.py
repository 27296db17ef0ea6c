"""Search over chunks: an inverted index finds candidates, which are then read once more."""

import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Self

from .cancelling import until
from .documents import Chunk
from .postings import Fields, Postings
from .question import Question
from .scoring import scores
from .synonyms import SYNONYMS
from .text import Term, terms, tokens

__all__ = ["Filter", "Hit", "Index", "Question"]

Filter = Callable[[Chunk], bool]
"""Says of a chunk whether a search may return it."""

_CANDIDATES = 24
_MOST = 1_000_000  # hits; SQLite knows no number of any size
_COMMON = 0.2  # the share of the chunks that a word may stand in and still select some
_FEW = 500
_LETTERS = 2_000
_WORDS = 24
_LONGEST, _RAREST = 8, 4


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with a relevance score between 0 and 1."""

    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class _View:
    """The chunks at one time. A question is asked of one view, whatever is changed meanwhile."""

    chunks: tuple[Chunk, ...] = ()
    rows: dict[int, Chunk] = field(default_factory=dict[int, Chunk])
    by_id: dict[str, Chunk] = field(default_factory=dict[str, Chunk])


class Index:
    """A searchable set of chunks.

    It may be made, asked, changed and closed in different threads; a question sees the chunks from
    before or after a change, never some of both. Close it, or use it as a context manager.
    """

    def __init__(self, chunks: Iterable[Chunk] = ()) -> None:
        self._postings = Postings()
        self._view = _View()
        self._next = 1
        self._changing = Lock()
        self.update(chunks)

    def __len__(self) -> int:
        return len(self._view.chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the database."""
        self._postings.close()

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The indexed chunks, in the order of the documents."""
        return self._view.chunks

    def chunk(self, chunk_id: str) -> Chunk | None:
        """Return the chunk of this id, or None."""
        return self._view.by_id.get(chunk_id)

    def update(self, chunks: Iterable[Chunk], cancelled: Event | None = None) -> None:
        """Let the index hold just `chunks`; only those that are new to it are indexed.

        Args:
            chunks: What to hold from now on.
            cancelled: Once it is set, the change is given up, and the index is as before.

        Raises:
            Cancelled: `cancelled` was set.
        """
        with self._changing:
            old = {_key(chunk): row for row, chunk in self._view.rows.items()}
            wanted = {_key(chunk): chunk for chunk in chunks}
            new = {key: chunk for key, chunk in wanted.items() if key not in old}
            fresh = dict(zip(range(self._next, self._next + len(new)), new.values(), strict=True))
            self._next += len(new)
            gone = {row: self._view.rows[row] for key, row in old.items() if key not in wanted}
            kept = {row: wanted[key] for key, row in old.items() if key in wanted}
            before = self._view
            with self._postings.changing():
                try:
                    self._postings.add(_rows(fresh, cancelled))
                    self._view = _view(wanted.values(), kept | fresh)
                    # No question finds these rows any more: they may go in their own time.
                    self._postings.remove(_rows(gone, cancelled))
                except BaseException:
                    self._view = before
                    raise

    def load(self, saved: sqlite3.Connection, rows: Mapping[int, Chunk]) -> None:
        """Hold what `save` wrote to a database, and whose rows it told, instead of all else.

        Raises:
            ValueError: the database does not hold these rows; the index is as before.
            sqlite3.Error: the database is damaged; the index is as before.
        """
        postings = Postings()
        postings.load(saved, rows.keys())
        with self._changing:
            # What it held is freed when the last question that is asked of it has ended.
            self._postings = postings
            self._next = max(rows, default=0) + 1
            self._view = _view(rows.values(), dict(rows))

    def save(self, target: sqlite3.Connection) -> Mapping[int, Chunk]:
        """Write the searchable words to `target` and return which row stands for which chunk."""
        with self._changing:
            self._postings.save(target)
            return self._view.rows

    def question(self, text: str) -> Question:
        """Weigh the content words of `text` by their rarity in the indexed chunks.

        Of a text that is no longer a question, the beginning and the end count.
        """
        if len(text) > 2 * _LETTERS:
            text = f"{text[:_LETTERS]}\n{text[-_LETTERS:]}"
        found = terms(text)
        if len(found) > 2 * _WORDS:
            found = [*found[:_WORDS], *found[-_WORDS:]]
        counts = {term: self._postings.frequency(term) for term in found}
        weights = {term: self._weight(count) for term, count in counts.items()}
        unknown = (term for term, count in counts.items() if not count)
        synonyms = {term: SYNONYMS[term.stem] for term in unknown if term.stem in SYNONYMS}
        return Question(weights, synonyms)

    def search(
        self, text: str | Question, limit: int, allowed: Filter = lambda _: True
    ) -> list[Hit]:
        """Find the chunks that answer the question `text`, best first.

        Args:
            text: A question or a few words, or what `question` has made of them.
            limit: The largest number of hits, 0 or more.
            allowed: Which chunks may be returned.

        Returns:
            Hits with falling scores; none when too few content words of the question occur.
        """
        limit = max(min(limit, _MOST), 0)
        question = text if isinstance(text, Question) else self.question(text)
        for wanted in (self._telling(question), question.wanted):
            ranked = self._candidates(wanted, max(limit, _CANDIDATES), allowed)
            scored = zip(ranked, scores(question, ranked), strict=True)
            found = [Hit(chunk, score) for (chunk, _), score in scored if score]
            if found:
                return sorted(found, key=lambda hit: (-hit.score, hit.chunk.url))[:limit]
        return []

    def like(self, text: str, limit: int) -> list[Chunk]:
        """Return chunks that hold the rarest words of `text`: all of them, or else some."""
        rows = self._view.rows
        known = {Term(token, prefix=True) for token in tokens(text)}
        longest = sorted(known, key=lambda term: (-len(term.stem), term.stem))[:_LONGEST]
        counted = [(n, term) for term in longest if (n := self._postings.frequency(term))]
        rarest = [term for _, term in sorted(counted, key=lambda pair: pair[0])[:_RAREST]]
        ranked = self._postings.ranked(rarest, limit, all_of_them=True)
        ranked = ranked or self._postings.ranked(rarest, limit)
        return [rows[row] for row, _ in ranked if row in rows]

    def _telling(self, question: Question) -> list[Term]:
        """Return the words that do not stand everywhere: looking for these alone is quick."""
        common = max(_COMMON * len(self), _FEW)
        return [term for term in question.wanted if self._postings.frequency(term) <= common]

    def _candidates(
        self, wanted: Sequence[Term], limit: int, allowed: Filter
    ) -> list[tuple[Chunk, float]]:
        """Return the best allowed chunks that hold any of the words, with their BM25 values."""
        rows = self._view.rows
        found: list[tuple[Chunk, float]] = []
        for asked in (2 * limit, -1):
            ranked = self._postings.ranked(wanted, asked)
            known = ((rows[row], value) for row, value in ranked if row in rows)
            found = [(chunk, value) for chunk, value in known if allowed(chunk)][:limit]
            if len(found) == limit or len(ranked) < 2 * limit:
                break
        return found

    def _weight(self, frequency: int) -> float:
        return math.log(1 + max(len(self), 1) / (1 + max(frequency, 1)))


def _rows(chunks: Mapping[int, Chunk], cancelled: Event | None) -> Iterator[tuple[int, Fields]]:
    return ((row, _fields(chunk)) for row, chunk in until(cancelled, chunks.items()))


def _fields(chunk: Chunk) -> Fields:
    return chunk.document.title, chunk.heading, chunk.text


def _key(chunk: Chunk) -> tuple[str, ...]:
    return chunk.id, chunk.document.title, chunk.heading


def _view(chunks: Iterable[Chunk], rows: dict[int, Chunk]) -> _View:
    ordered = tuple(chunks)
    return _View(ordered, rows, {chunk.id: chunk for chunk in ordered})
