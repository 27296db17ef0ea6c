"""The soak: a hundred calls at a time, of all services and classes, against random faults.

    PYTHONPATH=tests python -m soak.soak --seconds 180 --seed 1

Half of the callers are threads, the others tasks of two event loops; all share the same objects.
Every call has a number, from which its question, answer and faults are drawn: so every answer
can be checked, exactly. Ends with 1 if anything that must hold does not.
"""

import argparse
import asyncio
import gc
import re
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Any, Self

from langchain_core._api import LangChainBetaWarning

from soak.callers import Objects, Seen, aask, ask
from soak.cases import Case, draw_case
from soak.faults import LIMIT, draw_plan
from soak.figures import UNHANDLED, Gauge, Memory, Report, Tally
from support.fault_server import FaultServer, Recorded, Reply, json_reply

__all__ = ["soak"]

_LANES = 3  # the threads, and each of the two event loops
_GRACE = 1.0
"""Seconds in which what a caller has left must be gone."""
_STILL = LIMIT / 40
_NUMBER = re.compile(rb"q (\d+)")


class _Beat:
    """Notices when one of the event loops stands still."""

    def __init__(self) -> None:
        self.missed = 0.0

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch one more loop."""
        self._tick(loop, loop.time())

    def _tick(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if loop.time() > due + _STILL:
            self.missed = time.monotonic()
        loop.call_later(_STILL, self._tick, loop, loop.time() + _STILL)


class _Server(FaultServer):
    """Answers each call by its number."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.running: dict[int, Case] = {}
        self.beat = _Beat()
        self._seed = seed
        self._served: set[int] = set()

    def __enter__(self) -> Self:
        super().__enter__()
        self._loop.call_soon_threadsafe(self.beat.start, self._loop)
        return self

    def answer(self, request: Recorded) -> Reply:
        kept = request.connection in self._served
        self._served.add(request.connection)
        if request.path.endswith("/stop"):
            return json_reply({"result": "success"})
        number = _NUMBER.search(request.body)
        case = self.running.get(int(number[1])) if number else None
        if case is None:  # the caller left while the request was under way
            return json_reply({}, 400)
        plan = draw_plan(case, self._seed, len(case.plans) + 1, kept=kept)
        case.plans.append(plan)
        return plan.reply

    def _closed(self, connection: Any) -> None:
        super()._closed(connection)
        self._served.discard(connection._number)


class _Soak:
    """One run: rounds of calls, with a rest between them in which all connections are closed.

    held: how many answers were under way when nobody called any more.
    kept: how many connections there were, at most.
    left_open: how many there were after they had been closed.
    """

    def __init__(self, seed: int, server: _Server, at_once: int) -> None:
        self.tally = Tally()
        self._seed = seed
        self._server = server
        self._objects = Objects(server.url)
        self._threads, self._tasks = at_once * 2 // 5, at_once * 3 // 10
        self._next = list(range(_LANES))
        self._lock = threading.Lock()
        self._meeting = threading.Barrier(_LANES)
        self._quota = 0
        self._until = 0.0
        self._over = False
        self.held = 0
        self.kept = 0
        self.left_open = 0

    def run(self, rounds: int, calls: int, seconds: float) -> Iterator[int]:
        """Make the calls, round by round; yields their number so far, after each."""
        loops = [threading.Thread(target=self._loop, args=(lane,)) for lane in (1, 2)]
        for loop in loops:
            loop.start()
        try:
            for number in range(1, rounds + 1):
                self._quota = calls * number // rounds
                self._until = time.monotonic() + seconds / rounds
                self._meeting.wait()
                with ThreadPoolExecutor(self._threads) as pool:
                    for done in [pool.submit(self._work) for _ in range(self._threads)]:
                        done.result()
                self._meeting.wait()
                self.held += _remaining_answers(self._server)
                self.kept = max(self.kept, self._server.open_connections)
                self._over = number == rounds
                self._meeting.wait()
                self._objects.close()
                self._meeting.wait()
                if self._over:
                    for loop in loops:
                        loop.join()
                self._server.wait_closed(_GRACE)
                self.left_open += self._server.open_connections
                yield self.tally.calls
        except BaseException:
            self._meeting.abort()
            raise
        finally:
            for loop in loops:
                loop.join()
            self._objects.close()

    def _cases(self, lane: int) -> Iterator[Case]:
        """Yield the calls of this round; the lanes take turns with the numbers."""
        while True:
            with self._lock:
                number = self._next[lane]
                if number >= self._quota or time.monotonic() >= self._until:
                    return
                self._next[lane] += _LANES
            case = draw_case(self._seed, number, is_async=lane > 0)
            self._server.running[number] = case
            yield case
            del self._server.running[number]

    def _work(self) -> None:
        for case in self._cases(0):
            self._judge(case, ask(case, self._objects.of(case.subject)))

    async def _awork(self, lane: int) -> None:
        for case in self._cases(lane):
            self._judge(case, await aask(case, self._objects.of(case.subject)))

    def _judge(self, case: Case, seen: Seen) -> None:
        case.held_up = self._server.beat.missed > time.monotonic() - seen.seconds
        self.tally.note(case, seen)

    def _loop(self, lane: int) -> None:
        try:
            asyncio.run(self._rounds(lane))
        except threading.BrokenBarrierError:
            pass
        except BaseException:
            self._meeting.abort()
            raise

    async def _rounds(self, lane: int) -> None:
        """Make this loop's calls; in the end, one of the loops leaves it to asyncio to close."""
        loop = asyncio.get_running_loop()
        self._server.beat.start(loop)
        loop.set_exception_handler(lambda _, c: self.tally.complain(UNHANDLED, repr(c)))
        while not self._over:
            await asyncio.to_thread(self._meeting.wait)
            async with asyncio.TaskGroup() as group:
                for _ in range(self._tasks):
                    group.create_task(self._awork(lane))
            for task in await _remaining_tasks():
                self.tally.complain("left behind", repr(task))
            await asyncio.to_thread(self._meeting.wait)
            await asyncio.to_thread(self._meeting.wait)
            if not self._over or lane == 1:
                await self._objects.aclose()
            await asyncio.to_thread(self._meeting.wait)


