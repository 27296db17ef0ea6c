"""How long to wait before the next attempt, as services say it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from time import gmtime, strftime

__all__ = ["WISHES", "Wish"]


@dataclass(frozen=True)
class Wish:
    """What a response says about the next attempt.

    headers: from the service's time now, in Unix seconds, to its headers.
    seconds: what is read from them; None for nothing.
    status: that of the response.
    """

    name: str
    headers: Callable[[float], Mapping[str, str] | Sequence[tuple[str, str]]]
    seconds: float | None
    status: int = 429


def _after(value: str) -> Callable[[float], Mapping[str, str]]:
    return lambda _now: {"retry-after": value}


def _http_date(then: float) -> str:
    return formatdate(then, usegmt=True)


def _rfc_850(then: float) -> str:
    return strftime("%A, %d-%b-%y %H:%M:%S GMT", gmtime(then))


def _asctime(then: float) -> str:
    return strftime("%a %b %e %H:%M:%S %Y", gmtime(then))


_FAR = 86400 * 365.25 * 9

WISHES: Sequence[Wish] = [
    Wish("no wish", lambda _: {}, None),
    Wish("whole seconds", _after("7"), 7),
    Wish("parts of a second", _after("2.5"), 2.5),
    Wish("blanks around", _after("  7 "), 7),
    Wish("an exponent", _after("1e1"), 10),
    Wish("a day", _after("86400"), 86400),
    Wish("nought", _after("0"), None),
    Wish("nought and a point", _after("0.0"), None),
    Wish("a negative number", _after("-5"), None),
    Wish("an infinite time", _after("inf"), float("inf")),
    Wish("less than ever", _after("-inf"), None),
    Wish("no number", _after("nan"), None),
    Wish("too large an exponent", _after("1e999"), float("inf")),
    Wish("too many digits", _after("9" * 400), float("inf")),
    Wish("a word", _after("soon"), None),
    Wish("nothing", _after(""), None),
    Wish("a unit", _after("7s"), None),
    Wish("the same twice", lambda _: [("retry-after", "7"), ("retry-after", "7")], 7),
    Wish("milliseconds", lambda _: {"retry-after-ms": "1500"}, 1.5),
    Wish("milliseconds before seconds",
         lambda _: {"retry-after": "9", "retry-after-ms": "1500"}, 1.5),
    Wish("milliseconds that are none", lambda _: {"retry-after": "9", "retry-after-ms": "x"}, 9),
    Wish("nought milliseconds", lambda _: {"retry-after": "9", "retry-after-ms": "0"}, 9),
    Wish("capitals", lambda _: {"Retry-After": "7"}, 7),
    Wish("a date", lambda now: {"retry-after": _http_date(now + 90)}, 90),
    Wish("a date in the past", lambda now: {"retry-after": _http_date(now - 90)}, None),
    Wish("a date in the old form", lambda now: {"retry-after": _rfc_850(now + 90)}, 90),
    Wish("a date in C's form", lambda now: {"retry-after": _asctime(now + 90)}, 90),
    Wish("a date far ahead", lambda now: {"retry-after": _http_date(now + _FAR)}, _FAR),
    Wish("a date that is none", _after("Wed, 99 Foo 2026 99:99:99 GMT"), None),
    Wish("a year that is none", _after("Fri, 31 Dec 9999999999 00:00:00 GMT"), None),
    Wish("a date by a clock that is fast",
         lambda now: {"date": _http_date(now + 3600), "retry-after": _http_date(now + 3690)}, 90),
    Wish("a date by a clock that is slow",
         lambda now: {"date": _http_date(now - 3600), "retry-after": _http_date(now - 3510)}, 90),
    Wish("a date by a clock that cannot be read",
         lambda now: {"date": "noon", "retry-after": _http_date(now + 90)}, 90),
    Wish("the end of a rate limit", lambda now: {"x-ratelimit-reset": f"{now + 90:.3f}"}, 90),
    Wish("the end of a past rate limit", lambda now: {"x-ratelimit-reset": f"{now - 90}"}, None),
    Wish("a rate limit's end that is none", lambda _: {"x-ratelimit-reset": "x"}, None),
    Wish("a wish before the end of a rate limit",
         lambda now: {"retry-after": "7", "x-ratelimit-reset": f"{now + 90}"}, 7),
    Wish("the end of a rate limit, after no wish that can be read",
         lambda now: {"retry-after": "soon", "x-ratelimit-reset": f"{now + 90}"}, 90),
    Wish("the end of a rate limit that was not hit",
         lambda now: {"x-ratelimit-reset": f"{now + 90}"}, None, 503),
    Wish("seconds with another status", _after("7"), 7, 503),
    Wish("seconds with what is final", _after("7"), 7, 400),
]  # fmt: skip
