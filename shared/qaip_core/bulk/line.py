"""`Line`: a worker's line to the desk, over which all that its rows have to say goes at once.

While one batch is on its way, what comes up is put into the next. So a busy worker talks to the
desk a few times for a hundred rows, and an idle one without delay.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from qaip_core.bulk.exchange import Batch, Reply
from qaip_core.bulk.pace import Stride
from qaip_core.bulk.record import Key, Record
from qaip_core.errors import ConfigurationError

__all__ = ["Line"]

T = TypeVar("T")
Mark: TypeAlias = tuple[Key, bytes]
"""A row and the digest of its question."""

_SPREAD = 0.1
"""By which share pauses end later, so that not all requests go in the same moment."""

_AT_ONCE = 1.0
"""Seconds of a pause that hold before the desk has said how long it lasts."""

_BEAT = 1.0
"""Seconds after which even a worker that has nothing to say hears of pauses, and of the end."""

_SOON = 0.1
"""Seconds after which a worker asks again for what the desk could not give it yet."""

_MOST = 256
"""Rows that are wanted at once: all others would travel in vain, again and again."""

_NEAR = 0.05
"""Seconds of a pause that are not worth another time from the desk."""

_STUCK = 2.0
"""Seconds in which an event loop hears of a thread, unless it waits for that thread itself."""


class _Said(NamedTuple, Generic[T]):
    """What a row has said, and the word that it waits for."""

    what: T
    word: asyncio.Future[Any]

    def tell(self, word: Any) -> None:
        if not self.word.done():  # who waited may have been cancelled
            self.word.set_result(word)


@dataclass(slots=True)
class _Talk:
    """All that rows have said, and not heard an answer to."""

    opened: list[_Said[list[Mark]]] = field(default_factory=list)
    wanted: list[_Said[Mark]] = field(default_factory=list)
    requests: list[_Said[str]] = field(default_factory=list)
    ended: list[_Said[Record]] = field(default_factory=list)
    dropped: list[_Said[Key]] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)

    def batch(self, worker: str) -> Batch:
        """Return it as the desk takes it."""
        self.wanted = [said for said in self.wanted if not said.word.done()]
        self.requests = [said for said in self.requests if not said.word.done()]
        return Batch(
            worker,
            [row for said in self.opened for row in said.what],
            [said.what for said in self.wanted[:_MOST]],
            dict(Counter(said.what for said in self.requests)),
            self.waits,
            [said.what for said in self.ended],
            [said.what for said in self.dropped],
        )

    def hear(self, reply: Reply) -> None:
        """Tell the rows what the desk says, and keep what it has not met."""
        for opened in self.opened:
            opened.tell({key for key, _ in opened.what if key in reply.todo})
        done: Sequence[_Said[Any]]
        for done in (self.ended, self.dropped):
            for said in done:
                said.tell(None)
        told = len(reply.begun)
        for wanted, word in zip(self.wanted, reply.begun, strict=False):
            wanted.tell(word)
        if reply.stop:
            for wanted in self.wanted[told:]:
                wanted.tell(False)  # noqa: FBT003 -- the word that it waits for
        later = []
        for request in self.requests:
            if delays := reply.delays.get(request.what):
                delay = delays.pop(0)
                request.tell((reply.now + delay, delay))
            else:
                later.append(request)
        left = [] if reply.stop else self.wanted[told:]
        self.wanted, self.requests = left, later

    def fail(self, error: Exception) -> None:
        """Tell all rows that the desk cannot be reached."""
        said: Sequence[_Said[Any]]
        for said in (self.opened, self.wanted, self.requests, self.ended, self.dropped):
            for one in said:
                if not one.word.done():
                    one.word.set_exception(error)


class Line:
    """Talks to the desk for all rows of a worker, in one event loop.

    Parameters:
        worker: its name.
        talk: brings a batch to the desk, and its reply back.
        rates: requests a second by service, "" for each.
    """

    def __init__(
        self, worker: str, talk: Callable[[Batch], Awaitable[Reply]], rates: Mapping[str, float]
    ) -> None:
        self._stop = asyncio.Event()
        self._worker = worker
        self._talk = talk
        self._rates = rates
        self._said = _Talk()
        self._sent = self._said
        self._paused: dict[str, float] = {}
        self._strides: defaultdict[str, Stride] = defaultdict(Stride)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._broken: Exception | None = None  # why nothing more can be said
        self._task = self._loop.create_task(self._run())

    async def open(self, rows: list[Mark]) -> set[Key]:
        """Return which of some rows are to be asked."""
        todo: set[Key] = await self._say(self._said.opened, rows)
        return todo

    async def begin(self, key: Key, digest: bytes) -> bool:
        """Wait until a row may begin; False if none is to begin any more."""
        return bool(await self._say(self._said.wanted, (key, digest)))

    async def end(self, record: Record) -> None:
        """Return when it is written down what came of a row."""
        await self._say(self._said.ended, record)

    async def drop(self, key: Key) -> None:
        """Return when it is written down that a row that began has not been asked."""
        await self._say(self._said.dropped, key)

    @property
    def stopped(self) -> bool:
        """Whether no further row is to begin."""
        return self._stop.is_set()

    async def admit(self, service: str, *, to_the_end: bool) -> bool:
        """Wait until a request to a service may go; False if the run was stopped before.

        Parameters:
            service: whom it goes to.
            to_the_end: whether to wait also when the run has been stopped.
        """
        if asyncio.get_running_loop() is not self._loop:
            return await asyncio.to_thread(self.admit_in_thread, service, to_the_end=to_the_end)
        if to_the_end or not (self._is_rated(service) or self._left(service) > 0):
            await self._admit(service)
            return True
        admitted = self._loop.create_task(self._admit(service))
        stopped = self._loop.create_task(self._stop.wait())
        try:
            await asyncio.wait({admitted, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if admitted.done():
                admitted.result()  # raises, if the desk is gone
            return admitted.done()
        finally:
            admitted.cancel()
            stopped.cancel()

    def admit_in_thread(self, service: str, *, to_the_end: bool) -> bool:
        """Do what `admit` does for a request from another thread.

        From the worker's own thread none can wait; nor from one that this one waits for.
        """
        with suppress(RuntimeError):
            if asyncio.get_running_loop() is self._loop:
                return True
        taken = threading.Event()

        async def admit() -> bool:
            taken.set()
            return await self.admit(service, to_the_end=to_the_end)

        admitted = asyncio.run_coroutine_threadsafe(admit(), self._loop)
        if not taken.wait(_STUCK):
            admitted.cancel()
            return True
        return admitted.result()

    def pause(self, service: str, seconds: float) -> None:
        """Send nothing to a service for some seconds, from any worker."""
        self._loop.call_soon_threadsafe(self._pause, service, seconds)

    async def aclose(self) -> None:
        """Say no more; threads that still wait for a word get an error."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _is_rated(self, service: str) -> bool:
        return service in self._rates or "" in self._rates

    def _left(self, service: str) -> float:
        """Return the seconds that no request may go to a service."""
        return self._paused.get(service, 0.0) - time.monotonic()

    async def _admit(self, service: str) -> None:
        if self._is_rated(service):
            await self._wait_for_slot(service)
            while self._left(service) > _NEAR:  # the time that was given has passed in a pause
                await asyncio.sleep(self._left(service))
                await self._wait_for_slot(service)
        while (left := self._left(service)) > 0:  # noqa: ASYNC110 -- it may grow
            await asyncio.sleep(left * (1 + random.uniform(0, _SPREAD)))  # noqa: S311 -- no secret

    async def _wait_for_slot(self, service: str) -> None:
        slot, delay = await self._say(self._said.requests, service)
        await self._strides[service].wait(slot, delay)

    def _pause(self, service: str, seconds: float) -> None:
        self._hold(service, min(seconds, _AT_ONCE))
        waits = self._said.waits
        waits[service] = max(seconds, waits.get(service, 0.0))
        self._news.set()

    def _hold(self, service: str, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._paused[service] = max(until, self._paused.get(service, 0.0))

    def _say(self, queue: list[_Said[T]], what: T) -> asyncio.Future[Any]:
        word: asyncio.Future[Any] = self._loop.create_future()
        if self._broken is not None:
            word.set_exception(self._broken)
        else:
            queue.append(_Said(what, word))
            self._news.set()
        return word

    async def _run(self) -> None:
        broken: Exception = ConfigurationError("the run has ended")
        try:
            await self._talk_on()
        except Exception as error:  # noqa: BLE001 -- whoever waits for the desk gets it
            broken = error
        finally:
            self._broken = broken
            self._sent.fail(broken)
            self._said.fail(broken)

    async def _talk_on(self) -> None:
        wait = _BEAT
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):  # `wait_for` may lose its cancellation
                    await self._news.wait()
            await asyncio.sleep(0)  # rows that are ready to speak come along
            self._news.clear()
            talk = self._sent = self._said
            self._said = _Talk()
            reply = await self._talk(talk.batch(self._worker))
            talk.hear(reply)
            if reply.stop:
                self._stop.set()
            for service, seconds in reply.pauses.items():
                self._hold(service, seconds)
            self._said.wanted[:0] = talk.wanted  # before those that came up meanwhile
            self._said.requests[:0] = talk.requests
            if len(reply.begun) == _MOST:
                self._news.set()
            wait = _SOON if talk.wanted or talk.requests else _BEAT
