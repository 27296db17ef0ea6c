"""`Ledger`: what has been asked and what came of it, in one file that outlives a crash.

It is SQLite, https://www.sqlite.org/wal.html: a row that was written survives the end of the
process, and one file holds as many rows as the disk does, at the same price in memory.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from qaip_core.bulk.record import Key, Record, State
from qaip_core.errors import ConfigurationError, InterruptedCallError, InvalidParameterError

__all__ = ["Known", "Ledger", "Totals", "changed", "interrupted"]

_TABLES = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
    key TEXT PRIMARY KEY, digest BLOB NOT NULL, state TEXT NOT NULL, run INTEGER NOT NULL,
    worker TEXT NOT NULL, error_type TEXT, record TEXT
);
CREATE INDEX IF NOT EXISTS open_rows ON rows (key) WHERE state = 'asked';
"""
_FORMAT = "1"
_PAGE = 16_384  # bytes: some rows for each, so that little is lost at their ends
_OWN = frozenset({"run", "totals"})
_MOST = 500  # names in one question to SQLite, which takes 999 in its oldest builds


class Known(NamedTuple):
    """What is known of a row that has been asked."""

    digest: bytes
    state: State
    run: int
    worker: str
    error_type: str | None


@dataclass(slots=True)
class Totals:
    """What all runs together have taken, rows that were asked twice on demand included."""

    answered: int = 0
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    tokens: int = 0
    cost: float = 0.0

    def add(self, record: Record) -> None:
        """Count one more answer, or failure."""
        usage = record.usage or {}
        self.answered += record.state == "answered"
        self.requests += record.requests
        self.input_tokens += usage.get("input_tokens", 0)
        self.output_tokens += usage.get("output_tokens", 0)
        self.tokens += record.tokens
        self.cost += record.cost or 0.0


