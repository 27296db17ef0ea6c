"""Counts what came of rows, in memory that does not grow with them."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from qaip_core.bulk.record import Record

__all__ = ["Bar", "Latencies", "Stretch", "Tally", "Timeline"]

_GROWTH = 1.02
_STEP = math.log(_GROWTH)
_SHORTEST = 1e-3
"""Seconds; what takes less is not told apart."""

_BINS = 120
_DRAWN = 480
_IDLE = 60.0


class Bar(NamedTuple):
    """How many rows took between so and so many seconds."""

    low: float
    high: float
    rows: int


class Latencies:
    """Counts seconds in bins, each 2 % wider than the one before.

    So what it returns is at most 1 % off, or 1 ms; the smallest and the largest are exact.
    """

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0.0
        self._smallest = math.inf
        self._bins: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Count a row that took so long."""
        self.count += 1
        self.largest = max(self.largest, seconds)
        self._smallest = min(self._smallest, seconds)
        self._bins[math.floor(math.log(max(seconds, _SHORTEST)) / _STEP)] += 1

    def quantile(self, share: float) -> float:
        """Return the seconds that a share of the rows did not exceed; 0 if there are no rows.

        Parameters:
            share: above 0 to 1.
        """
        left = math.ceil(share * self.count)
        for place in sorted(self._bins):
            left -= self._bins[place]
            if left <= 0:
                middle: float = _GROWTH ** (place + 0.5)
                return min(max(middle, self._smallest), self.largest)
        return 0.0

    def bars(self, most: int) -> list[Bar]:
        """Return all bins, some of them together, empty ones between them included.

        Parameters:
            most: how many bars there may be, from 1.
        """
        if not self._bins:
            return []
        first, last = min(self._bins), max(self._bins)
        size = -(-(last + 1 - first) // most)
        return [
            Bar(_GROWTH**n, _GROWTH ** (n + size), sum(self._bins[n + k] for k in range(size)))
            for n in range(first, last + 1, size)
        ]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which rows ended, without a long break.

    Parameters:
        idle: seconds since the one before; 0 for the first.
        answered, failed: rows, for each bin of equal width.
    """

    idle: float
    answered: list[int]
    failed: list[int]


class Timeline:
    """Counts rows by the time at which they ended, in bins of equal width.

    Attributes:
        width: of a bin in seconds; it doubles where there would be more than 120.
    """

    def __init__(self) -> None:
        self.width = 1.0
        self._bins: dict[int, list[int]] = {}

    def add(self, moment: float, *, failed: bool) -> None:
        """Count a row.

        Parameters:
            moment: Unix seconds.
            failed: whether it has no answer.
        """
        counts = self._bins.setdefault(int(moment // self.width), [0, 0])
        counts[failed] += 1
        while len(self._bins) > _BINS:
            self._halve()

    def stretches(self) -> list[Stretch]:
        """Return all bins in the order of time, parted at long breaks.

        These are longer than a minute and than an eighth of the whole time. Bins become wider
        where there would be too many to be drawn.
        """
        while True:
            found = self._parted()
            if sum(len(stretch.answered) for stretch in found) <= _DRAWN:
                return found
            self._halve()

    def _parted(self) -> list[Stretch]:
        places = sorted(self._bins)
        longest = max(_IDLE / self.width, (places[-1] - places[0]) / 8) if places else 0.0
        found: list[Stretch] = []
        for last, place in zip([None, *places], places, strict=False):
            empty = 0 if last is None else place - last - 1
            if last is None or empty > longest:
                found.append(Stretch(empty * self.width, [], []))
                empty = 0
            answered, failed = self._bins[place]
            found[-1].answered.extend([0] * empty + [answered])
            found[-1].failed.extend([0] * empty + [failed])
        return found

    def _halve(self) -> None:
        wider: dict[int, list[int]] = {}
        for place, (answered, failed) in self._bins.items():
            counts = wider.setdefault(place // 2, [0, 0])
            counts[0] += answered
            counts[1] += failed
        self.width *= 2
        self._bins = wider


@dataclass(slots=True)
class Tally:
    """What came of the rows of a table.

    Parameters:
        states: how many are "answered", "failed" and "open".
        errors: how many failed with which type of error.
        unsettled: how many of them may have been answered, and billed.
        latencies: of those that are answered.
        timeline: when they ended.
        priced: whether anything is known of what they cost.
    """

    states: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    unsettled: int = 0
    latencies: Latencies = field(default_factory=Latencies)
    timeline: Timeline = field(default_factory=Timeline)
    priced: bool = False

    def add(self, record: Record | None) -> None:
        """Count a row; None of it is known where it was not asked."""
        if record is None:
            self.states["open"] += 1
            return
        self.states[record.state] += 1
        if record.state == "failed":
            self.errors[record.error_type or "unknown"] += 1
            self.unsettled += record.is_unsettled
        elif record.latency is not None:
            self.latencies.add(record.latency)
        if record.ended_at:
            self.timeline.add(record.ended_at, failed=record.state == "failed")
        self.priced = self.priced or record.cost is not None
