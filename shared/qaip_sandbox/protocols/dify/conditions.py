"""Metadata conditions of a search, compared as the service's database does."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from qaip_sandbox._wire import Json

__all__ = ["MetadataFilteringCondition"]

Operator = Literal[
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty",
    "in", "not in", "=", "≠", ">", "<", "≥", "≤", "before", "after",
]  # fmt: skip


# Named as the service's own, because the texts of its errors name them.
class Condition(BaseModel):
    """One field of the metadata, and what it shall be."""

    name: str
    comparison_operator: Operator
    value: str | Sequence[str] | int | float | None = None

    def holds(self, metadata: Mapping[str, Json]) -> bool:
        """Tell whether a document meets it; nothing but emptiness holds of what is not there."""
        have = metadata.get(self.name)
        if self.comparison_operator in ("empty", "not empty"):
            return (have is None) == (self.comparison_operator == "empty")
        if self.value is None:
            return True
        return have is not None and _OPERATORS[self.comparison_operator](have, self.value)


class MetadataFilteringCondition(BaseModel):
    """Conditions of which all, or at least one, must hold."""

    logical_operator: Literal["and", "or"] | None = "and"
    conditions: list[Condition] | None = None

    def holds(self, metadata: Mapping[str, Json]) -> bool:
        """Tell whether a document with this metadata is searched."""
        found = [condition.holds(metadata) for condition in self.conditions or ()]
        return any(found) if found and self.logical_operator == "or" else all(found)


def _same(have: Json, value: Any) -> bool:
    return str(have) == value if isinstance(value, str) else _compared(have, value) == 0


def _compared(have: Json, value: Any) -> float:
    """Return the difference of two numbers; not a number where one is none."""
    try:
        return float(have) - float(value)
    except OverflowError:
        return float("-inf") if value > 0 else float("inf")  # no document has so large a number
    except (TypeError, ValueError):
        return float("nan")


def _listed(have: Json, value: Any) -> bool:
    many = value.split(",") if isinstance(value, str) else value
    return str(have) in (many if isinstance(many, Sequence) else [str(many)])


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "contains": lambda have, value: str(value) in str(have),
    "not contains": lambda have, value: str(value) not in str(have),
    "start with": lambda have, value: str(have).startswith(str(value)),
    "end with": lambda have, value: str(have).endswith(str(value)),
    "is": _same,
    "is not": lambda have, value: not _same(have, value),
    "=": _same,
    "≠": lambda have, value: not _same(have, value),
    "in": _listed,
    "not in": lambda have, value: not _listed(have, value),
    ">": lambda have, value: _compared(have, value) > 0,
    "<": lambda have, value: _compared(have, value) < 0,
    "≥": lambda have, value: _compared(have, value) >= 0,
    "≤": lambda have, value: _compared(have, value) <= 0,
    "before": lambda have, value: _compared(have, value) < 0,
    "after": lambda have, value: _compared(have, value) > 0,
}