async def _remaining_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks that nobody ends.

    LangChain's newest async streams read on in a task of their own if nobody closes them: until
    the answer ends, or the limit for silence.
    """
    others = asyncio.all_tasks() - {asyncio.current_task()}
    return (await asyncio.wait(others, timeout=LIMIT + _GRACE))[1] if others else set()


def _remaining_answers(server: FaultServer) -> int:
    gc.collect()  # LangChain's newest sync streams are in cycles: if nobody closes them, this does
    end = time.monotonic() + _GRACE
    while (count := server.busy_connections) and time.monotonic() < end:
        time.sleep(0.01)
    return count


@contextmanager
def _watched(tally: Tally) -> Iterator[None]:
    """Count what is raised where nobody can catch it, resource warnings among it."""
    before = sys.unraisablehook, threading.excepthook
    sys.unraisablehook = lambda caught: tally.complain(
        UNHANDLED, f"{caught.exc_value!r} in {caught.object!r}"
    )
    threading.excepthook = lambda caught: tally.complain(UNHANDLED, repr(caught.exc_value))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", ResourceWarning)
            warnings.simplefilter("error", RuntimeWarning)
            warnings.simplefilter("ignore", LangChainBetaWarning)
            yield
            gc.collect()
    finally:
        sys.unraisablehook, threading.excepthook = before


def soak(seed: int, *, calls: int, seconds: float, rounds: int = 1, at_once: int = 100) -> Report:
    """Make calls until there were so many, or the time is over, and return the figures."""
    before = Gauge.read()
    began, cpu = time.monotonic(), time.process_time()
    with _Server(seed) as server:
        run = _Soak(seed, server, at_once)
        with _watched(run.tally):
            samples = [Memory.read(made) for made in run.run(rounds, calls, seconds)]
    report = Report(
        seed,
        run.tally,
        time.monotonic() - began,
        time.process_time() - cpu,
        kept=run.kept,
        samples=samples,
    )
    after = Gauge.read()
    report.left = {
        "connections": run.left_open,
        "answers": run.held,
        "tasks": run.tally.verdicts.pop("left behind", 0),
        "files": after.files - before.files,
        "threads": after.threads - before.threads,
    }
    return report


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--calls", type=int, default=0, help="0 for as many as there is time for")
    parser.add_argument("--seed", type=int, default=0, help="0 for any")
    given = parser.parse_args()
    seed = given.seed or Random().randrange(1, 10**6)
    gc.freeze()  # the frameworks stay to the end: the collector need not walk through them
    report = soak(seed, calls=given.calls or sys.maxsize, seconds=given.seconds, rounds=12)
    print(report)
    broken = list(report.broken())
    if broken:
        print("broken:", *broken, sep="\n  ")
        print(f"again: make soak SEED={seed} SECONDS={given.seconds:g} CALLS={given.calls}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(_main())
