"""Text files with a row in each record: CSV, whose values are text, and JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from qaip_core.bulk.plain import plain
from qaip_core.bulk.tables.lines import Lines, Piece, Place, cut
from qaip_core.bulk.tables.shapes import EMPTY, JSON, Shape, column, merge, shape

__all__ = ["TextPiece", "survey_commas", "survey_objects"]

_LONGEST_CELL = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TextPiece:
    """Some rows of a text file.

    Parameters:
        place: where they are.
        names: the columns of a CSV file; None for JSON lines.
    """

    place: Place
    names: tuple[str, ...] | None = None

    @property
    def rows(self) -> int:
        """How many there are."""
        return self.place.rows

    def split(self) -> list[Piece]:
        """Return itself: it is small."""
        return [self]

    def read(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield them in batches; a field that a row lacks is null."""
        with self.place.open() as lines:
            found = _objects(lines) if self.names is None else _commas(lines, self.names)
            records = islice(found, self.rows)
            while batch := list(islice(records, rows)):
                columns = [column(f, [row.get(f.name) for row in batch]) for f in schema]
                yield pa.record_batch(columns, schema=schema)


def survey_commas(path: Path) -> tuple[tuple[str, ...], list[Piece]]:
    """Return the names of a CSV file's columns, and the pieces that it can be cut into.

    The whole file is read, so that what is wrong with it shows before a question is paid for.

    Raises:
        InvalidParameterError: a row that cannot be read, by its line.
    """
    with Lines(path) as lines:
        names = tuple(next(_values(lines, None), ()))
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise lines.wrong(f"two columns are named {twice!r}", lines.line)
        return names, [TextPiece(place, names) for place in cut(lines, _commas(lines, names))]


def survey_objects(path: Path, shapes: dict[str, Shape]) -> list[Piece]:
    """Return the pieces that a file of JSON lines can be cut into; note the shapes of its fields.

    The whole file is read: a type may show on its last line only, and so may a fault.

    Parameters:
        shapes: those of the files before; added to.

    Raises:
        InvalidParameterError: a line that cannot be read, by its number.
    """
    with Lines(path) as lines:
        return [TextPiece(place) for place in cut(lines, _noted(_objects(lines), shapes))]


def _commas(lines: Lines, names: tuple[str, ...]) -> Iterator[dict[str, str]]:
    for row in _values(lines, len(names)):
        yield dict(zip(names, row, strict=True))


def _values(lines: Lines, width: int | None) -> Iterator[list[str]]:
    """Yield the rows of a CSV file; empty lines are none.

    Parameters:
        width: how many values each must have; None for any number.
    """
    # The limit is one of the whole process, and meant against a quote that is never closed.
    csv.field_size_limit(max(csv.field_size_limit(), _LONGEST_CELL))
    reader = csv.reader(lines, strict=True)
    while True:
        first = lines.line + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise lines.wrong(f"no CSV: {error}", first) from error
        if row is None:
            return
        if row and width not in (None, len(row)):
            raise lines.wrong(f"{len(row)} values where the head names {width} columns", first)
        if row:
            yield row


def _objects(lines: Lines) -> Iterator[dict[str, Any]]:
    for text in lines:
        if not text.strip():
            continue
        try:
            value = json.loads(text, parse_constant=_nothing)
            if "\\ud" in text or "\\uD" in text:  # only an escape can bring what is no UTF-8
                value = plain(value)
        except (ValueError, RecursionError) as error:
            raise lines.wrong(f"no JSON: {error}", lines.line) from error
        if not isinstance(value, dict):
            raise lines.wrong("a JSON value, but no object: write {...} on each line", lines.line)
        yield value


def _noted(rows: Iterator[dict[str, Any]], shapes: dict[str, Shape]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for name, value in row.items():
            known = shapes.setdefault(name, EMPTY)
            if known != JSON:
                shapes[name] = merge(known, shape(value))
        yield row


def _nothing(constant: str) -> None:
    """Stand for NaN and the infinities, which JSON does not have but Python writes."""