class Ledger:
    """The rows of one output, each asked, answered or failed. One process writes it at a time.

    Parameters:
        path: the file; it is made where there is none.
        mode: "write" keeps every other process out; "read" changes nothing.

    Raises:
        ConfigurationError: another run writes it, or it is no ledger.
    """

    def __init__(self, path: str | Path, mode: Literal["write", "read"] = "write") -> None:
        self.path = Path(path)
        self._mode = mode
        where = f"{self.path.absolute().as_uri()}?mode={'rwc' if mode == 'write' else 'ro'}"
        try:
            self._db = sqlite3.connect(
                where, uri=True, isolation_level=None, timeout=1.0, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error
        try:
            if mode == "write":
                self._own()
            self.run = int(self._fact("run") or 0)
        except sqlite3.Error as error:
            self._db.close()
            raise _unusable(self.path, error) from error
        self.totals = Totals(**json.loads(self._fact("totals") or "{}"))

    def _own(self) -> None:
        """Take the file for this process, and lay it out."""
        self._db.execute("PRAGMA locking_mode=EXCLUSIVE")
        self._db.execute(f"PRAGMA page_size={_PAGE}")
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("COMMIT")
        self._db.executescript(_TABLES)

    def start(self, facts: Mapping[str, str]) -> int:
        """Begin a run, and return how many rows the last one left without an answer.

        Parameters:
            facts: what the answers depend on, by names for people; those of an earlier run must
                be among them, and the same.

        Raises:
            ConfigurationError: the ledger is of other data or another question.
        """
        facts = {**facts, "format": _FORMAT}
        known = dict(self._read("SELECT name, value FROM facts"))
        for name, value in known.items():
            if name not in _OWN and value != facts.get(name):
                other = f"another {name} ({value}, now {facts[name]})" if name in facts else name
                raise ConfigurationError(
                    f"{self.path} holds answers for {other}: pass another output=..., or delete "
                    "that folder to begin anew"
                )
        left = [key for (key,) in self._read("SELECT key FROM rows WHERE state = 'asked'")]
        self.write([], [interrupted(key) for key in left])
        self.run += 1  # what the last run has left is its own
        with self._changing():
            for name, value in {**facts, "run": str(self.run)}.items():
                self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))
        return len(left)

    def known(self, keys: Sequence[Key]) -> dict[Key, Known]:
        """Return what is known of rows; those that have not been asked are not in it."""
        columns = "key, digest, state, run, worker, error_type"
        return {row[0]: Known(*row[1:]) for row in self._select(columns, keys)}

    def write(
        self,
        asked: Iterable[tuple[Key, bytes, str]],
        ended: Iterable[Record],
        dropped: Iterable[Key] = (),
    ) -> None:
        """Write down, all or nothing, rows that are asked from now on, and rows that have ended.

        Parameters:
            asked: their keys, the digests of their questions, and their workers.
            ended: those that are answered or failed. One that is answered stays so.
            dropped: those that were to be asked, but for which nothing was sent.
        """
        finished = list(ended)
        with self._changing():
            self._db.executemany(
                "INSERT INTO rows (key, digest, state, run, worker) VALUES (?, ?, 'asked', ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET state = 'asked', run = excluded.run, "
                "worker = excluded.worker",
                [(key, digest, self.run, worker) for key, digest, worker in asked],
            )
            self._db.executemany(
                "UPDATE rows SET state = ?, run = ?, error_type = ?, record = ? "
                "WHERE key = ? AND state <> 'answered'",
                [(r.state, self.run, r.error_type, _text(r), r.key) for r in finished],
            )
            for key in dropped:
                self._db.execute(
                    "UPDATE rows SET state = 'failed' "
                    "WHERE key = ? AND state = 'asked' AND record IS NOT NULL",
                    (key,),
                )
                self._db.execute("DELETE FROM rows WHERE key = ? AND state = 'asked'", (key,))
            if finished:
                totals = json.dumps({n: getattr(self.totals, n) for n in Totals.__slots__})
                self._db.execute("INSERT OR REPLACE INTO facts VALUES ('totals', ?)", (totals,))

    def records(
        self, keys: Sequence[Key], digests: Sequence[bytes] | None = None
    ) -> list[Record | None]:
        """Return what came of rows, in their order; None for what has not ended.

        Parameters:
            keys: the rows.
            digests: those of their questions, where these may have changed.

        Raises:
            InvalidParameterError: a row was asked something else.
        """
        found = {key: rest for key, *rest in self._select("key, digest, record", keys)}
        for key, digest in zip(keys, digests or (), strict=digests is not None):
            if found.get(key, (digest,))[0] != digest:
                raise InvalidParameterError(changed(key))
        texts = (found[key][1] if key in found else None for key in keys)
        return [Record(**json.loads(text)) if text else None for text in texts]

    def close(self) -> None:
        """Let other processes have the file; nothing is left beside it."""
        if self._mode == "write":
            with suppress(sqlite3.Error):  # all is written in any case
                self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Write all or nothing.

        Raises:
            ConfigurationError: nothing can be written, as on a full disk.
        """
        try:
            with self._db:
                self._db.execute("BEGIN IMMEDIATE")
                yield
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"{self.path} cannot be written ({error}): what it holds is kept, and the next "
                "run goes on from there"
            ) from error

    def _fact(self, name: str) -> str | None:
        try:
            row = self._db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        except sqlite3.OperationalError:  # a file that was never written
            return None
        return row and str(row[0])

    def _select(self, columns: str, keys: Sequence[Key]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(keys), _MOST):
            some = keys[start : start + _MOST]
            places = ",".join("?" * len(some))
            yield from self._read(
                f"SELECT {columns} FROM rows WHERE key IN ({places})",  # noqa: S608 -- our own names
                some,
            )

    def _read(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield what a query finds.

        Raises:
            ConfigurationError: the file cannot be read any more.
        """
        try:
            yield from self._db.execute(query, values)
        except sqlite3.Error as error:
            raise _unusable(self.path, error) from error


def interrupted(key: Key) -> Record:
    """Return what is written of a row whose worker ended before the answer came."""
    error = InterruptedCallError(
        "the program, or its worker, ended while the service was being asked, which may have "
        "answered, and billed, the question; retry_failed=True asks it again"
    )
    return Record(
        key=key,
        state="failed",
        ended_at=time.time(),
        error_type=type(error).__name__,
        error_message=error.message,
        error_retryable=True,
        is_unsettled=True,
    )


def changed(key: Key) -> str:
    """Return what is told of a row that is not the one that was asked."""
    return (
        f"the row {key!r} asks something else than the row of that name that was asked before: "
        "ids must be unique, and a dataset that has changed needs another output=..., or an "
        "id_column=... that names its rows"
    )


def _text(record: Record) -> str:
    return json.dumps(record.as_dict(), default=str)


def _unusable(path: Path, error: sqlite3.Error) -> ConfigurationError:
    if "locked" in str(error):
        return ConfigurationError(f"another run writes {path}: wait for it, or stop it")
    return ConfigurationError(f"{path} cannot be used as a ledger: {error}")
