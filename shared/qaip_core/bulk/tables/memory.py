"""Tables that are in memory already."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from qaip_core.bulk.plain import plain, sound
from qaip_core.bulk.tables.groups import conform
from qaip_core.bulk.tables.lines import PIECE, Piece
from qaip_core.bulk.tables.shapes import EMPTY, Shape, column, field_of, merge, shape
from qaip_core.errors import InvalidParameterError

__all__ = ["TablePiece", "table_of"]


@dataclass(frozen=True)
class TablePiece:
    """Some rows of a table.

    Parameters:
        table: these rows.
    """

    table: pa.Table

    @property
    def rows(self) -> int:
        """How many there are."""
        return int(self.table.num_rows)

    def split(self) -> list[Piece]:
        """Return smaller ones, which share their memory until they travel."""
        return [TablePiece(self.table.slice(at, PIECE)) for at in range(0, self.rows, PIECE)]

    def read(self, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
        """Yield them in batches."""
        for batch in self.table.to_batches(rows):
            yield conform(batch, schema)

    def __reduce__(self) -> Any:
        # A slice's own pickle would be that of the whole table.
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return _unpacked, (sink.getvalue().to_pybytes(),)


def _unpacked(data: bytes) -> TablePiece:
    return TablePiece(pa.ipc.open_stream(data).read_all())


def table_of(source: Any) -> pa.Table | None:
    """Return what is in memory as a table: Arrow's, pandas', Polars' or lists; None for other.

    Raises:
        InvalidParameterError: its values cannot be held in columns.
    """
    try:
        return _table(source)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise InvalidParameterError(f"the dataset cannot be held in columns: {error}") from error


def _table(source: Any) -> pa.Table | None:
    if isinstance(source, pa.Table):
        return source
    # Another thread may be about to import pandas.
    frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
    if frame is not None and isinstance(source, frame):
        return pa.Table.from_pandas(source, preserve_index=False)
    if hasattr(source, "__arrow_c_stream__"):
        return pa.table(source)
    if not isinstance(source, list | tuple):
        return None
    if all(isinstance(item, str) for item in source):
        return pa.table({"question": pa.array(map(sound, source), pa.string())})
    if all(isinstance(item, dict) for item in source):
        return _rows(source)
    return None


def _rows(rows: Sequence[dict[str, Any]]) -> pa.Table:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {str(name): _column(str(name), [row.get(name) for row in rows]) for name in names}
    schema = pa.schema([field for field, _ in columns.values()])
    return pa.table([cells for _, cells in columns.values()], schema=schema)


def _column(name: str, cells: list[Any]) -> tuple[pa.Field, pa.Array]:
    found: Shape = EMPTY
    try:
        for cell in cells:
            found = merge(found, shape(cell))
    except TypeError:  # times, decimals, NumPy's numbers: Arrow knows more than JSON does
        other = pa.array(cells)
        return pa.field(name, other.type), other
    field = field_of(name, found)
    try:
        return field, column(field, cells)
    except UnicodeEncodeError:
        return field, column(field, [plain(cell) for cell in cells])
