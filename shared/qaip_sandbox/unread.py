"""What is said of files that were not read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .reading import HIDDEN, OTHER_KIND, Refused

__all__ = ["listed", "told"]


def listed(refused: Iterable[Refused]) -> list[str]:
    """Return a line for each entry: the file, and why it was not read."""
    return [_line(one) for one in refused]


def told(refused: Sequence[Refused], most: int, where: str) -> list[str]:
    """Return a line for each reason, a file of which stands for all.

    Hidden files are expected not to be read, so nothing is said of them.

    Args:
        refused: What was not read.
        most: How many lines there may be, 1 or more. If there are more reasons, one more line says
            so.
        where: Where all of it is found.
    """
    alike: dict[str, Refused] = {}
    for one in refused:
        known = alike.get(one.reason)
        alike[one.reason] = replace(known, count=known.count + one.count) if known else one
    alike.pop(HIDDEN, None)
    # A document that is broken matters more than a file that is none.
    reasons = sorted(alike.values(), key=lambda one: one.reason.startswith(OTHER_KIND))
    rest = sum(one.count for one in reasons[most:])
    return [*listed(reasons[:most]), *([f"... and {rest:,} more: {where}"] if rest else [])]


def _line(one: Refused) -> str:
    more = f" (and {one.count - 1:,} more)" if one.count > 1 else ""
    line = f"not read: {one.path}{more}: {one.reason}"
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
