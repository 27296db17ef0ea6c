"""Answers in a notebook: an output that grows, and objects that show themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qaip_core.rendering.answer import CitedAnswer
from qaip_core.rendering.page import growing
from qaip_core.rendering.screen import Pace, Screen

__all__ = ["NotebookScreen", "register", "unregister"]

_HTML = "text/html"
_SECONDS = 1 / 12
"""Between two updates: each sends the whole answer to the browser."""


class NotebookScreen(Screen):
    """Shows an answer as an output that is replaced as it grows."""

    def __init__(self) -> None:
        super().__init__()
        self._output: Any = None
        self._pace = Pace(_SECONDS)

    def add(self, piece: str) -> None:  # noqa: ARG002 -- the whole answer is drawn anew
        """Show the answer as far as it is known."""
        self._pace.draw(lambda: self._draw(growing(self.text), self.text))

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
        from IPython.display import display

        said = {_HTML: html, "text/plain": text}
        if self._output is None:
            self._output = display(said, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._output.update(said, raw=True)


def register(shell: Any, kinds: Iterable[type], cited: Callable[[Any], CitedAnswer]) -> None:
    """Show objects as HTML wherever they cite; those that do not are shown as before.

    Parameters:
        shell: IPython's.
        kinds: the objects' types; their subclasses are included.
        cited: returns an object's answer.
    """

    def shown(value: Any) -> str | None:
        answer = cited(value)
        return answer.html() if answer.sources else None

    for kind in kinds:
        shell.display_formatter.formatters[_HTML].for_type(kind, shown)


def unregister(shell: Any, kinds: Iterable[type]) -> None:
    """Show objects as before."""
    for kind in kinds:
        shell.display_formatter.formatters[_HTML].pop(kind, None)
