"""What can be known to be wrong before a question is paid for."""

from __future__ import annotations

import difflib
import io
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from qaip_core.bulk.tables.answers import ANSWER_SCHEMA, whole_schema
from qaip_core.bulk.tables.dataset import Dataset
from qaip_core.bulk.tables.finding import FORMATS
from qaip_core.bulk.tables.writing import SINKS
from qaip_core.errors import InvalidParameterError

__all__ = ["check_columns", "check_output", "check_questions"]


def check_questions(schema: pa.Schema, columns: str | Sequence[str]) -> None:
    """Raise if a column that is asked is not there.

    Parameters:
        schema: the dataset's; one without columns, as of an empty file, has nothing to ask.

    Raises:
        InvalidParameterError: with the columns that there are.
    """
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names:
        raise InvalidParameterError("name the column that holds the questions")
    missing = [name for name in names if name not in schema.names]
    if missing and schema.names:
        near = difflib.get_close_matches(missing[0], schema.names, 1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        shown = ", ".join(map(repr, schema.names))
        raise InvalidParameterError(f"no column {missing[0]!r}; there are: {shown}.{hint}")


def check_columns(schema: pa.Schema, prefix: str = "") -> None:
    """Raise if a column of ours is in the dataset already.

    Parameters:
        schema: the dataset's.
        prefix: what the names of ours begin with.

    Raises:
        InvalidParameterError: with what to do.
    """
    for name in ANSWER_SCHEMA.names:
        if prefix + name in schema.names:
            raise InvalidParameterError(
                f"the dataset has a column {prefix + name!r} already: pass another prefix, "
                f'such as prefix="{prefix}qaip_"'
            )


def check_output(output: str | os.PathLike[str], dataset: Dataset | None = None) -> Path:
    """Return the path of an output that can be written.

    Parameters:
        output: ``.parquet``, ``.csv``, ``.jsonl`` or ``.ndjson``; its folder is made when needed.
        dataset: whose rows it will hold.

    Raises:
        InvalidParameterError: it cannot be written, or would be read as input the next time.
    """
    path = Path(output).expanduser()
    if path.suffix.lower() not in FORMATS:
        raise InvalidParameterError(f"output {path} must end in one of {', '.join(FORMATS)}")
    if path.is_dir():
        raise InvalidParameterError(f"output {path} is a folder")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise InvalidParameterError(f"output {path} cannot be written: no folder can be made there")
    if dataset is not None:
        _check_together(path, dataset)
    return path


def _check_together(path: Path, dataset: Dataset) -> None:
    if dataset.holds(path):
        raise InvalidParameterError(
            f"output {path} would be part of the dataset: choose a place outside"
        )
    kind = path.suffix.lower()
    try:
        SINKS[kind](io.BytesIO(), whole_schema(dataset.schema, "")).close()
    except pa.ArrowException as error:
        raise InvalidParameterError(f"{kind} cannot hold the dataset's columns: {error}") from error
