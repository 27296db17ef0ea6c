"""What is measured, as a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from speed.measure import Row, Run, measured, peak_of
from speed.server import Server
from speed.subjects import Subject

__all__ = ["CASES", "Case", "Place", "rows_of"]

_KINDS = frozenset({"limit", "ours", "peer"})
_NO_PEERS = frozenset({"limit", "ours"})
_WAYS = ("stream", "astream")
_QUICK_TIMES = 5


@dataclass(frozen=True)
class Case:
    """One kind of work.

    Parameters:
        id: its name in the results; the way is added to it.
        title: its name in tables.
        shapes: the streams that fit, in the order in which a subject takes its first.
        size: events of a stream, and events per HTTP chunk.
        ways: the methods of `asking` that are measured.
        times: how often each subject is measured.
        calls: calls of one time; 0 where the unit is an event of one stream.
        kinds: who takes part.
        without: ids of those who do not.
        memory: whether peak memory is measured, of what is not async.
        quick: whether it is part of the quick run.
    """

    id: str
    title: str
    shapes: tuple[str, ...]
    size: str = "2000-1"
    ways: tuple[str, ...] = _WAYS
    times: int = 7
    calls: int = 0
    kinds: frozenset[str] = _KINDS
    without: frozenset[str] = frozenset()
    memory: bool = False
    quick: bool = True

    @property
    def events(self) -> int:
        return int(self.size.split("-")[0])

    @property
    def unit(self) -> str:
        return "call" if self.calls else "event"


@dataclass(frozen=True)
class Place:
    """Where and how thoroughly everything is measured.

    Parameters:
        which: the framework.
        subjects: who is measured.
        server: whom they ask.
        runner: the event loop of all that is awaited.
        quick: whether each is measured less often, and memory not at all.
    """

    which: str
    subjects: Sequence[Subject]
    server: Server
    runner: asyncio.Runner
    quick: bool = False

    def times(self, wanted: int) -> int:
        """Return how often something is measured."""
        return min(wanted, _QUICK_TIMES) if self.quick else wanted


_SECOND = frozenset(
    {
        *("ready", "ready-complete", "made-complete", "ours-text", "ours-complete"),
        *("ours-perplexity", "litellm", "openai", "fireworks-ai", "perplexityai"),
    }
)
"""Who adds nothing to what a long case says."""
_ANSWERS = ("fireworks", "text")
CASES = (
    Case(
        "short",
        "2,000 short chunks, one in each HTTP chunk",
        _ANSWERS,
        ways=(*_WAYS, "events", "aevents"),
        memory=True,
    ),
    Case(
        "eight",
        "2,000 short chunks, eight in each HTTP chunk",
        _ANSWERS,
        "2000-8",
        times=5,
        kinds=_NO_PEERS,
    ),
    Case(
        "sources",
        "191 events of Perplexity, each with all sources and all text so far",
        ("perplexity",),
        "191-1",
        memory=True,
    ),
    Case("dify", "2,000 events of Dify", ("dify",), times=5, quick=False),
    Case("qaip", "2,000 lines of Qaip", ("qaip",), times=5, quick=False),
    Case(
        "long",
        "20,000 short chunks",
        _ANSWERS,
        "20000-1",
        times=3,
        kinds=_NO_PEERS,
        without=frozenset({"ready", "ready-complete"}),  # LlamaIndex's would fill a gigabyte
        memory=True,
        quick=False,
    ),
    Case("whole", "whole answers", _ANSWERS, ways=("call", "acall"), calls=40, memory=True),
    Case(
        "batch",
        "1,000 answers, 50 at a time",
        _ANSWERS,
        ways=("batch", "abatch"),
        calls=1000,
        times=1,  # a thousand calls are many enough
        quick=False,
    ),
)


def rows_of(case: Case, way: str, place: Place) -> list[Row]:
    """Measure one case in one way."""
    fitting = [s for s in place.subjects if s.kind in case.kinds and s.reads & set(case.shapes)]
    taking = [s for s in fitting if s.id not in case.without]
    lacking = [Row(s.id, note=s.lacks[way]) for s in taking if way in s.lacks]
    runs = [run for s in taking if way not in s.lacks for run in _run(case, way, s, place.server)]
    rows = measured(runs, place.runner, place.times(case.times))
    if case.memory and not place.quick and not way.startswith("a"):
        for run in runs:
            if rows[run.subject].times:
                rows[run.subject].peak_kb = peak_of(run, place.runner)
    return [*rows.values(), *lacking]


def _run(case: Case, way: str, subject: Subject, server: Server) -> Iterator[Run]:
    """Yield the run of a subject, unless it has no such way."""
    shape = next(shape for shape in case.shapes if shape in subject.reads)
    asker = subject.make(server.url(f"{shape}-{case.size}"))
    act = getattr(asker, way, None)
    if act is None:
        return
    prepare = getattr(asker, "prepare", lambda: None)
    if not case.calls:
        yield Run(subject.id, act, prepare, case.events, case.events - 1)
    elif "batch" in way:
        yield Run(subject.id, lambda: act(case.calls), prepare, case.calls)
    else:
        yield Run(subject.id, _repeated(act, way, case.calls), prepare, case.calls)


def _repeated(act: Any, way: str, times: int) -> Any:
    def repeated() -> None:
        for _ in range(times):
            act()

    async def awaited() -> None:
        for _ in range(times):
            await act()

    return awaited if way.startswith("a") else repeated
