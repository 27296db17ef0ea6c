"""Giving up a long piece of work, such as the reading of a large folder, before its end."""

from collections.abc import Iterable, Iterator
from threading import Event
from typing import TypeVar

__all__ = ["Cancelled", "until"]

_Item = TypeVar("_Item")


class Cancelled(Exception):  # noqa: N818 - it is no error
    """The work was given up because someone asked for it."""


def until(cancelled: Event | None, items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield `items` for as long as `cancelled` is not set.

    Raises:
        Cancelled: it is set, and there is another item.
    """
    for item in items:
        if cancelled is not None and cancelled.is_set():
            raise Cancelled
        yield item
