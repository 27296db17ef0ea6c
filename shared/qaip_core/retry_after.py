"""How long a response asks to wait before the next request."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC

__all__ = ["parse_retry_after"]


def _date(value: str) -> float:
    """Return an HTTP date, in any of its three forms, as Unix seconds."""
    from email.utils import parsedate_to_datetime

    then = parsedate_to_datetime(value)
    return (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()


def _seconds_or_date(value: str, now: float) -> float:
    try:
        return float(value.partition(",")[0])  # the same header twice is joined by a comma
    except ValueError:
        return _date(value) - now


_WISHES: Sequence[tuple[str, Callable[[str, float], float]]] = (
    ("retry-after-ms", lambda value, _now: float(value) / 1000),
    ("retry-after", _seconds_or_date),
    ("x-ratelimit-reset", lambda value, now: float(value) - now),
)
_UNREADABLE = (KeyError, ValueError, TypeError, OverflowError)


def parse_retry_after(headers: Mapping[str, str], status: int = 429) -> float | None:
    """Return the seconds that a response asks to wait; None if it does not say.

    Nought and times in the past say nothing: the caller's own waits hold, as in most clients.
    Dates are told by the service's clock, so they are compared with the response's ``Date``.

    Parameters:
        headers: with names in lower case; ``retry-after-ms``, ``retry-after`` (seconds or an
            HTTP date) and ``x-ratelimit-reset`` (Unix seconds) are read, in this order.
        status: the last of them speaks of rate limits, so it counts with 429 only.
    """
    now = _service_time(headers)
    for name, parse in _WISHES if status == 429 else _WISHES[:2]:
        try:
            seconds = parse(headers[name], now)
        except _UNREADABLE:
            continue
        if seconds > 0:
            return seconds
    return None


def _service_time(headers: Mapping[str, str]) -> float:
    try:
        return _date(headers["date"])
    except _UNREADABLE:
        return time.time()
