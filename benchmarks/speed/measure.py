"""Measure subjects side by side: in turn, in an order of its own each time, medians of all."""

from __future__ import annotations

import asyncio
import gc
import inspect
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Row", "Run", "measured", "peak_of"]

_LEAST = 3
_ENOUGH_SECONDS = 1.0
"""Who has taken so long has been measured often enough, if at least three times."""


@dataclass
class Row:
    """What one subject cost in one case.

    Parameters:
        subject: its id.
        cpu_us, wall_us: microseconds per unit, medians; None if it could not be measured.
        low_us, high_us: the quartiles of the CPU time.
        times: how often it was measured.
        peak_kb: what was allocated at most, in a run of its own; None if that was not measured.
        note: why it could not be measured, or what else there is to say.
        failed: streams that raised, of all times together.
    """

    subject: str
    cpu_us: float | None = None
    wall_us: float | None = None
    low_us: float | None = None
    high_us: float | None = None
    times: int = 0
    peak_kb: float | None = None
    note: str = ""
    failed: int = 0


@dataclass
class Run:
    """What is timed.

    Parameters:
        subject: the subject's id.
        act: does the work once; its coroutine is awaited.
        prepare: makes what is not to be timed.
        units: events or calls of one time.
        expected: pieces that have to come back, where they are counted.
    """

    subject: str
    act: Callable[[], Any]
    prepare: Callable[[], Any]
    units: int
    expected: int = 0
    samples: list[tuple[float, float]] = field(default_factory=list)

    def once(self, runner: asyncio.Runner) -> tuple[float, float, Any]:
        """Return CPU seconds, wall seconds and what came back."""
        self.prepare()
        gc.collect()
        began, cpu = time.perf_counter(), time.process_time()
        done = self.act()
        if inspect.iscoroutine(done):
            done = runner.run(done)
        return time.process_time() - cpu, time.perf_counter() - began, done

    @property
    def is_enough(self) -> bool:
        spent = sum(wall for _, wall in self.samples)
        return len(self.samples) >= _LEAST and spent > _ENOUGH_SECONDS


def measured(
    runs: Sequence[Run], runner: asyncio.Runner, times: int, seed: int = 5
) -> Mapping[str, Row]:
    """Return the rows of all runs, each of which is done once before, untimed."""
    rows = {run.subject: Row(run.subject) for run in runs}
    able = list(runs)
    order = random.Random(seed)
    for turn in range(times + 1):
        order.shuffle(able)
        for run in [run for run in able if not run.is_enough]:
            why = _take(run, runner, counts=bool(turn))
            if why:
                rows[run.subject].note = why
                able.remove(run)
    for run in able:
        _fill(rows[run.subject], run)
    return rows


def _take(run: Run, runner: asyncio.Runner, *, counts: bool) -> str:
    """Do a run once more; return why it cannot be measured, empty if it can."""
    try:
        cpu, wall, came = run.once(runner)
    except Exception as error:  # noqa: BLE001 -- other packages' errors are results
        return f"fails: {type(error).__name__}: {' '.join(str(error).split())[:80]}"
    if came is not None and came < run.expected:
        return f"incomplete: {came} of {run.expected} pieces"
    if counts:
        run.samples.append((cpu / run.units * 1e6, wall))
    return ""


def _fill(row: Row, run: Run) -> None:
    cpus = [cpu for cpu, _ in run.samples]
    row.times = len(cpus)
    row.cpu_us = statistics.median(cpus)
    row.wall_us = statistics.median(wall for _, wall in run.samples) / run.units * 1e6
    quarters = statistics.quantiles(cpus, n=4) if len(cpus) > 1 else [cpus[0]] * 3
    row.low_us, row.high_us = quarters[0], quarters[2]


def peak_of(run: Run, runner: asyncio.Runner) -> float:
    """Return the KB that one more run allocates at most, beyond what was there before it."""
    run.prepare()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        done = run.act()
        if inspect.iscoroutine(done):
            runner.run(done)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return (peak - before) / 1024
