"""What runs on a cluster: the desk, and those who ask. Ray makes actors of both."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray
import ray.exceptions

from qaip_core.bulk.desk import Desk
from qaip_core.bulk.exchange import Batch, Reply, Snapshot
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.prices import Prices
from qaip_core.bulk.record import Asker, Key
from qaip_core.bulk.tables.dataset import Fragment
from qaip_core.bulk.tables.memory import TablePiece
from qaip_core.bulk.worker import Worker
from qaip_core.errors import ConfigurationError

__all__ = ["ROWS", "Asking", "DeskActor", "Part", "Work"]

ROWS = 16
"""Rows that are read at once."""

_PATIENCE = 15.0
"""Seconds in which the desk of a program that was killed leaves its ledger."""


class DeskActor:
    """The desk of a run, as the one actor that all workers talk to."""

    _desk: Desk

    def __init__(self) -> None:
        self._starts = 0
        self._before: tuple[int, ...] = ()

    def open(self, path: Path, plan: Plan, facts: Mapping[str, str]) -> ConfigurationError | None:
        """Begin, and return why it cannot: raised, it would reach the driver as an error of Ray.

        Parameters:
            path: the ledger's file.
            plan, facts: see `Desk`.
        """
        try:
            self._desk = Desk(_owned(path), plan, facts)
        except ConfigurationError as error:
            return error
        return None

    def hello(self) -> None:
        """Count a worker that begins, until rows have come from one."""
        now = self._desk.now
        done = (now.known, now.answered, now.failed)
        self._starts = self._starts + 1 if done == self._before else 1
        self._before = done

    def exchange(self, batch: Batch) -> Reply:
        """See `Desk.exchange`."""
        return self._desk.exchange(batch)

    def snapshot(self) -> tuple[Snapshot, int]:
        """Return how far the run is, and how many workers began since it last came further."""
        return self._desk.snapshot(), self._starts

    def stop(self, why: str) -> None:
        """See `Desk.stop`."""
        self._desk.stop(why)

    def close(self) -> Snapshot:
        """Let go of the ledger, and return how far the run came."""
        self._desk.close()
        return self._desk.snapshot()


def _owned(path: Path) -> Ledger:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return Ledger(path)
        except ConfigurationError as error:
            if "locked" not in str(error.__cause__) or time.monotonic() > until:
                raise
        time.sleep(0.25)


@dataclass(frozen=True, slots=True)
class Part:
    """A share of the rows of a fragment: every so many batches of them.

    Parameters:
        fragment: the rows.
        first: the first batch, from 0.
        step: from one batch to the next, from 1.
    """

    fragment: Fragment
    first: int = 0
    step: int = 1

    def batches(self, columns: Sequence[str]) -> Iterator[list[tuple[Key, Any]]]:
        """Yield the keys and the questions of its rows.

        Parameters:
            columns: those of the question.
        """
        for number, batch in enumerate(self.fragment.batches(ROWS)):
            if number % self.step == self.first:
                yield list(zip(batch.keys, batch.questions(columns), strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What each worker has to know.

    Parameters:
        asker: the model or chain, pickled.
        columns: those of the question.
        plan: the limits.
        prices: what tokens cost, where the service does not tell.
        id_column: what the rows of Ray's tables are known by; None where `Part` comes in them.
        schema: of these tables, whose blocks may have other types.
    """

    asker: bytes
    columns: str | tuple[str, ...]
    plan: Plan
    prices: Prices | None
    id_column: str | None = None
    schema: pa.Schema | None = None

    def made(self) -> Asker:
        """Return the model or chain, for this process.

        Raises:
            Exception: whatever keeps it from being made here.
        """
        try:
            asker: Asker = pickle.loads(self.asker)  # noqa: S301 -- of our own driver
        except Exception as error:
            error.add_note(
                "a worker on the cluster cannot make the model: what it is made of must be there, "
                "too; see runtime_env of ray.init"
            )
            raise
        return asker

    def parts(self, table: pa.Table) -> Iterator[Part]:
        """Yield what is to be read.

        Parameters:
            table: one that Ray hands out.
        """
        if self.schema is None:
            for packed in table.column("part").to_pylist():
                yield from pickle.loads(packed)  # noqa: S301 -- of our own driver
        else:
            yield Part(Fragment(TablePiece(table), self.schema, id_column=self.id_column))


class Asking:
    """A worker, as Ray Data makes it: one `Worker` in one event loop, for several tables at once.

    Parameters:
        desk: the handle of the desk.
        work: what to do.
    """

    _worker: Worker

    def __init__(self, desk: Any, work: Work) -> None:
        self._desk = desk
        self._work = work
        self._stopped = False
        self._is_ready = False
        # Ray Data would begin anew with a worker that cannot begin.
        self._failure: Exception | None = None
        try:
            ray.get(desk.hello.remote())
        except ray.exceptions.RayActorError:  # the run was broken off while this one started
            self._stopped = True

    async def __call__(self, table: pa.Table) -> AsyncIterator[dict[str, list[bytes]]]:
        """Ask the rows of a table, and yield the error that ends the run, or nothing, pickled.

        Parameters:
            table: rows, or the parts that they are in.
        """
        yield {"error": [_packed(await self._failed(table))]}

    async def _failed(self, table: pa.Table) -> Exception | None:
        try:
            await self._answer(table)
        except Exception as error:  # noqa: BLE001 -- the driver raises it
            self._failure = self._failure or error
        return self._failure

    async def _answer(self, table: pa.Table) -> None:
        if self._is_over:
            return
        self._begin()
        asking: set[asyncio.Task[None]] = set()
        try:
            async with self._reading:
                for part in self._work.parts(table):
                    for rows in part.batches(self._work.columns):
                        await self._room.acquire()
                        if self._is_over:
                            return
                        task = asyncio.create_task(self._ask(rows))
                        asking.add(task)
                        task.add_done_callback(asking.discard)
        finally:
            await asyncio.gather(*asking)  # what is asked is paid for

    @property
    def _is_over(self) -> bool:
        return self._stopped or self._failure is not None

    def _begin(self) -> None:
        """Make what needs the event loop, which there is none of when Ray makes the worker."""
        if self._is_ready:
            return
        plan = self._work.plan
        asker = self._work.made()
        self._worker = Worker(asker, self._talk, rates=plan.rates, prices=self._work.prices)
        self._reading = asyncio.Lock()
        # Each batch may wait for one slow row; two more keep the others busy.
        self._room = asyncio.Semaphore(-(-plan.concurrency // plan.workers) + 2)
        self._is_ready = True

    async def _ask(self, rows: list[tuple[Key, Any]]) -> None:
        try:
            await self._worker.answer(rows)
        except Exception as error:  # noqa: BLE001 -- the driver raises it
            self._failure = self._failure or error
        finally:
            self._room.release()

    async def _talk(self, batch: Batch) -> Reply:
        reply: Reply = await self._desk.exchange.remote(batch)
        self._stopped = reply.stop
        return reply


def _packed(error: Exception | None) -> bytes:
    """Return an error so that it can be raised elsewhere: some cannot be pickled."""
    if error is None:
        return b""
    try:
        packed = pickle.dumps(error)
        pickle.loads(packed)  # noqa: S301 -- our own
    except Exception:  # noqa: BLE001 -- whatever its class does
        return pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return packed
