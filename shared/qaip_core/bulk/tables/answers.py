"""Our columns: what a record of the ledger is in a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from qaip_core.bulk.plain import as_json, sound
from qaip_core.bulk.record import Record

__all__ = ["ANSWER_SCHEMA", "answer_columns", "whole_schema"]

_CITATION = pa.struct(
    {
        "id": pa.string(),
        "url": pa.string(),
        "title": pa.string(),
        "text": pa.string(),
        "page_number": pa.int64(),
        "date": pa.string(),
        "score": pa.float64(),
        "rank": pa.int64(),
        "marker": pa.int64(),
        "spans": pa.list_(pa.list_(pa.int64())),
        "metadata": pa.string(),  # the other facts, as JSON
    }
)
_COUNTS = ("input_tokens", "output_tokens", "total_tokens", "cached_tokens", "reasoning_tokens")

ANSWER_SCHEMA = pa.schema(
    {
        "status": pa.string(),  # "answered", "failed" or "open": not asked, or not yet answered
        "answer": pa.string(),
        "citations": pa.list_(_CITATION),
        "usage": pa.struct([(name, pa.int64()) for name in _COUNTS]),
        "cost": pa.float64(),
        "latency": pa.float64(),  # seconds
        "finish_reason": pa.string(),
        "model": pa.string(),
        "requests": pa.int32(),
        "answered_at": pa.timestamp("ms", "UTC"),  # also when a row failed
        "error_type": pa.string(),
        "error_message": pa.string(),
        "error_status": pa.int32(),
        "error_code": pa.string(),
        "error_request_id": pa.string(),
        "error_retryable": pa.bool_(),
        "partial_answer": pa.string(),
    }
)
"""The columns that are added to the input's."""


def whole_schema(schema: pa.Schema, prefix: str) -> pa.Schema:
    """Return the columns of the output: those of the dataset, and ours."""
    ours = [field.with_name(prefix + field.name) for field in ANSWER_SCHEMA]
    return pa.schema([*schema, *ours], metadata=schema.metadata)


def answer_columns(records: Sequence[Record | None]) -> list[pa.Array]:
    """Return the columns of `ANSWER_SCHEMA` for some rows.

    Parameters:
        records: what the ledger knows of each; None of one that was not asked.
    """
    rows = [_row(record) for record in records]
    return [pa.array([row.get(f.name) for row in rows], f.type) for f in ANSWER_SCHEMA]


def _row(record: Record | None) -> dict[str, Any]:
    if record is None or record.state == "asked":
        return {"status": "open"}
    return {
        "status": record.state,
        "answer": _text(record.answer),
        "citations": [_citation(citation) for citation in record.citations or ()],
        "usage": _usage(record.usage),
        "cost": _real(record.cost),
        "latency": _real(record.latency),
        "finish_reason": _text(record.finish_reason),
        "model": _text(record.model),
        "requests": _whole(record.requests, 31),
        "answered_at": int(record.ended_at * 1000) if record.ended_at else None,
        "error_type": _text(record.error_type),
        "error_message": _text(record.error_message),
        "error_status": _whole(record.error_status, 31),
        "error_code": _text(record.error_code),
        "error_request_id": _text(record.error_request_id),
        "error_retryable": None if record.error_retryable is None else bool(record.error_retryable),
        "partial_answer": _text(record.partial_answer),
    }


def _usage(counts: Mapping[str, int] | None) -> dict[str, int | None] | None:
    return None if counts is None else {name: _whole(counts.get(name)) for name in _COUNTS}


def _citation(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return a citation as its column has it; what does not fit its field is in the metadata."""
    fitting = {name: fit(facts.get(name)) for name, fit in _FITS.items()}
    rest = {name: value for name, value in facts.items() if _is_left(name, value, fitting)}
    return {**fitting, "metadata": as_json(rest) if rest else None}


def _is_left(name: str, value: Any, fitting: Mapping[str, Any]) -> bool:
    if name == "source":  # as frameworks call the url, or else the title
        return value not in (None, fitting["url"], fitting["title"])
    return value is not None and fitting.get(name) is None


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return sound(value)
    return None if value is None else as_json(value)


def _whole(value: Any, bits: int = 63) -> int | None:
    """Return a whole number, also of text or a fraction that is one; None for what is none."""
    if value is None or isinstance(value, bool):
        return None
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    is_whole = isinstance(value, int | str) or number == value
    return number if is_whole and -(2**bits) <= number < 2**bits else None


def _real(value: Any) -> float | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _spans(value: Any) -> list[list[int]] | None:
    """Return pairs of offsets; None where one is not."""
    if not isinstance(value, list | tuple):
        return None
    pairs = [[_whole(at) for at in pair] for pair in value if isinstance(pair, list | tuple)]
    whole = [[at for at in pair if at is not None] for pair in pairs]
    return whole if whole == pairs and len(pairs) == len(value) else None


_FITS: Mapping[str, Callable[[Any], Any]] = {
    "id": _text,
    "url": _text,
    "title": _text,
    "text": _text,
    "page_number": _whole,
    "date": _text,
    "score": _real,
    "rank": _whole,
    "marker": _whole,
    "spans": _spans,
}
