"""Conditions on metadata, written as Python comparisons and checked before they are sent.

::

    recent = (where("year", int) >= 2024) & (where("language", str) == "en")
    tagged = where("topics", list[str]).contains("tea")        # for metadata_filter only

Vendor page: https://docs.qaip.com (API reference, Search: MetadataFilterGroup)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Generic, Literal, NoReturn, TypeAlias, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qaip_core.backend import faults
from qaip_core.errors import InvalidParameterError

__all__ = ["Column", "Filter", "as_group", "where"]

Kind: TypeAlias = Literal[
    "string", "integer", "float", "date", "datetime", "string_list", "integer_list"
]
Operator: TypeAlias = Literal["eq", "ne", "gt", "gte", "lt", "lte", "between", "contains"]
Logic: TypeAlias = Literal["AND", "OR"]
T = TypeVar("T", str, int, float, date, datetime)


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on metadata; ``&`` and ``|`` join several.

    Parameters:
        filters: single conditions, as the service takes them.
        groups: conditions that were joined already.
        logic: how the members are joined; None for one alone.
    """

    filters: tuple[Mapping[str, Any], ...] = ()
    groups: tuple[Filter, ...] = ()
    logic: Logic | None = None

    def __and__(self, other: Filter) -> Filter:
        return self._joined(other, "AND")

    def __or__(self, other: Filter) -> Filter:
        return self._joined(other, "OR")

    def __bool__(self) -> NoReturn:
        raise InvalidParameterError(
            "conditions are joined with & and |, each in parentheses, not with 'and', 'or', 'not' "
            "or chained comparisons; for a range there is between(min, max)"
        )

    def _joined(self, other: Filter, logic: Logic) -> Filter:
        if not isinstance(other, Filter):
            return NotImplemented
        filters: list[Mapping[str, Any]] = []
        groups: list[Filter] = []
        for part in (self, other):
            if part.logic in (None, logic):
                filters += part.filters
                groups += part.groups
            else:
                groups.append(part)
        return Filter(tuple(filters), tuple(groups), logic)

    def as_dict(self) -> dict[str, Any]:
        """Return the conditions as the service takes them."""
        groups = [group.as_dict() for group in self.groups]
        return {
            **({"logic": self.logic} if self.logic else {}),
            **({"filters": [dict(f) for f in self.filters]} if self.filters else {}),
            **({"groups": groups} if groups else {}),
        }


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a str")
    return value


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("an int")
    return value


