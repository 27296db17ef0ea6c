"""The words of chunks in an SQLite FTS5 table: which rows hold a word, and which hold most."""

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from threading import Lock

from .text import Term, tokens

__all__ = ["Fields", "Postings"]

Fields = tuple[str, str, str]
"""The title, the heading and the text of a chunk."""

_BATCH = 500
_BEGINNING = 4
_KEPT = 4_096  # words of the last questions, whose numbers of rows are known
# A word in the title or the heading counts for two in the text. The weights stand
# here, not in the table, since a table that was saved earlier may have others.
_RANKED = (
    "SELECT rowid, -rank FROM postings WHERE postings MATCH ?"
    " AND rank MATCH 'bm25(2.0, 2.0, 1.0)' ORDER BY rank, rowid LIMIT ?"
)
_COUNT = "SELECT count(*) FROM postings(?)"
_INSERT = "INSERT INTO postings(rowid, title, heading, body) VALUES (?, ?, ?, ?)"
# FTS5 keeps no text, so that a row is removed by naming what it held.
_DELETE = (
    "INSERT INTO postings(postings, rowid, title, heading, body) VALUES ('delete', ?, ?, ?, ?)"
)
_OTHERS = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'postings%'"
_CHECK = "INSERT INTO postings(postings) VALUES ('integrity-check')"
_ROWS = "SELECT rowid FROM postings"
_SCHEMA = (
    "CREATE VIRTUAL TABLE postings USING fts5(title, heading, body, content='',"
    " tokenize='unicode61 remove_diacritics 0')",
)


class Postings:
    """An inverted index in memory.

    Any thread may use it: a statement has the database for itself, and a long change lets
    questions through between its batches.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._terms: dict[Term, tuple[str, int]] = {}
        self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        for statement in _SCHEMA:
            self._database.execute(statement)
        # Whoever is dropped unclosed must not leave it open.
        self._free = weakref.finalize(self, self._database.close)

    def close(self) -> None:
        """Free the database."""
        with self._lock:
            self._free()

    def load(self, saved: sqlite3.Connection, rows: Set[int]) -> None:
        """Take over a database that `save` wrote, without other tables in it.

        Raises:
            ValueError: it does not hold just `rows`.
            sqlite3.Error: it is damaged.
        """
        with self._lock:
            saved.backup(self._database)
            for (table,) in self._database.execute(_OTHERS).fetchall():
                self._database.execute(f'DROP TABLE "{table}"')
            self._database.execute(_CHECK)
            self._counted('"a"')
            if {row for (row,) in self._database.execute(_ROWS)} != rows:
                raise ValueError("other rows are indexed")

    def save(self, target: sqlite3.Connection) -> None:
        """Write the whole database to `target`."""
        with self._lock:
            self._database.backup(target)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Keep all that is changed within, or nothing if that ends with an exception."""
        with self._lock:
            self._database.execute("BEGIN")
        try:
            yield
        except BaseException:
            self._end("ROLLBACK")
            raise
        self._end("COMMIT")

    def add(self, rows: Iterable[tuple[int, Fields]]) -> None:
        """Index rows under numbers that are not in use, within `changing`."""
        self._change(_INSERT, rows)

    def remove(self, rows: Iterable[tuple[int, Fields]]) -> None:
        """Forget rows, within `changing`; their fields must be those they were added with."""
        self._change(_DELETE, rows)

    def frequency(self, term: Term) -> int:
        """Return the number of rows that hold `term`."""
        with self._lock:
            return self._known(term)[1]

    def ranked(
        self, terms: Sequence[Term], limit: int, *, all_of_them: bool = False
    ) -> list[tuple[int, float]]:
        """Return rows that hold any of `terms`, the best first, each with its BM25 value.

        Args:
            terms: What to look for; without any that a row holds, nothing is found.
            limit: The largest number of rows, -1 for all.
            all_of_them: Whether a row must hold all of those that any row holds.
        """
        with self._lock:
            wanted = [f"({condition})" for condition, n in map(self._known, terms) if n]
            if not wanted:
                return []
            joined = (" AND " if all_of_them else " OR ").join(wanted)
            return self._database.execute(_RANKED, (joined, limit)).fetchall()

    def _known(self, term: Term) -> tuple[str, int]:
        """Return the condition under which a row holds `term`, and how many rows do."""
        known = self._terms.pop(term, None)
        if known is None:
            exact = " AND ".join(f'"{token}"' for token in term.tokens)
            known = self._counted(exact)
            # A word that no row holds may be the beginning of words that some do.
            if not known[1] and term.prefix and len(term.stem) >= _BEGINNING:
                known = self._counted(f"{exact}*")
            if len(self._terms) >= _KEPT:
                del self._terms[next(iter(self._terms))]
        self._terms[term] = known
        return known

    def _counted(self, condition: str) -> tuple[str, int]:
        return condition, int(self._database.execute(_COUNT, (condition,)).fetchone()[0])

    def _change(self, statement: str, rows: Iterable[tuple[int, Fields]]) -> None:
        for batch in _batches(rows):
            with self._lock:
                self._database.executemany(statement, batch)
                self._terms.clear()

    def _end(self, statement: str) -> None:
        with self._lock:
            self._database.execute(statement)
            self._terms.clear()


def _batches(rows: Iterable[tuple[int, Fields]]) -> Iterator[list[tuple[int, str, str, str]]]:
    batch: list[tuple[int, str, str, str]] = []
    for number, (title, heading, body) in rows:
        batch.append((number, _spaced(title), _spaced(heading), _spaced(body)))
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch


def _spaced(text: str) -> str:
    return " ".join(tokens(text))
