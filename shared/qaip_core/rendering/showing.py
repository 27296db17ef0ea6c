"""Shows answers, whole or as they grow: in a terminal, in a notebook, in a pipe.

Nothing here reads ahead or starts a thread: what a stream brings is shown before the next piece
is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from qaip_core.rendering.answer import CitedAnswer
from qaip_core.rendering.screen import Replaced, Screen

__all__ = ["Reading", "Replaced", "afollow", "follow", "screen", "show"]

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)
W = TypeVar("W")
W_co = TypeVar("W_co", covariant=True)


class Reading(Protocol[P_contra, W_co]):
    """What the pieces of a framework's stream add up to."""

    def add(self, piece: P_contra) -> str:
        """Take the next piece, and return the text that it adds, or all of it as `Replaced`."""
        ...

    def cited(self) -> CitedAnswer:
        """Return what was read, to be shown."""
        ...

    def whole(self) -> W_co:
        """Return what was read, as the framework knows it."""
        ...


def show(answer: CitedAnswer) -> None:
    """Show a whole answer with its sources."""
    with screen() as shown:
        shown.end(answer)


def follow(stream: Iterator[P], reading: Reading[P, W]) -> W:
    """Show an answer as it grows, and its sources when it has ended.

    Parameters:
        stream: its pieces.
        reading: adds them up.

    Returns:
        The whole answer.

    Raises:
        Exception: whatever ends the stream; what had arrived stays, with a line that says so.
    """
    with screen() as shown, _closed(stream):
        for piece in stream:
            shown.grow(reading.add(piece))
        shown.end(reading.cited())
    return reading.whole()


async def afollow(stream: AsyncIterator[P], reading: Reading[P, W]) -> W:
    """Show an answer as it grows, without blocking; see `follow`."""
    with screen() as shown:
        async with _aclosed(stream):
            async for piece in stream:
                shown.grow(reading.add(piece))
        shown.end(reading.cited())
    return reading.whole()


@contextmanager
def _closed(stream: Any) -> Iterator[None]:
    """Close a stream that is left, so that its connection is free at once."""
    try:
        yield
    finally:
        if hasattr(stream, "close"):
            stream.close()


@asynccontextmanager
async def _aclosed(stream: Any) -> AsyncIterator[None]:
    try:
        yield
    finally:
        if hasattr(stream, "aclose"):
            await stream.aclose()


def screen() -> Screen:
    """Return what shows answers here: a notebook, a terminal, or plain text."""
    if _in_notebook():
        from qaip_core.rendering.notebook import NotebookScreen

        return NotebookScreen()
    if sys.stdout.isatty() and find_spec("rich"):
        from qaip_core.rendering.live import TerminalScreen, terminal

        known = terminal()
        if not known.is_dumb_terminal and known.encoding.startswith("utf"):
            return TerminalScreen(known)
    return Screen()


def _in_notebook() -> bool:
    """Tell whether a kernel runs this, as opposed to Python or IPython in a terminal."""
    known: Any = sys.modules.get("IPython")
    shell = known.get_ipython() if known else None
    return getattr(shell, "kernel", None) is not None
