"""Full-text search over chunks: two SQLite FTS5 indexes in memory, fused by rank."""

import math
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from .documents import Chunk
from .text import Term, fold, terms, words

__all__ = ["Filter", "Hit", "Index", "Question"]

Filter = Callable[[Chunk], bool]
"""Says of a chunk whether a search may return it."""

_FLOOR = 0.3
_RRF = 60
_CANDIDATES = 200
_TABLES = {
    "words": "unicode61 remove_diacritics 2",
    "grams": "trigram",
}


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that was found, with a relevance score between 0 and 1."""

    chunk: Chunk
    score: float


@dataclass(frozen=True, slots=True)
class Question:
    """The content words of a question, each with its weight: the rarer, the heavier."""

    weights: dict[Term, float]

    def coverage(self, text: str) -> float:
        """Return the weighted share of the content words that `text` contains, 0 to 1."""
        total = sum(self.weights.values())
        folded, spaced = fold(text), words(text)
        found = sum(
            weight for term, weight in self.weights.items() if _contains(folded, spaced, term)
        )
        return found / total if total else 0.0


class Index:
    """A searchable set of chunks.

    SQLite ties the index to the thread that made it. Close it, or use it as a context manager.
    """

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._chunks = tuple(chunks)
        self._texts = [fold(f"{c.document.title}\n{c.heading}\n{c.text}") for c in self._chunks]
        self._database = sqlite3.connect(":memory:")
        for table, tokenizer in _TABLES.items():
            self._database.execute(
                f"CREATE VIRTUAL TABLE {table} USING fts5(body, content='', tokenize='{tokenizer}')"
            )
            self._database.executemany(
                f"INSERT INTO {table}(rowid, body) VALUES (?, ?)",  # noqa: S608 - our own names
                enumerate(self._texts),
            )

    def __len__(self) -> int:
        return len(self._chunks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the database."""
        self._database.close()

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The indexed chunks, in the order of the documents."""
        return self._chunks

    def chunk(self, chunk_id: str) -> Chunk | None:
        """Return the chunk of this id, or None."""
        return next((chunk for chunk in self._chunks if chunk.id == chunk_id), None)

    def question(self, text: str) -> Question:
        """Weigh the content words of `text` by their rarity in the indexed chunks."""
        return Question({term: self._weight(term) for term in terms(text)})

    def search(self, text: str, limit: int, allowed: Filter = lambda _: True) -> list[Hit]:
        """Find the chunks that answer the question `text`, best first.

        Args:
            text: A question or a few words.
            limit: The largest number of hits, 0 or more.
            allowed: Which chunks may be returned.

        Returns:
            Hits with falling scores; none when too few content words of the question occur.
        """
        question = self.question(text)
        rankings = [
            self._rank("words", [_phrase(term) for term in question.weights]),
            self._rank("grams", [f'"{t.stem}"' for t in question.weights if len(t.stem) >= 3]),
            self._rank_short(
                [t.stem for t in question.weights if not t.prefix and len(t.stem) < 3]
            ),
        ]
        fused: dict[int, float] = {}
        for ranking in rankings:
            for place, row in enumerate(ranking):
                fused[row] = fused.get(row, 0.0) + 1 / (_RRF + 1 + place)
        candidates = sorted(
            (row for row in fused if allowed(self._chunks[row])), key=fused.__getitem__
        )
        best = max(fused.values(), default=1.0)
        hits = [
            Hit(self._chunks[row], self._score(question, row, fused[row] / best))
            for row in candidates[-_CANDIDATES:]
        ]
        found = [hit for hit in hits if hit.score > 0]
        return sorted(found, key=lambda hit: (-hit.score, hit.chunk.url))[:limit]

    def _score(self, question: Question, row: int, rank: float) -> float:
        chunk, text = self._chunks[row], self._texts[row]
        # A title speaks for the whole document, not for each passage of it.
        covered = 0.7 * question.coverage(f"{chunk.heading}\n{chunk.text}")
        covered += 0.3 * question.coverage(text)
        return round(covered * (0.5 + 0.5 * rank), 6) if covered >= _FLOOR else 0.0

    def _rank(self, table: str, phrases: Sequence[str]) -> list[int]:
        if not phrases:
            return []
        rows = self._database.execute(
            f"SELECT rowid FROM {table} WHERE {table} MATCH ? ORDER BY rank, rowid",  # noqa: S608
            (" OR ".join(phrases),),
        )
        return [row for (row,) in rows]

    def _rank_short(self, stems: Sequence[str]) -> list[int]:
        if not stems:
            return []
        # A trigram index cannot find one or two characters, the usual length of a Japanese word.
        counts = {
            row: sum(min(text.count(stem), 3) for stem in stems)
            for row, text in enumerate(self._texts)
        }
        return sorted((row for row, count in counts.items() if count), key=lambda r: -counts[r])

    def _weight(self, term: Term) -> float:
        if term.prefix:
            frequency = len(self._rank("words", [_phrase(term)]))
        else:
            frequency = sum(term.stem in text for text in self._texts)
        return math.log(1 + len(self._chunks) / (1 + max(frequency, 1)))


def _phrase(term: Term) -> str:
    return f'"{term.stem}"*' if term.prefix and len(term.stem) >= 3 else f'"{term.stem}"'


def _contains(folded: str, spaced: Sequence[str], term: Term) -> bool:
    if not term.prefix:
        return term.stem in folded
    if len(term.stem) < 3:
        return term.stem in spaced
    return any(word.startswith(term.stem) for word in spaced) or (
        len(term.stem) >= 5 and term.stem in folded
    )