def _float(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError("a finite number")
    return value


def _read(read: Callable[[str], date], text: str) -> date | None:
    try:
        return read(text)
    except ValueError:
        return None


def _date(value: Any) -> str:
    if isinstance(value, str):
        value = _read(date.fromisoformat, value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise TypeError("a date, such as 2026-01-31")
    return value.isoformat()


def _datetime(value: Any) -> str:
    if isinstance(value, str):
        value = _read(datetime.fromisoformat, value)
    if not isinstance(value, datetime):
        raise TypeError("a datetime, such as 2026-01-31T12:00Z")
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


_WRITTEN: Mapping[Kind, Callable[[Any], Any]] = {
    "string": _text,
    "integer": _integer,
    "float": _float,
    "date": _date,
    "datetime": _datetime,
    "string_list": _text,
    "integer_list": _integer,
}
"""How a value is written, by the kind of its column; of a list, how one entry is."""

_LISTS = ("string_list", "integer_list")
_KINDS: Sequence[tuple[Any, Kind]] = (
    (str, "string"),
    (int, "integer"),
    (float, "float"),
    (date, "date"),
    (datetime, "datetime"),
    (list[str], "string_list"),
    (list[int], "integer_list"),
)


class Column(Generic[T]):
    """A key of the metadata, to be compared; see `where`."""

    __hash__ = None  # type: ignore[assignment]  # what == returns is no truth value

    def __init__(self, key: str, kind: Kind) -> None:
        self._key = key
        self._kind: Kind = kind

    def __repr__(self) -> str:
        return f"where({self._key!r}, {self._kind!r})"

    def __eq__(self, value: T) -> Filter:  # type: ignore[override]  # a condition, no truth value
        return self._condition("eq", val=value)

    def __ne__(self, value: T) -> Filter:  # type: ignore[override]  # a condition, no truth value
        return self._condition("ne", val=value)

    def __gt__(self, value: T) -> Filter:
        return self._condition("gt", val=value)

    def __ge__(self, value: T) -> Filter:
        return self._condition("gte", val=value)

    def __lt__(self, value: T) -> Filter:
        return self._condition("lt", val=value)

    def __le__(self, value: T) -> Filter:
        return self._condition("lte", val=value)

    def between(self, lowest: T, highest: T) -> Filter:
        """Return the condition that the value lies in a range.

        Parameters:
            lowest, highest: its ends. That they belong to it is assumed; the vendor does not say.
        """
        return self._condition("between", min=lowest, max=highest)

    def contains(self, value: T) -> Filter:
        """Return the condition that a list holds a value; such lists only ``metadata_filter`` has.

        Parameters:
            value: one entry.
        """
        return self._condition("contains", val=value)

    def _condition(self, operator: Operator, **values: Any) -> Filter:
        return Filter((_checked(self._key, operator, self._kind, values),))


def _checked(key: str, operator: Operator, kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return one condition as the service takes it."""
    if (operator == "contains") != (kind in _LISTS):
        raise InvalidParameterError(
            f"condition on {key!r}: contains() is the one comparison of lists, and of lists only; "
            f"the column is {kind}"
        )
    written = {}
    for name in ("min", "max") if operator == "between" else ("val",):
        try:
            written[name] = _WRITTEN[kind](values.get(name))
        except TypeError as error:
            raise InvalidParameterError(
                f"condition on {key!r}: {name} of a column of type {kind}: wanted is {error}"
            ) from None
    return {"key": key, "operator": operator, "type": kind, **written}


@overload
def where(key: str, kind: type[list[str]]) -> Column[str]: ...
@overload
def where(key: str, kind: type[list[int]]) -> Column[int]: ...
@overload
def where(key: str, kind: type[T]) -> Column[T]: ...
def where(key: str, kind: Any) -> Column[Any]:
    """Return a key of the metadata, to be compared with ``==``, ``>=``, ``between()``, ...

    Parameters:
        key: its name.
        kind: the type of its values: str, int, float, date, datetime, list[str] or list[int].
            Datetimes without a time zone are UTC. Lists only ``metadata_filter`` has; they are
            compared with ``contains()``.

    Raises:
        InvalidParameterError: the key is empty, the type is another, or, later, a value or a
            comparison does not fit it.
    """
    if not isinstance(key, str) or not key:
        raise InvalidParameterError(f"a condition needs the name of a key, not {key!r}")
    for known, name in _KINDS:
        if kind in (known, name):
            return Column(key, name)
    raise InvalidParameterError(
        f"where({key!r}, ...): the type is str, int, float, date, datetime, list[str] or "
        f"list[int], not {kind!r}"
    )


class _Condition(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    key: str = Field(min_length=1)
    operator: Operator
    type: Kind
    val: Any = None
    min: Any = None
    max: Any = None


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    logic: Logic | None = None
    filters: list[_Condition] = Field(default_factory=list)
    groups: list[_Group] = Field(default_factory=list)


def as_group(value: Any, *, lists: bool = False) -> dict[str, Any]:
    """Return conditions as the service takes them.

    Parameters:
        value: a `Filter`, or the service's own JSON.
        lists: whether columns of lists are allowed.

    Raises:
        ValueError: they are none, or do not fit the types that they name.
    """
    if isinstance(value, Column):
        raise ValueError(f"{value!r} is no condition yet: compare it, as in where(...) == 1")
    given = value.as_dict() if isinstance(value, Filter) else value
    if not isinstance(given, Mapping):
        kind = type(given).__name__
        raise ValueError(
            "conditions are written with where(...), or as the JSON object that the service "
            f"takes, not {kind}"
        )
    try:
        group = _Group.model_validate(given)
    except ValidationError as error:
        raise ValueError(faults(error, "conditions")) from None
    return _written(group, lists=lists)


def _written(group: _Group, *, lists: bool) -> dict[str, Any]:
    for condition in group.filters:
        if condition.type in _LISTS and not lists:
            raise ValueError(f"{condition.key}: columns of lists are for metadata_filter only")
    filters = [_rewritten(condition) for condition in group.filters]
    groups = [_written(inner, lists=lists) for inner in group.groups]
    return {
        **({"logic": group.logic} if group.logic else {}),
        **({"filters": filters} if filters else {}),
        **({"groups": groups} if groups else {}),
    }


def _rewritten(condition: _Condition) -> dict[str, Any]:
    values = {"val": condition.val, "min": condition.min, "max": condition.max}
    wanted = ("min", "max") if condition.operator == "between" else ("val",)
    for name, value in values.items():
        if value is not None and name not in wanted:
            raise ValueError(
                f"{condition.key}: {condition.operator} takes {' and '.join(wanted)}, not {name}"
            )
    return _checked(condition.key, condition.operator, condition.type, values)
