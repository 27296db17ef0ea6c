"""Where an answer is shown."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from qaip_core.rendering.harmless import clean
from qaip_core.rendering.plain import sources_as_text

if TYPE_CHECKING:
    from typing import Self

    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["Screen"]


class Screen:
    """Shows an answer as plain text, as it comes: what a pipe and a file get.

    Attributes:
        text: what is shown of the answer.
    """

    def __init__(self) -> None:
        self.text = ""

    def grow(self, text: str) -> None:
        """Show an answer that has grown.

        Parameters:
            text: all of it so far. What was shown and is not in it has been taken back.
        """
        text = clean(text)
        if not text.startswith(self.text):
            self.take_back()
            self.text = ""
        if text != self.text:
            self.add(text)
            self.text = text

    def add(self, text: str) -> None:
        """Show an answer that begins with what is shown already."""
        self._write(text[len(self.text) :])

    def take_back(self) -> None:
        """Say that what was shown so far does not hold."""
        self._write("\n[The service took back the text above.]\n")

    def end(self, answer: CitedAnswer) -> None:
        """Show the whole answer, and its sources."""
        if self.text and not clean(answer.text).startswith(self.text):
            self.take_back()
            self.text = ""
        if not self.text:
            self.whole(answer)
        else:
            self.grow(answer.text)
            self.close(answer)

    def whole(self, answer: CitedAnswer) -> None:
        """Show an answer of which nothing was shown before."""
        self._write(f"{answer}\n")

    def close(self, answer: CitedAnswer) -> None:
        """Show the sources of an answer that has been shown."""
        listed = sources_as_text(answer.sources)
        self._write(f"\n\n{listed}\n" if listed else "\n")

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
        if kind is not None and self.text:
            self.stay(f"[Incomplete: {kind.__name__}]")

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
