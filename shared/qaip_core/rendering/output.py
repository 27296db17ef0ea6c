"""Answers that grow in the output of a notebook's cell."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.display import display

from qaip_core.rendering.page import growing
from qaip_core.rendering.screen import Screen

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["NotebookScreen"]

_SECONDS = 1 / 12
"""Between two updates: each sends the whole answer to the browser."""


class NotebookScreen(Screen):
    """Shows an answer as an output that is replaced as it grows."""

    def __init__(self) -> None:
        super().__init__()
        self._output: Any = None
        self._next = 0.0

    def add(self, text: str) -> None:
        """Show the answer as far as it is known."""
        now = time.monotonic()
        if now >= self._next:
            self._draw(growing(text), text)
            self._next = now + _SECONDS

    def take_back(self) -> None:
        """Do nothing: the output is replaced as a whole."""

    def whole(self, answer: CitedAnswer) -> None:
        """Show the answer in place of what is shown."""
        self._draw(answer.html(), str(answer))

    def close(self, answer: CitedAnswer) -> None:
        """Show the answer with its sources in place of what is shown."""
        self.whole(answer)

    def stay(self, why: str) -> None:
        """Show what is known of the answer, and say that it is incomplete."""
        self._draw(growing(self.text, why), f"{self.text}\n{why}")

    def _draw(self, html: str, text: str) -> None:
        said = {"text/html": html, "text/plain": text}
        if self._output is None:
            self._output = display(said, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(said, raw=True)
