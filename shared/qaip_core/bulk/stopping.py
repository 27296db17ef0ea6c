"""Ctrl-C, or SIGTERM, in a run that holds paid answers: first in order, then at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["Wish", "stopping", "wishing"]

_SIGNALS: dict[int, str] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Wish:
    """Stops, from outside, a run in another thread, whether it has begun or not."""

    def __init__(self) -> None:
        self._why: str | None = None
        self._stop: Callable[[str], None] | None = None

    def stop(self, why: str) -> None:
        """Let the run end in order.

        Parameters:
            why: what its report says.
        """
        self._why = why
        if self._stop is not None:
            self._stop(why)

    def heed(self, stop: Callable[[str], None]) -> None:
        """Begin.

        Parameters:
            stop: is told why.
        """
        self._stop = stop
        if self._why is not None:
            stop(self._why)


_WISH: ContextVar[Wish | None] = ContextVar("_WISH", default=None)


@contextmanager
def wishing() -> Iterator[Wish]:
    """Yield what stops the run that is begun within it, in a thread that has its context."""
    wish = Wish()
    token = _WISH.set(wish)
    try:
        yield wish
    finally:
        _WISH.reset(token)


@contextmanager
def stopping(stop: Callable[[str], None]) -> Iterator[None]:
    """Let the first Ctrl-C, or SIGTERM, end the run in order; the second one breaks it off.

    Where the program ignores one of them, as one in the background does, so does the run.

    Parameters:
        stop: is told why, within a signal handler: it must be quick.
    """
    if (wish := _WISH.get()) is not None:
        wish.heed(stop)
    if threading.current_thread() is not threading.main_thread():  # signals come to no other
        yield
        return
    _HANDLING.begin(stop)
    try:
        yield
    finally:
        _HANDLING.end(stop)


class _Handling:
    """Handles the signals for all runs of this process: they begin and end in any order."""

    def __init__(self) -> None:
        self._stops: list[Callable[[str], None]] = []
        self._before: dict[int, Any] = {}

    def begin(self, stop: Callable[[str], None]) -> None:
        self._stops.append(stop)
        if self._before:
            return
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        self._before = {n: h for n, h in handlers.items() if h not in (None, signal.SIG_IGN)}
        for number in self._before:
            signal.signal(number, self._interrupt)

    def end(self, stop: Callable[[str], None]) -> None:
        self._stops.remove(stop)
        if not self._stops:
            self._restore()

    def _interrupt(self, number: int, _: Any) -> None:
        self._restore()
        for stop in self._stops:
            stop(f"interrupted by {_SIGNALS[number]}")

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}


_HANDLING = _Handling()
