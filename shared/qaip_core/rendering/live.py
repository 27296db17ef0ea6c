"""Answers that grow in a terminal.

Paragraphs that are finished are printed for good, so that the answer may be longer than the
screen; only the last one is drawn anew. `rich.live` would cut what is longer.
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from qaip_core.rendering.parsing import last_block
from qaip_core.rendering.screen import Pace, Screen
from qaip_core.rendering.terminal import Prose, listed

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["TerminalScreen", "terminal"]

# What is longer than this is drawn as it is written until it has ended.
_LONG = 8_000


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
        self._pace = Pace()
        self._printed = 0
        self._tail: list[str] = []
        self._apart = False

    def add(self, piece: str) -> None:
        """Print the paragraphs that are finished, and draw the one that grows."""
        self._tail.append(piece)
        self._pace.draw(self._draw)

    def _draw(self) -> None:
        self._live.start()
        tail = "".join(self._tail)
        last = last_block(tail)
        self._tail = [tail[last:]]
        self._printed += last
        if last:
            self._live.update(_Tail(tail[last:]))
            self._print(tail[:last])
        self._live.update(_Tail(tail[last:]), refresh=True)

    def take_back(self) -> None:
        """Say that what was printed so far does not hold."""
        self._settle("".join(self._tail))
        self._console.print(Text("[The service took back the text above.]", style="yellow"))
        self._printed, self._apart = 0, False

    def whole(self, answer: CitedAnswer) -> None:
        """Print the answer."""
        self._console.print(answer)

    def close(self, answer: CitedAnswer) -> None:
        """Print the end of the answer, whose markers now lead to their sources, and these."""
        links = {s.number: s.url or "" for s in answer.sources if s.named}
        shown, marked = self.text[: self._printed], answer.marked_text
        same = marked.startswith(shown)
        self._settle(marked[self._printed :] if same else "".join(self._tail), links)
        if answer.sources:
            self._console.print()
            self._console.print(listed(answer.sources))
        for was, now in () if same else sorted(answer.renumbered.items()):
            self._console.print(Text(f"[{was}] is [{now}]", style="cyan"))

    def stay(self, why: str) -> None:
        """Print the rest of what is known, and say that it is incomplete."""
        self._settle("".join(self._tail))
        self._console.print(Text(why, style="yellow"))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            super().__exit__(kind, error, where)
        finally:
            self._live.stop()  # else the cursor would stay hidden

    def _settle(self, text: str, links: dict[int, str] | None = None) -> None:
        """Print what was drawn, for good."""
        if self._live.is_started:
            self._live.update(Text(), refresh=True)
            self._live.stop()
        self._tail = []
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
        growing = Prose(self._text) if len(self._text) < _LONG else Text(self._text[-_LONG:])
        lines = console.render_lines(growing, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - 2) :]:
            yield from line
            yield Segment.line()
