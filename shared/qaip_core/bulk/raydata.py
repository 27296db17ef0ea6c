"""`RayDataset`: a `ray.data.Dataset` as an input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from qaip_core.bulk.tables.dataset import Batch, Dataset, Fragment
from qaip_core.bulk.tables.memory import TablePiece
from qaip_core.errors import InvalidParameterError

__all__ = ["RayDataset"]


@dataclass(frozen=True, slots=True)
class RayDataset(Dataset):
    """Rows that Ray makes, as often as they are read: for asking, and for writing.

    Parameters:
        source: a `ray.data.Dataset`.
    """

    source: Any = None

    @classmethod
    def of(cls, source: Any, *, id_column: str | None = None) -> RayDataset:
        """Return a dataset of Ray's.

        Parameters:
            source: a `ray.data.Dataset`; it is run at least twice, and must make the same rows.
            id_column: a column of unique values.

        Raises:
            InvalidParameterError: there is no such column, or it is something else of Ray.
        """
        if not hasattr(source, "map_batches"):
            raise InvalidParameterError(f"no dataset can be made of {type(source).__qualname__}")
        schema = _schema(source)
        if id_column is None or id_column not in schema.names:
            raise InvalidParameterError(
                "Ray does not number the rows of a dataset: pass id_column=, a column of unique "
                f"values; there are: {', '.join(schema.names)}"
            )
        return cls(schema, (), "ray", None, id_column, source)

    @property
    def total(self) -> int | None:
        """None: Ray would have to make all rows to count them."""
        return None

    @property
    def facts(self) -> dict[str, str]:
        """What the keys of the rows depend on; see `Dataset.facts`."""
        return {"id_column": str(self.id_column)}

    def schema_of(self, columns: Sequence[str]) -> pa.Schema:
        """Return the part of the schema that the workers need.

        Parameters:
            columns: those of the question.
        """
        names = dict.fromkeys([str(self.id_column), *columns])
        return pa.schema([self.schema.field(name) for name in names])

    def batches(self, rows: int = 256) -> Iterator[Batch]:
        """Yield all rows, in the order in which Ray makes them; see `Fragment.batches`."""
        for table in self.source.iter_batches(batch_size=rows, batch_format="pyarrow"):
            fragment = Fragment(TablePiece(table), self.schema, id_column=self.id_column)
            yield from fragment.batches(rows)

    def fragments(self) -> list[Fragment]:
        """Return none: Ray hands out the rows."""
        return []


def _schema(source: Any) -> pa.Schema:
    """Return the columns; Ray makes the first rows for it."""
    told = source.schema()
    schema = getattr(told, "base_schema", told)
    if isinstance(schema, pa.Schema):
        return schema
    for table in source.limit(1).iter_batches(batch_size=None, batch_format="pyarrow"):
        return table.schema
    return pa.schema([])
