"""`Shown`: how far a run is, as it goes: a bar in a terminal, now and then a line elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from qaip_core.bulk.amounts import duration, few, money, share
from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job
from qaip_core.rendering.harmless import one_line, shorten

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Far", "Shown", "Speed"]

_WINDOW = 60.0
_APART, _LONGEST_APART, _PART = 10.0, 60.0, 0.02
"""Seconds between two lines: at least, at most, and in between this part of what has passed."""

_WHY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Far:
    """How far a run is, in words.

    Parameters:
        now: the desk's counts.
        total: rows of the dataset; None if nobody knows.
        speed: rows a second; None if it cannot be told yet.
        seconds: since the run began.
        ended: whether the run has.
        waiting: what for, before the first row begins; empty afterwards.
    """

    now: Snapshot
    total: int | None
    speed: float | None
    seconds: float
    ended: bool = False
    waiting: str = ""

    @property
    def done(self) -> int:
        """Rows that hold an answer or an error, from earlier runs, too."""
        return self.now.known + self.now.answered + self.now.failed

    @property
    def headline(self) -> str:
        """Rows, speed and the time that is left."""
        rows = f"{self.done:,} rows"
        if self.total:
            rows = f"{self.done:,} of {self.total:,} rows ({share(self.done, self.total)})"
        speed = "" if self.speed is None else f"{few(self.speed)} rows/s"
        left = f"in {duration(self.seconds)}" if self.ended else self._left()
        return _listed(rows, self.waiting, speed, left)

    @property
    def details(self) -> str:
        """What came of the rows, what they took, and what holds them."""
        now = self.now
        return _listed(
            f"{now.known:,} known" if now.known else "",
            f"{now.answered:,} answered",
            f"{now.failed:,} failed" if now.failed else "",
            f"{now.in_flight:,} in flight" if now.in_flight else "",
            f"{now.tokens:,} tokens" if now.tokens else "",
            f"cost {money(now.cost)}" if now.cost else "",
            *(f"paused {duration(s)} by {one_line(by)}" for by, s in now.pauses.items()),
        )

    @property
    def stopped(self) -> str:
        """Why no further row begins; empty while rows do."""
        if self.now.stopped is None:
            return ""
        verb = "stopped" if self.ended else "stopping"
        return f"{verb}: {shorten(one_line(self.now.stopped), _WHY)}"

    def _left(self) -> str:
        if self.total is None or not self.speed or self.now.stopped is not None:
            return ""
        return f"about {duration(max(0, self.total - self.done) / self.speed)} left"


class Speed:
    """Rows a second, of the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, moment: float, rows: int) -> float | None:
        """Return the speed; None before a second has passed and a row has ended.

        Parameters:
            moment: seconds, on any clock that does not go back.
            rows: how many have ended in this run.
        """
        if not self._seen or moment - self._seen[-1][0] >= 0.2:  # so that it stays short
            self._seen.append((moment, rows))
        while len(self._seen) > 2 and moment - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()
        first, before = self._seen[0]
        return (rows - before) / (moment - first) if rows and moment - first >= 1 else None


class _Screen(Protocol):
    def show(self, far: Far) -> None: ...

    def wait(self, far: Far) -> None: ...

    def close(self, far: Far | None) -> None: ...


class Shown:
    """Shows on standard error how far a run is.

    Parameters:
        job: the run.
        clock: returns seconds.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.monotonic) -> None:
        self._wanted = job.progress
        self._total: int | None = job.dataset.total if job.progress else None
        self._clock = clock
        self._speed = Speed()
        self._far: Far | None = None
        self._waiting = ""
        self._screen: _Screen | None = None

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._screen = _screen() if self._wanted else None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if self._screen is None:
            return
        with suppress(OSError, ValueError):  # whoever read it has gone; the run goes on
            is_vain = error is not None and self._far is None
            self._screen.close(None if is_vain else self._last())

    def wait(self, words: str) -> None:
        """Show what the run waits for, until its first row begins.

        Parameters:
            words: say it.
        """
        if self._screen is None:
            return
        self._waiting = words
        with suppress(OSError, ValueError):
            self._screen.wait(self._made(Snapshot()))

    def update(self, snapshot: Snapshot) -> None:
        """Show it.

        Parameters:
            snapshot: how far the run is; it is not kept.
        """
        if self._screen is None:
            return
        rows = snapshot.answered + snapshot.failed
        speed = None
        if rows or snapshot.known or snapshot.in_flight:
            self._waiting = ""
        if not self._waiting:  # which is no part of the speed
            speed = self._speed.add(self._clock(), rows)
        now = replace(snapshot, pauses=dict(snapshot.pauses))
        self._far = replace(self._made(now), speed=speed)
        with suppress(OSError, ValueError):
            self._screen.show(self._far)

    def _made(self, now: Snapshot) -> Far:
        seconds = self._clock() - self._began
        return Far(now=now, total=self._total, speed=None, seconds=seconds, waiting=self._waiting)

    def _last(self) -> Far:
        """Return how far the run has come, with the speed of all of it."""
        now = self._far.now if self._far else Snapshot()
        rows = now.answered + now.failed
        speed = rows / now.asking if rows and now.asking > 0 else None
        far = self._made(replace(now, pauses={}))
        return replace(far, speed=speed, ended=True, waiting="")


class _Lines:
    """A pipe, a file or a notebook."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next = _APART

    def show(self, far: Far) -> None:
        if far.seconds >= self._next:
            self._next = far.seconds + min(_LONGEST_APART, max(_APART, far.seconds * _PART))
            self._write(far.headline, far.details, far.stopped)

    def wait(self, far: Far) -> None:
        self._write(far.waiting)

    def close(self, far: Far | None) -> None:
        if far is not None:
            self._write(far.headline, far.details, far.stopped)

    def _write(self, *parts: str) -> None:
        self._stream.write("; ".join(part for part in parts if part) + "\n")
        self._stream.flush()


class _Bar:
    """A terminal: a bar and the words below it, drawn anew each time."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._live = Live(
            console=console,
            auto_refresh=False,  # no thread beside the run
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            vertical_overflow="crop",
        )
        self._live.start()

    def show(self, far: Far) -> None:
        self._live.update(_drawn(far), refresh=True)

    def wait(self, far: Far) -> None:
        self.show(far)

    def close(self, far: Far | None) -> None:
        try:
            if far is not None:
                self.show(far)
        finally:
            self._live.stop()  # else the cursor would stay hidden


def _drawn(far: Far) -> Any:
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 1), expand=True)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True)
    total = far.total or (far.done if far.ended else None)
    bar = ProgressBar(
        total, far.done, pulse=total is None, complete_style="cyan", finished_style="green"
    )
    grid.add_row(bar, Text(far.headline))
    words = [Text(far.details, style="dim")]
    if far.stopped:
        words.append(Text(far.stopped, style="yellow"))
    return Group(grid, *words)


def _screen() -> _Screen | None:
    stream: TextIO | None = sys.stderr
    if stream is None:  # a program without a console
        return None
    if stream.isatty() and find_spec("rich"):
        from rich.console import Console

        console = Console(file=stream, highlight=False)
        if console.is_terminal and not console.is_dumb_terminal:
            return _Bar(console)
    return _Lines(stream)


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
