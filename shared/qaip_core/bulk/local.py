"""The engine for one machine: one event loop, no workers beside it."""

from __future__ import annotations

import asyncio

from qaip_core.bulk.desk import Desk
from qaip_core.bulk.exchange import Batch, Reply, Snapshot
from qaip_core.bulk.job import Job
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.progress import Shown
from qaip_core.bulk.record import Asker
from qaip_core.bulk.stopping import stopping
from qaip_core.bulk.worker import Worker

__all__ = ["run"]

_AHEAD = 3
"""Rows in memory, for each that is asked at a time: slow ones hold up none of the others."""

_ROWS = 64
"""Rows that are read at once."""

_TICK = 0.25


async def run(job: Job, asker: Asker) -> Snapshot:
    """Ask all rows that are to be asked.

    Parameters:
        job: what, and how.
        asker: the model or chain.

    Raises:
        ConfigurationError: the ledger is another run's.
    """
    desk = Desk(Ledger(job.ledger), job.plan, job.facts(asker.describe()))
    try:
        wishes: list[str] = []

        def stop(why: str) -> None:
            wishes.append(why)
            desk.stop(why)

        with Shown(job) as shown, stopping(stop):
            ticking = asyncio.create_task(_tick(desk, shown))
            try:
                await _ask_all(job, asker, desk, wishes)
            finally:
                ticking.cancel()
                shown.update(desk.snapshot())
        return desk.snapshot()
    finally:
        desk.close()


async def _ask_all(job: Job, asker: Asker, desk: Desk, wishes: list[str]) -> None:
    async def talk(batch: Batch) -> Reply:
        return desk.exchange(batch)

    worker = Worker(asker, talk, rates=job.plan.rates, prices=job.prices)
    asking: set[asyncio.Task[None]] = set()
    try:
        await _begin_all(job, desk, worker, asking)
        await _ended(asking, asyncio.FIRST_EXCEPTION)
        for task in asking:
            if task.done():  # others are still under way
                task.result()
    except (Exception, asyncio.CancelledError) as error:
        is_cancelled = isinstance(error, asyncio.CancelledError)
        if not (is_cancelled and wishes):  # who asks twice does not wait
            desk.stop("cancelled" if is_cancelled else "the run cannot go on")
            await _ended(asking, asyncio.ALL_COMPLETED)  # what is asked is paid for
        raise
    finally:
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await worker.aclose()


async def _ended(asking: set[asyncio.Task[None]], when: str) -> None:
    """Wait for rows; unlike `asyncio.gather`, it leaves them alone when it is cancelled."""
    if asking:
        await asyncio.wait(asking, return_when=when)


async def _begin_all(job: Job, desk: Desk, worker: Worker, asking: set[asyncio.Task[None]]) -> None:
    """Ask row after row, and keep those that are under way, or cannot go on, in a set."""
    room = asyncio.Semaphore(_AHEAD * job.plan.concurrency)

    def ended(task: asyncio.Task[None]) -> None:
        room.release()
        if not task.cancelled() and task.exception() is None:
            asking.discard(task)

    for batch in job.dataset.batches(_ROWS):
        rows = list(zip(batch.keys, batch.questions(job.columns), strict=True))
        for row in await worker.due(rows):
            await room.acquire()
            task = asyncio.create_task(worker.ask(row))
            asking.add(task)
            task.add_done_callback(ended)
        if desk.snapshot().stopped:
            return


async def _tick(desk: Desk, shown: Shown) -> None:
    while True:
        shown.update(desk.snapshot())
        await asyncio.sleep(_TICK)
