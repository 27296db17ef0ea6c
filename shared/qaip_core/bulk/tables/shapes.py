"""What JSON values are made of, so that a column of them can have one type.

Where rows do not agree on one, the column holds JSON text, and is marked as such: nothing is lost,
and what comes back out of it is what went in.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import pyarrow as pa

from qaip_core.bulk.plain import as_json

__all__ = ["EMPTY", "JSON", "Shape", "column", "field_of", "holds_json", "merge", "shape", "values"]

Shape: TypeAlias = "str | list[Shape] | dict[str, Shape]"
"""A scalar's name, the shape of a list's items, or those of an object's fields."""

JSON = "json"
EMPTY = "null"
_MARK = b"qaip.json"
_DEEPEST = 16
_MOST_FIELDS = 64
_EXACT = 2**53
"""Whole numbers beyond it cannot share a column with fractions."""
_SCALARS = {
    EMPTY: pa.null(),
    "bool": pa.bool_(),
    "int": pa.int64(),
    "long": pa.int64(),
    "float": pa.float64(),
    "string": pa.string(),
}


def shape(value: Any, depth: int = 0) -> Shape:
    """Return the shape of a value as `json.loads` gives it.

    Parameters:
        depth: how many lists and objects it stands in.

    Raises:
        TypeError: it is of no kind that JSON knows.
    """
    match value:
        case None:
            return EMPTY
        case bool():
            return "bool"
        case int():
            return _whole(value)
        case float():
            return "float"
        case str():
            return "string"
        case list() | dict() if depth == _DEEPEST:
            return JSON
        case list():
            inner: Shape = EMPTY
            for item in value:
                inner = merge(inner, shape(item, depth + 1))
            return JSON if inner == JSON else [inner]
        case dict():
            return _fields(value, depth)
        case _:
            raise TypeError(type(value).__name__)


def _whole(value: int) -> Shape:
    if abs(value) <= _EXACT:
        return "int"
    return "long" if -(2**63) <= value < 2**63 else JSON


def _fields(value: dict[Any, Any], depth: int) -> Shape:
    # Parquet has no empty objects, and keys that are data would become thousands of columns.
    if not 0 < len(value) <= _MOST_FIELDS or not all(isinstance(name, str) for name in value):
        return JSON
    fields = {name: shape(item, depth + 1) for name, item in value.items()}
    return JSON if JSON in fields.values() else fields


def merge(one: Shape, other: Shape) -> Shape:
    """Return the shape that holds values of both without changing any."""
    if one in (other, JSON) or other == EMPTY:
        return one
    if one == EMPTY:
        return other
    match one, other:
        case [a], [b]:
            inner = merge(a, b)
            return JSON if inner == JSON else [inner]
        case dict(), dict() if one.keys() == other.keys():
            fields = {name: merge(inner, other[name]) for name, inner in one.items()}
            return JSON if JSON in fields.values() else fields
        case ("int", "float") | ("float", "int"):
            return "float"
        case ("int", "long") | ("long", "int"):
            return "long"
        case _:
            return JSON


def field_of(name: str, found: Shape) -> pa.Field:
    """Return the column that holds values of a shape."""
    if found == JSON:
        return pa.field(name, pa.string(), metadata={_MARK: b"1"})
    return pa.field(name, _type(found))


def _type(found: Shape) -> pa.DataType:
    match found:
        case [inner]:
            return pa.list_(_type(inner))
        case dict():
            return pa.struct([(name, _type(inner)) for name, inner in found.items()])
        case _:
            return _SCALARS[str(found)]


def holds_json(field: pa.Field) -> bool:
    """Tell whether the texts of a column are JSON."""
    return _MARK in (field.metadata or {})


def column(field: pa.Field, cells: Iterable[Any]) -> pa.Array:
    """Return values as the column that `field_of` has made of their shape."""
    if holds_json(field):
        cells = [None if cell is None else as_json(cell) for cell in cells]
    return pa.array(cells, field.type)


def values(field: pa.Field, cells: pa.Array) -> list[Any]:
    """Return the values of a column, those of JSON text decoded."""
    listed = _listed(cells)
    if holds_json(field):
        return [None if cell is None else json.loads(cell) for cell in listed]
    return listed


def _listed(cells: pa.Array) -> list[Any]:
    """Return the values of a column, as text where Python cannot hold them."""
    try:
        listed: list[Any] = cells.to_pylist()
    except (OverflowError, ValueError):  # a year, or a fraction, or bytes
        if len(cells) > 1:  # a row is the same whatever is read along with it
            return [value for n in range(len(cells)) for value in _listed(cells.slice(n, 1))]
        texts = cells.cast(pa.string()).cast(pa.binary()).to_pylist()
        return [None if text is None else text.decode("utf-8", "replace") for text in texts]
    return listed
