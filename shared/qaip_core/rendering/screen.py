"""Where an answer is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from io import IncrementalNewlineDecoder
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qaip_core.rendering.harmless import clean
from qaip_core.rendering.plain import sources_as_text

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["Pace", "Replaced", "Screen"]

# Drawing takes at most this part of the time.
_SHARE = 0.25


class Replaced(str):
    """All text of an answer so far, in place of what was shown of it."""

    __slots__ = ()


class Pace:
    """Draws now and then: to draw an answer costs more the longer it is.

    Parameters:
        pause: the shortest time between two drawings, in seconds.
    """

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause
        self._next = 0.0

    def draw(self, drawing: Callable[[], None]) -> None:
        """Draw, unless it is too early."""
        begun = time.monotonic()
        if begun < self._next:
            return
        drawing()
        ended = time.monotonic()
        self._next = ended + max(self._pause, (ended - begun) * (1 / _SHARE - 1))


class Screen:
    """Shows an answer as plain text, as it comes: what a pipe and a file get."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._forget()

    @property
    def text(self) -> str:
        """What is known of the answer, clean."""
        return "".join(self._pieces)

    def grow(self, piece: str) -> None:
        """Show what an answer has grown by; a `Replaced` is all of it, anew."""
        if isinstance(piece, Replaced):
            self._replace(clean(piece))
        else:
            self._add(clean(self._line_ends.decode(piece)))

    def add(self, piece: str) -> None:
        """Show a piece that follows what is shown already."""
        self._write(piece)

    def take_back(self) -> None:
        """Say that what was shown so far does not hold."""
        self._write("\n[The service took back the text above.]\n")

    def end(self, answer: CitedAnswer) -> None:
        """Show the whole answer, and its sources."""
        text = clean(answer.text)
        if self.text and text.startswith(self.text):
            self._replace(text)
            self.close(answer)
        else:
            self._forget()
            self.whole(answer)

    def whole(self, answer: CitedAnswer) -> None:
        """Show an answer of which nothing was shown before."""
        self._write(f"{answer}\n")

    def close(self, answer: CitedAnswer) -> None:
        """Show the sources of an answer that has been shown."""
        listed = sources_as_text(answer.sources)
        same = "".join(f"[{was}] is [{now}]\n" for was, now in sorted(answer.renumbered.items()))
        self._write(f"\n\n{listed}\n{same}" if listed else "\n")

    def stay(self, why: str) -> None:
        """Say that what is shown is incomplete."""
        self._write(f"\n{why}\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is not None and self._pieces:
            with suppress(OSError, ValueError):  # the output may be what has failed
                why = kind.__name__ if issubclass(kind, Exception) else "interrupted"
                self.stay(f"[Incomplete: {why}]")

    def _forget(self) -> None:
        """Take back what was shown, if anything was."""
        if self._pieces:
            self.take_back()
        self._pieces = []
        self._line_ends = IncrementalNewlineDecoder(None, translate=True)

    def _replace(self, text: str) -> None:
        if not text.startswith(self.text):
            self._forget()
        self._add(text[len(self.text) :])

    def _add(self, piece: str) -> None:
        if piece:
            self._pieces.append(piece)
            self.add(piece)

    def _write(self, text: str) -> None:
        """Write text, as far as the output knows its characters: files in Windows may not."""
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()
