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
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():  # signals come to no other
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        before = {n: h for n, h in handlers.items() if h not in (None, signal.SIG_IGN)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def interrupt(number: int, _: Any) -> None:
        restore()
        stop(f"interrupted by {_SIGNALS[number]}")

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        restore()
