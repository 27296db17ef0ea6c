"""What is counted and measured, and what of it must hold."""

import ctypes
import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression
from typing import NamedTuple

from soak.callers import Seen
from soak.cases import Case
from soak.verdicts import EXCUSED, JUDGED, faults_of

__all__ = ["UNHANDLED", "Gauge", "Memory", "Report", "Tally"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
UNHANDLED = "unhandled"
"""What was raised where nobody can catch it."""

_KEPT = 20
_TELLING = 10_000
_EXCUSABLE = 0.002
_AT_ONCE = 100  # whom a single standstill may hit
KIB_PER_1000 = 32.0
"""How much the process may grow in 1,000 calls: a leak of 33 bytes a call shows."""
BLOCKS_PER_1000 = 100.0
"""How many more blocks of memory Python may hold after 1,000 calls: one for ten calls."""


class Gauge(NamedTuple):
    """What a process holds."""

    files: int
    threads: int

    @classmethod
    def read(cls) -> "Gauge":
        gc.collect()
        return cls(len(list(Path("/proc/self/fd").iterdir())), threading.active_count())


class Memory(NamedTuple):
    """Memory after so many calls.

    resident: MiB of the process.
    used: KiB that are allocated and not freed, without Python's own small blocks.
    blocks: how many of these there are.
    """

    calls: int
    resident: float
    used: float
    blocks: int

    @classmethod
    def read(cls, calls: int) -> "Memory":
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(calls, pages * _PAGE / 2**20, _used(), sys.getallocatedblocks())


class _MallInfo(ctypes.Structure):
    """What glibc says of its heap; see mallinfo(3)."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _used() -> float:
    """Return the KiB in use: the process itself keeps what is freed, in pieces, and so grows."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:  # an older glibc, or another C library
        return 0.0
    mallinfo.restype = _MallInfo
    info = mallinfo()
    return float(info.uordblks + info.hblkhd) / 1024


class Tally:
    """Counts what happened; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.calls = 0
        self.requests = 0
        self.faults: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.subjects: set[str] = set()
        self.complaints: list[str] = []

    def note(self, case: Case, seen: Seen) -> None:
        """Count a call, and judge it."""
        found = list(faults_of(case, seen))
        with self._lock:
            self.calls += 1
            self.requests += len(case.plans)
            self.faults.update(plan.fault for plan in case.plans)
            self.ends[_end(case, seen)] += 1
            self.subjects.add(case.subject.name)
        for verdict, particulars in found:
            plans = [plan.fault for plan in case.plans]
            if verdict in EXCUSED:
                self.verdicts[verdict] += 1
                continue
            attempts = getattr(seen.outcome.error, "attempts", "-")
            facts = f"{plans}, {attempts} attempts, {seen.seconds:.2f} s, held up: {case.held_up}"
            where = f"call {case.number}, {case.subject}, {case.leaving}"
            self.complain(verdict, f"{where}, {facts}: {particulars}")

    def complain(self, verdict: str, particulars: str) -> None:
        """Count what must not be, and keep the first ones."""
        with self._lock:
            self.verdicts[verdict] += 1
            if len(self.complaints) < _KEPT:
                self.complaints.append(f"{verdict}: {particulars[:1000]}")


def _end(case: Case, seen: Seen) -> str:
    if seen.left and case.leaving:
        return case.leaving.way
    return type(seen.outcome.error).__name__ if seen.outcome.error else "answer"


@dataclass
class Report:
    """The figures of a soak.

    kept: the most connections that were open while nobody called.
    left: what was left behind, by name; all of it must be 0.
    samples: the memory, after each round.
    """

    seed: int
    tally: Tally
    seconds: float
    cpu: float
    kept: int
    left: Mapping[str, int] = field(default_factory=dict)
    samples: list[Memory] = field(default_factory=list)

    @property
    def slopes(self) -> tuple[float, float] | None:
        """KiB and blocks more for each 1,000 calls, without the first third; None if unknown."""
        late = self.samples[len(self.samples) // 3 :]
        if len(late) < 4 or late[-1].calls - late[0].calls < _TELLING:
            return None
        calls = [sample.calls / 1000 for sample in late]
        kib = linear_regression(calls, [sample.used for sample in late]).slope
        return kib, linear_regression(calls, [float(sample.blocks) for sample in late]).slope

    def broken(self) -> Iterator[str]:
        """Yield what should hold and does not."""
        verdicts = self.tally.verdicts
        counts = {**verdicts, **dict.fromkeys(EXCUSED, 0), **self.left}
        yield from (f"{name}: {count}" for name, count in counts.items() if count)
        excused = sum(verdicts[name] for name in EXCUSED)
        if excused > max(_AT_ONCE, self.tally.calls * _EXCUSABLE):
            yield f"excused: {excused}; are the processors too busy?"
        if self.slopes is not None:
            kib, blocks = self.slopes
            if kib > KIB_PER_1000:
                yield f"memory grows: {kib:.0f} KiB per 1,000 calls"
            if blocks > BLOCKS_PER_1000:
                yield f"memory grows: {blocks:.0f} blocks per 1,000 calls"

    def __str__(self) -> str:
        tally = self.tally
        rows = [
            ("seed", self.seed),
            ("calls", f"{tally.calls:,} in {self.seconds:.0f} s, {self._rate:.0f} a second"),
            ("requests", f"{tally.requests:,}"),
            ("ways of asking", len(tally.subjects)),
            (
                "CPU per call",
                f"{self.cpu / max(tally.calls, 1) * 1000:.1f} ms, the server's included",
            ),
            ("faults drawn", _listed(tally.faults)),
            ("calls ended in", _listed(tally.ends)),
            ("against them", ", ".join(f"{v} {tally.verdicts[v]}" for v in (*JUDGED, UNHANDLED))),
            ("excused", ", ".join(f"{v} {tally.verdicts[v]}" for v in EXCUSED)),
            ("kept open", f"{self.kept} connections at most, while nobody called"),
            ("left behind", ", ".join(f"{name} {count}" for name, count in self.left.items())),
            ("memory", self._memory()),
            *(("!", complaint) for complaint in tally.complaints),
        ]
        return "\n".join(f"{name:<15} {value}" for name, value in rows)

    @property
    def _rate(self) -> float:
        return self.tally.calls / self.seconds

    def _memory(self) -> str:
        if self.slopes is None:
            return "the run is too short to tell"
        kib, blocks = self.slopes
        first, last = self.samples[0], self.samples[-1]
        return (
            f"{first.resident:.1f} MiB after {first.calls:,} calls, {last.resident:.1f} MiB "
            f"at the end; in use per 1,000 calls {kib:+.1f} KiB, {blocks:+.0f} blocks"
        )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.most_common())
