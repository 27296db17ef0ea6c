"""When requests may go to each service: `Pace` at the desk, `Stride` in a worker."""

from __future__ import annotations

import asyncio
import time

from qaip_core.bulk.plan import Plan

__all__ = ["Pace", "Stride"]

_HORIZON = 1.0
"""Seconds ahead that requests are given their time; a pause that comes later holds the others."""

_CLOSER = 0.9
"""By how much late requests may be closer to each other than their slots, to catch up."""

_LATE = 0.02
"""Seconds by which a request may be late and hold up none after it: no timer is exact."""


class Pace:
    """Holds the rates of a run, and the pauses that services have asked for.

    Parameters:
        plan: its rates.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._next: dict[str, float] = {}
        self._paused: dict[str, float] = {}

    def pause(self, service: str, seconds: float) -> None:
        """Send nothing to a service for some seconds."""
        until = time.monotonic() + seconds
        self._paused[service] = max(until, self._paused.get(service, 0.0))

    def pauses(self) -> dict[str, float]:
        """Return the seconds for which no request may go, by service."""
        now = time.monotonic()
        return {s: until - now for s, until in self._paused.items() if until > now}

    def delays(self, service: str, count: int, now: float) -> list[float]:
        """Give the next requests to a service their times, as far as they are near.

        Parameters:
            service: whom they go to.
            count: how many there are.
            now: this moment.

        Returns:
            Seconds from now, for the first of them; those beyond are to ask again.
        """
        rate = self._plan.rate(service)
        start = max(now, self._paused.get(service, 0.0))
        if rate is None:
            return [start - now] * count if start - now <= _HORIZON else []
        delays: list[float] = []
        moment = max(start, self._next.get(service, 0.0))
        while len(delays) < count and moment - now <= _HORIZON:
            delays.append(moment - now)
            moment += 1 / rate
        if delays:
            self._next[service] = moment
        return delays


class Stride:
    """Keeps the requests of a worker as far apart as their slots, however late it wakes.

    Else those whose slots pass while a process is busy would all go in the same moment.
    """

    def __init__(self) -> None:
        self._last: tuple[float, float] | None = None  # a slot, and when its request went

    async def wait(self, slot: float, delay: float) -> None:
        """Return when a request may go.

        Parameters:
            slot: its moment by the desk's clock.
            delay: seconds until then, or less.
        """
        due = time.monotonic() + delay
        while (due := max(due, self._soonest(slot))) > (now := time.monotonic()):  # noqa: ASYNC110 -- time is all it waits for
            await asyncio.sleep(due - now)
        self._last = slot, max(due, now - _LATE)

    def _soonest(self, slot: float) -> float:
        if self._last is None:
            return 0.0
        before, went = self._last
        return went + _CLOSER * (slot - before)
