"""Parquet files, by their row groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from qaip_core.bulk.tables.lines import PIECE, Piece
from qaip_core.errors import InvalidParameterError

__all__ = ["GroupPiece", "conform", "survey"]

_LARGE = 16 * PIECE
"""Rows above which row groups are not put together; a piece is cut into sixteen at most."""


@dataclass(frozen=True, slots=True)
class GroupPiece:
    """Some rows of a Parquet file.

    Parameters:
        path: the file.
        whole: rows of the file, by which one that has changed since is known.
        groups: the row groups that they are in.
        skip: rows of these before the first.
        rows: how many there are.
    """

    path: Path
    whole: int
    groups: range
    skip: int
    rows: int

    def split(self) -> list[Piece]:
        """Return smaller ones; each must read what is before it, so there are sixteen at most."""
        step = max(PIECE, -(-self.rows // 16))
        return [
            replace(self, skip=self.skip + at, rows=min(step, self.rows - at))
            for at in range(0, self.rows, step)
        ]

    def read(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield them in batches."""
        skip, left = self.skip, self.rows
        with _opened(self.path) as file:
            if file.metadata.num_rows != self.whole or file.num_row_groups < self.groups.stop:
                raise InvalidParameterError(f"{self.path} has changed since the run began")
            for batch in file.iter_batches(rows, row_groups=list(self.groups)):
                wanted = batch.slice(skip, left)
                skip = max(0, skip - batch.num_rows)
                left -= wanted.num_rows
                if wanted.num_rows:
                    yield conform(wanted, schema)
                if not left:
                    return


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a file so that memory holds a part of each column, not whole row groups."""
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=256 * 1024) as file:
            yield file
    except (pa.ArrowException, OSError) as error:  # Arrow says OSError to much that is no such
        raise InvalidParameterError(f"{path} cannot be read as Parquet: {error}") from error


def survey(path: Path) -> tuple[pa.Schema, list[Piece]]:
    """Return the columns of a file, and the pieces that it can be cut into.

    Raises:
        InvalidParameterError: it is no Parquet.
    """
    pieces: list[Piece] = []
    with _opened(path) as file:
        counts = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        whole = sum(counts)
        pieces.extend(GroupPiece(path, whole, groups, 0, n) for groups, n in _together(counts))
        return file.schema_arrow, pieces


def _together(counts: Sequence[int]) -> Iterator[tuple[range, int]]:
    """Put small row groups together: opening a file for each would take longer than reading it."""
    first, rows = 0, 0
    for group, count in enumerate(counts):
        if rows and rows + count > _LARGE:
            yield range(first, group), rows
            first, rows = group, 0
        rows += count
    if rows:
        yield range(first, len(counts)), rows


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch with the columns of a schema; what it lacks is null."""
    if batch.schema.equals(schema):
        return batch.replace_schema_metadata(schema.metadata)
    known = set(batch.schema.names)
    columns = [
        batch.column(field.name).cast(field.type)
        if field.name in known
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.record_batch(columns, schema=schema)
