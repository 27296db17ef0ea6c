"""Numbers as people read them: times, sums of money, shares."""

from __future__ import annotations

__all__ = ["duration", "few", "money", "share"]

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def duration(seconds: float) -> str:
    """Return a time in at most two units, such as "0.42 s", "8 min 20 s" or "3 d 4 h".

    Parameters:
        seconds: from 0.
    """
    if seconds < 59.5:
        return f"{few(seconds)} s"
    left = round(seconds)
    place = next(n for n, (_, size) in enumerate(_UNITS) if left >= size)
    (large, size), (small, part) = _UNITS[place : place + 2]
    rest = left % size // part
    return f"{left // size} {large}" + (f" {rest} {small}" if rest else "")


def few(number: float) -> str:
    """Return a number of two digits, or all digits before the point.

    Parameters:
        number: from 0.
    """
    if number >= 9.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 0.95 else f"{number:.2g}"


def money(cost: float) -> str:
    """Return a sum with cents, and with as many places as it needs where it is less than 1.

    Parameters:
        cost: from 0, in any currency.
    """
    return f"{cost:,.2f}" if cost >= 1 or not cost else f"{cost:.3g}"


def share(part: int, whole: int) -> str:
    """Return how much of a whole a part is; only all of it is 100 %.

    Parameters:
        part: from 0.
        whole: at least the part; 0 for nothing.
    """
    if not whole or part >= whole:
        return "100 %" if whole else "0 %"
    return f"{min(99.9, 100 * part / whole):.1f} %"
