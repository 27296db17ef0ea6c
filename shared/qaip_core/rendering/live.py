"""Answers that grow in a terminal.

Paragraphs that are finished are printed for good, so that the answer may be longer than the
screen; only the last one is drawn anew. `rich.live` would cut what is longer.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from qaip_core.rendering.parsing import parser
from qaip_core.rendering.screen import Screen
from qaip_core.rendering.terminal import Prose, listed

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["TerminalScreen", "terminal"]

# Drawing takes at most this part of the time; the longest pause, in seconds, is the second number.
_SHARE = 0.25
_PAUSE = 0.2


def terminal() -> Console:
    """Return the terminal."""
    return Console(file=sys.stdout, highlight=False)


class TerminalScreen(Screen):
    """Shows an answer as Markdown.

    Parameters:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._printed = 0
        self._apart = False
        self._next = 0.0

    def add(self, text: str) -> None:
        """Print the paragraphs that are finished, and draw the one that grows."""
        self._live.start()
        begun = time.monotonic()
        if begun < self._next:
            return
        last = self._printed + _last_block(text[self._printed :])
        if last > self._printed:
            self._live.update(_Tail(text[last:]))
            self._print(text[self._printed : last])
            self._printed = last
        self._live.update(_Tail(text[last:]), refresh=True)
        ended = time.monotonic()
        self._next = ended + min(_PAUSE, (ended - begun) * (1 / _SHARE - 1))

    def take_back(self) -> None:
        """Say that what was printed so far does not hold."""
        self._settle(self.text[self._printed :])
        self._console.print(Text("[The service took back the text above.]", style="yellow"))
        self._printed, self._apart = 0, False

    def whole(self, answer: CitedAnswer) -> None:
        """Print the answer."""
        self._console.print(answer)

    def close(self, answer: CitedAnswer) -> None:
        """Print the end of the answer, whose markers now lead to their sources, and these."""
        links = {s.number: s.url or "" for s in answer.sources if s.named}
        shown, marked = self.text[: self._printed], answer.marked_text
        rest = marked if marked.startswith(shown) else self.text
        self._settle(rest[self._printed :], links)
        if answer.sources:
            self._console.print()
            self._console.print(listed(answer.sources))

    def stay(self, why: str) -> None:
        """Print the rest of what is known, and say that it is incomplete."""
        self._settle(self.text[self._printed :])
        self._console.print(Text(why, style="yellow"))

    def _settle(self, text: str, links: dict[int, str] | None = None) -> None:
        """Print what was drawn, for good."""
        self._live.update(Text(), refresh=True)
        self._live.stop()
        self._print(text, links)

    def _print(self, text: str, links: dict[int, str] | None = None) -> None:
        if not text.strip():
            return
        if self._apart:
            self._console.print()
        self._console.print(Prose(text, links))
        self._apart = True


class _Tail:
    """The end of an answer, as much of it as the terminal has lines."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(Prose(self._text), options.update(height=None), pad=False)
        for line in lines[-(console.height - 2) :]:
            yield from line
            yield Segment.line()


def _last_block(text: str) -> int:
    """Return where the last block begins that stands on its own, such as a paragraph."""
    blocks = [token.map[0] for token in parser().parse(text) if not token.level and token.map]
    line = max(blocks, default=0)
    return sum(len(ended) for ended in text.splitlines(keepends=True)[:line])
