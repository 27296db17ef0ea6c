"""An input, by batches and by pieces, whose rows have the same keys in every run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from qaip_core.bulk.record import Key
from qaip_core.bulk.tables import groups
from qaip_core.bulk.tables.finding import Found, find
from qaip_core.bulk.tables.lines import Piece
from qaip_core.bulk.tables.memory import TablePiece, table_of
from qaip_core.bulk.tables.shapes import Shape, field_of, values
from qaip_core.bulk.tables.texts import survey_commas, survey_objects
from qaip_core.errors import InvalidParameterError

__all__ = ["Batch", "Dataset", "Fragment"]

_TAKEN = (
    "a path to .parquet, .csv, .jsonl or .ndjson, a folder, a pattern or a list of these, "
    "a table of pyarrow, pandas or Polars, a list of dicts, or a list of questions"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows.

    Parameters:
        keys: what each is known by.
        rows: all their columns, of the dataset's schema.
    """

    keys: list[Key]
    rows: pa.RecordBatch

    def questions(self, columns: str | Sequence[str]) -> list[Any]:
        """Return what is asked.

        Parameters:
            columns: a column, for its values; a list of some, for dicts of them by their names.
        """
        names = [columns] if isinstance(columns, str) else list(columns)
        schema = self.rows.schema
        found = [values(schema.field(name), self.rows.column(name)) for name in names]
        if isinstance(columns, str):
            return found[0]
        return [dict(zip(names, row, strict=True)) for row in zip(*found, strict=True)]


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a dataset, which travels to where it is read.

    Parameters:
        piece: its rows.
        schema: the dataset's.
        prefix: what keys begin with, where rows are known by their numbers.
        first: the number of its first row.
        id_column: the column that rows are known by; None for their numbers.
    """

    piece: Piece
    schema: pa.Schema
    prefix: str = ""
    first: int = 0
    id_column: str | None = None

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.piece.rows

    def batches(self, rows: int = 256) -> Iterator[Batch]:
        """Yield its rows, with the keys that they have in the whole dataset.

        Parameters:
            rows: how many at once, at most; above 0.

        Raises:
            InvalidParameterError: the file has changed, or a row has no id.
        """
        number = self.first
        for batch in self.piece.read(self.schema, rows):
            yield Batch(self._keys(batch, number), batch)
            number += batch.num_rows

    def _keys(self, batch: pa.RecordBatch, number: int) -> list[Key]:
        numbered = [f"{self.prefix}{n}" for n in range(number, number + batch.num_rows)]
        if self.id_column is None:
            return numbered
        ids = values(self.schema.field(self.id_column), batch.column(self.id_column))
        for value, place in zip(ids, numbered, strict=True):
            if value in (None, "") or _is_nan(value):
                raise InvalidParameterError(f"row {place} has no {self.id_column!r}: give it one")
        return [str(value) for value in ids]

    def split(self) -> Iterator[Fragment]:
        """Yield smaller ones, in order."""
        first = self.first
        for piece in self.piece.split():
            yield replace(self, piece=piece, first=first)
            first += piece.rows


@dataclass(frozen=True, slots=True)
class Dataset:
    """An input that is read any number of times, in memory that does not grow with its rows.

    Rows are known by an id column, or by the file and their number in it ("questions.csv:17",
    from 0; "17" in memory). Whether ids are unique is for the ledger to find.

    Parameters:
        schema: its columns.
        parts: its rows.
        format: "parquet", "csv", "jsonl" or "memory".
        files: where they are; None in memory.
        id_column: the column that rows are known by; None for their numbers.
    """

    schema: pa.Schema
    parts: Sequence[Fragment]
    format: str
    files: Found | None = None
    id_column: str | None = None

    @classmethod
    def of(cls, source: Any, *, id_column: str | None = None) -> Dataset:
        """Return a dataset of whatever can be one.

        Text files are read once as a whole, so that what is wrong with them shows before a
        question is paid for. All columns of CSV are text. A field of JSON lines on whose type
        the lines do not agree is kept as JSON text.

        Parameters:
            source: a path, also with ``.gz`` where text; a folder, a pattern or a list of paths,
                of one format; a table of pyarrow, pandas or Polars, a list of dicts, a list of
                questions (their column is "question").
            id_column: a column of unique values; the rows' numbers by default.

        Raises:
            InvalidParameterError: it cannot be read, with the file and the line.
        """
        found = find(source)
        schema, parts = _of_files(found) if found else _in_memory(source)
        for name in schema.names:
            if schema.names.count(name) > 1:
                raise InvalidParameterError(f"the dataset has two columns named {name!r}")
        if id_column is not None and schema.names and id_column not in schema.names:
            shown = ", ".join(schema.names)
            raise InvalidParameterError(f"there is no id column {id_column!r}; there are: {shown}")
        parts = [replace(part, schema=schema, id_column=id_column) for part in parts]
        return cls(schema, parts, found.format if found else "memory", found, id_column)

    @property
    def total(self) -> int | None:
        """How many rows there are; None where nobody knows."""
        return sum(part.rows for part in self.parts)

    @property
    def facts(self) -> dict[str, str]:
        """What the keys of the rows depend on, by names for people; not their content."""
        if self.id_column is not None or self.files is None:
            return {"id_column": self.id_column or "none"}
        return {"id_column": "none", **{f"file {name}": "read" for name in self.files.files}}

    def batches(self, rows: int = 256) -> Iterator[Batch]:
        """Yield all rows in their order; see `Fragment.batches`."""
        for part in self.parts:
            yield from part.batches(rows)

    def fragments(self) -> list[Fragment]:
        """Return small pieces, in order, that can be read by themselves and elsewhere.

        Files must be at the same path there. What is packed by gzip is one piece.
        """
        return [fragment for part in self.parts for fragment in part.split()]

    def holds(self, path: Path) -> bool:
        """Tell whether a file is one of its files, or would be, were it there."""
        return self.files is not None and self.files.holds(path)


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _in_memory(source: Any) -> tuple[pa.Schema, list[Fragment]]:
    table = table_of(source)
    if table is None:
        kind = type(source)
        raise InvalidParameterError(
            f"a dataset cannot be read from {kind.__module__}.{kind.__qualname__}: give {_TAKEN}"
        )
    return table.schema, [Fragment(TablePiece(table), table.schema)]


def _of_files(found: Found) -> tuple[pa.Schema, list[Fragment]]:
    schema, pieces = _SURVEYS[found.format](found.files)
    parts: list[Fragment] = []
    for name, of_file in pieces.items():
        first = 0
        for piece in of_file:
            parts.append(Fragment(piece, schema, f"{name}:", first))
            first += piece.rows
    return schema, parts


def _commas(files: Mapping[str, Path]) -> tuple[pa.Schema, dict[str, list[Piece]]]:
    surveyed = {name: survey_commas(path) for name, path in files.items()}
    names = dict.fromkeys(column for columns, _ in surveyed.values() for column in columns)
    schema = pa.schema([(name, pa.string()) for name in names])
    return schema, {name: pieces for name, (_, pieces) in surveyed.items()}


def _objects(files: Mapping[str, Path]) -> tuple[pa.Schema, dict[str, list[Piece]]]:
    shapes: dict[str, Shape] = {}
    pieces = {name: survey_objects(path, shapes) for name, path in files.items()}
    return pa.schema([field_of(name, found) for name, found in shapes.items()]), pieces


def _groups(files: Mapping[str, Path]) -> tuple[pa.Schema, dict[str, list[Piece]]]:
    surveyed = {name: groups.survey(path) for name, path in files.items()}
    try:
        schemas = [schema for schema, _ in surveyed.values()]
        schema = pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        raise InvalidParameterError(
            f"the files' columns are of different types: {error}"
        ) from error
    # The library `datasets` fails on files whose columns are not those that its note names.
    notes = {k: v for k, v in (schema.metadata or {}).items() if k != b"huggingface"}
    return schema.with_metadata(notes or None), {n: pieces for n, (_, pieces) in surveyed.items()}


_SURVEYS = {"csv": _commas, "jsonl": _objects, "parquet": _groups}
