"""What floors yield: made beforehand, and kept until they are asked for, or made then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

__all__ = ["ANSWER", "TEXT", "Pieces", "awaited"]

TEXT = " leaves"
ANSWER = "Tea is kept dry, dark and cool. " * 10


class Pieces:
    """The streams of one floor.

    Parameters:
        makers: makes each kind of stream, piece by piece.
        ready: whether `prepare` makes them.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Iterator[Any]]], *, ready: bool) -> None:
        self._makers, self._ready = makers, ready
        self._kept: dict[str, list[Any]] = {}

    def prepare(self) -> None:
        """Make what the next run shall find."""
        if self._ready:
            self._kept = {kind: list(make()) for kind, make in self._makers.items()}

    def take(self, kind: str) -> Iterator[Any]:
        """Return one stream."""
        return iter(self._kept.pop(kind, None) or self._makers[kind]())


async def awaited(pieces: Iterator[Any]) -> AsyncIterator[Any]:
    """Yield what an iterator yields."""
    for piece in pieces:
        yield piece
