"""Writes a dataset with what the ledger knows of its rows: Parquet, CSV and JSON lines."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from qaip_core.bulk.plain import as_json, plain, sound
from qaip_core.bulk.record import Record
from qaip_core.bulk.tables.answers import answer_columns, whole_schema
from qaip_core.bulk.tables.dataset import Batch, Dataset
from qaip_core.bulk.tables.shapes import values

__all__ = ["SINKS", "CommaSink", "GroupSink", "ObjectSink", "Sink", "write_table"]

_GROUP_ROWS = 65_536
_GROUP_BYTES = 16 * 1024 * 1024


class Sink(Protocol):
    """Takes the rows of a table; made with a file and the table's schema."""

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None: ...

    def write(self, rows: pa.RecordBatch) -> None:
        """Take some rows."""
        ...

    def close(self) -> None:
        """Write what is still to be written; the file stays open."""
        ...


class GroupSink:
    """Writes Parquet, packed by Zstandard.

    Parameters:
        file: where to.
        schema: of all batches.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Keep rows until a row group of a good size is together."""
        self._waiting.append(rows)
        count = sum(batch.num_rows for batch in self._waiting)
        if count >= _GROUP_ROWS or sum(b.nbytes for b in self._waiting) >= _GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting))
            self._waiting.clear()

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._flush()
        self._writer.close()


class CommaSink:
    """Writes CSV as RFC 4180 has it; what is nested is JSON text.

    Parameters:
        file: where to.
        schema: of all batches.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="")
        self._writer = csv.writer(self._text)
        self._writer.writerow(schema.names)

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows; null, and what is no number, is the empty text."""
        columns = [map(_cell, values(f, rows.column(n))) for n, f in enumerate(rows.schema)]
        self._writer.writerows(zip(*columns, strict=True))

    def close(self) -> None:
        """Write the rest."""
        self._text.detach()


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case float() if not math.isfinite(value):
            return ""
        case str():
            return sound(value)
        case bool() | int() | float() | list() | dict():
            return as_json(value)
        case _:
            return str(plain(value))


class ObjectSink:
    """Writes JSON lines: strict JSON, UTF-8, one object each.

    Parameters:
        file: where to.
        schema: of all batches.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema) -> None:
        self._file = file
        self._fields = list(schema)

    def write(self, rows: pa.RecordBatch) -> None:
        """Write rows; each has all fields."""
        names = [field.name for field in self._fields]
        columns = [values(f, rows.column(n)) for n, f in enumerate(self._fields)]
        for row in zip(*columns, strict=True):
            line = as_json(dict(zip(names, row, strict=True)))
            self._file.write(line.encode("utf-8") + b"\n")

    def close(self) -> None:
        """Do nothing: each line is written at once."""


SINKS: Mapping[str, type[Sink]] = {
    ".parquet": GroupSink,
    ".csv": CommaSink,
    ".jsonl": ObjectSink,
    ".ndjson": ObjectSink,
}
"""By the suffix of a file."""


def write_table(
    dataset: Dataset,
    records: Callable[[Batch], Sequence[Record | None]],
    output: str | os.PathLike[str],
    *,
    prefix: str = "",
    rows: int = 1024,
) -> int:
    """Write a dataset with our columns in the input's order, and return how many rows there are.

    The output is there as a whole or not at all: it is written beside, then moved.

    Parameters:
        dataset: the input.
        records: returns what is known of rows; None of one that was not asked.
        output: what `check_output` has returned.
        prefix: what the names of our columns begin with; see `check_columns`.
        rows: how many are in memory at once; above 0.

    Raises:
        InvalidParameterError: the input can no longer be read.
        OSError: the output cannot be written.
    """
    path = Path(output)
    schema = whole_schema(dataset.schema, prefix)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    try:
        with beside.open("wb") as file:
            written = 0
            with closing(SINKS[path.suffix.lower()](file, schema)) as sink:
                for batch in dataset.batches(rows):
                    ours = answer_columns(records(batch))
                    sink.write(pa.record_batch([*batch.rows.columns, *ours], schema=schema))
                    written += len(batch.keys)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return written
