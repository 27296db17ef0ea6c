"""A thousand streams at the same time: all have begun before any goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from speed.cases import Place
from speed.measure import Row, Run, measured

__all__ = ["crowds"]

_WHO = frozenset({"raw", "made", "core", "ours"})
STREAMS = 1000
EVENTS = 100


def crowds(place: Place) -> list[Row]:
    """Return what an event costs, and how many of the streams failed."""
    url = place.server.url(f"fireworks-{EVENTS}-1-{STREAMS}")
    crowd = {s.id: _Crowd(partial(s.make, url)) for s in place.subjects if s.id in _WHO}
    total = STREAMS * EVENTS
    runs = [Run(name, one.stream, one.prepare, total, total) for name, one in crowd.items()]
    rows = measured(runs, place.runner, place.times(2))
    for name, one in crowd.items():
        rows[name].failed = one.failed
    return list(rows.values())


class _Crowd:
    """Many streams of one asker, which has asked nothing before."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self.failed = 0

    def prepare(self) -> None:
        self._asker = self._make()

    async def stream(self) -> int:
        """Return how many pieces came, of all streams; count those that failed."""
        asked = (self._asker.astream() for _ in range(STREAMS))
        came = await asyncio.gather(*asked, return_exceptions=True)
        self.failed += sum(isinstance(one, BaseException) for one in came)
        return sum(one for one in came if isinstance(one, int))
