"""The lines of a text file: bounded, and known by where they stand."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa

from qaip_core.errors import InvalidParameterError

__all__ = ["PIECE", "Lines", "Piece", "Place", "cut"]

PIECE = 2000
"""Rows that are handed to a worker at once; a file is cut behind so many."""
_LONGEST = 64 * 1024 * 1024
_MARK = b"\xef\xbb\xbf"


class Piece(Protocol):
    """A part of an input that can be read by itself, here or on another machine."""

    @property
    def rows(self) -> int:
        """How many it has."""
        ...

    def read(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield its rows, with exactly the columns of a schema, at most so many at once."""
        ...

    def split(self) -> list[Piece]:
        """Return smaller pieces, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where some rows stand in a text file.

    Parameters:
        path: the file.
        size: its bytes, by which a file that has changed since is known.
        offset: bytes before the first row.
        line: lines before the first row.
        rows: how many there are.
    """

    path: Path
    size: int
    offset: int
    line: int
    rows: int

    def open(self) -> Lines:
        """Return the lines from there on.

        Raises:
            InvalidParameterError: the file is gone or has changed.
        """
        if not self.path.is_file() or self.path.stat().st_size != self.size:
            raise InvalidParameterError(f"{self.path} has changed since the run began")
        return Lines(self.path, self.offset, self.line)


class Lines:
    """Iterates over the lines of a UTF-8 file, which may be packed by gzip.

    Lines end at LF, as for everyone who writes such files; a byte order mark is dropped.

    Parameters:
        path: the file.
        offset: bytes to skip.
        line: how many lines these are.

    Attributes:
        offset: bytes before the next line.
        line: lines before it.
    """

    def __init__(self, path: Path, offset: int = 0, line: int = 0) -> None:
        self.path = path
        self.offset = offset
        self.line = line
        opened = gzip.open if path.suffix.lower() == ".gz" else open
        self._file: Any = opened(path, "rb")
        if offset:
            self._file.seek(offset)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        raw = self._read()
        if not raw:
            raise StopIteration
        self.line += 1
        if len(raw) == _LONGEST:
            raise self.wrong(f"longer than {_LONGEST // 2**20} MiB", self.line)
        text = raw if self.offset else raw.removeprefix(_MARK)
        self.offset += len(raw)
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            why = f"not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8"
            raise self.wrong(why, self.line) from None

    def _read(self) -> bytes:
        try:
            return bytes(self._file.readline(_LONGEST))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise self.wrong(f"gzip cannot unpack it: {error}", self.line + 1) from error

    def wrong(self, why: str, line: int) -> InvalidParameterError:
        """Return the error that says what is wrong with a line."""
        return InvalidParameterError(f"{self.path}, line {line}: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()


def cut(lines: Lines, rows: Iterator[Any]) -> list[Place]:
    """Read a file to its end, and return the places at which it can be cut.

    Parameters:
        lines: its lines, the first row next.
        rows: what is made of them, no line read ahead.
    """
    size = lines.path.stat().st_size
    most = None if lines.path.suffix.lower() == ".gz" else PIECE  # no place but the first is found
    places: list[Place] = []
    offset, line, count = lines.offset, lines.line, 0
    for _ in rows:
        count += 1
        if count == most:
            places.append(Place(lines.path, size, offset, line, count))
            offset, line, count = lines.offset, lines.line, 0
    if count:
        places.append(Place(lines.path, size, offset, line, count))
    return places
