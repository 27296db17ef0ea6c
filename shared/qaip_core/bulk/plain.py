"""Data of any kind as JSON and as UTF-8: what chains return, what sources say, what tables hold."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from pydantic_core import to_jsonable_python

__all__ = ["as_json", "plain", "sound", "unplaced"]


def as_json(value: Any) -> str:
    """Return a value as one line of strict JSON: objects by their fields, times as ISO 8601.

    What JSON has no form for is written as its ``str``; null stands for NaN and infinity.
    """
    try:
        text = _ENCODER.encode(value)
    except (TypeError, ValueError):  # a key that is no text, NaN: walking takes ten times as long
        text = _ENCODER.encode(_walked(value))
    return sound(text)


def plain(value: Any) -> Any:
    """Return a value as JSON would give it back: metadata of Documents may hold anything."""
    return json.loads(as_json(value))


def _walked(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): _walked(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_walked(item) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            return _walked(to_jsonable_python(value, by_alias=False, **_HOW))


def sound(text: str) -> str:
    """Return a text that can be stored: models may cut characters of two code units in half."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def unplaced(citations: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return citations without their places: these are in another text."""
    return [{**citation, "spans": []} for citation in citations]


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_walked
)
_HOW: dict[str, Any] = {"bytes_mode": "base64", "fallback": str}
