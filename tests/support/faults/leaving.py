"""How a reader leaves an answer before its end, and what must then be gone."""

import asyncio
import gc
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import aclosing, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from support.fault_server import FaultServer, Reply, json_reply
from support.faults.speech import Speech
from support.faults.subjects import Subject

__all__ = [
    "AWAITING",
    "LEAVING",
    "LEAVING_ASYNC",
    "in_own_loop",
    "left_replies",
    "nothing_left",
    "stopped",
    "until",
]


def left_replies(speech: Speech) -> list[Reply]:
    """The beginning of an answer, after which nothing comes, and what a service says to a stop."""
    return [speech.stream(speech.piece("te"), end="hang"), *stopped(speech)]


def stopped(speech: Speech) -> list[Reply]:
    """What a service answers that is told to stop a run; only Dify is."""
    return [json_reply({"result": "success"})] if speech.service == "dify" else []


# Manners of leaving: each takes a subject and its object, and has left when it returns


class _ReadersError(Exception):
    """What a reader's own code raises."""


def _break(subject: Subject, made: Any) -> None:
    for _ in subject.way.pieces(subject.open(made)):
        break


def _close(subject: Subject, made: Any) -> None:
    with closing(subject.way.pieces(subject.open(made))) as pieces:
        next(pieces)


def _drop(subject: Subject, made: Any) -> None:
    pieces = subject.way.pieces(subject.open(made))
    next(pieces)
    circle: list[Any] = [pieces]
    circle.append(circle)  # only the garbage collector finds it
    del pieces, circle
    gc.collect()


def _raise(subject: Subject, made: Any) -> None:
    with suppress(_ReadersError):
        for _ in subject.way.pieces(subject.open(made)):
            raise _ReadersError


def _finish_elsewhere(subject: Subject, made: Any) -> None:
    """The stream began in this thread."""
    pieces = subject.way.pieces(subject.open(made))
    next(pieces)
    thread = threading.Thread(target=pieces.close)
    thread.start()
    thread.join()


LEAVING: Mapping[str, Callable[[Subject, Any], None]] = {
    "breaks out": _break,
    "closes the stream": _close,
    "drops the stream": _drop,
    "raises": _raise,
    "closes it in another thread": _finish_elsewhere,
}


async def _abreak(subject: Subject, made: Any) -> None:
    async for _ in subject.way.apieces(await subject.aopen(made)):
        break


async def _aclose(subject: Subject, made: Any) -> None:
    async with aclosing(subject.way.apieces(await subject.aopen(made))) as pieces:
        await anext(pieces)


async def _adrop(subject: Subject, made: Any) -> None:
    pieces = subject.way.apieces(await subject.aopen(made))
    await anext(pieces)
    circle: list[Any] = [pieces]
    circle.append(circle)
    del pieces, circle
    gc.collect()


async def _araise(subject: Subject, made: Any) -> None:
    with suppress(_ReadersError):
        async for _ in subject.way.apieces(await subject.aopen(made)):
            raise _ReadersError


async def _finish_in_other_task(subject: Subject, made: Any) -> None:
    pieces = subject.way.apieces(await subject.aopen(made))
    await asyncio.create_task(_first(pieces))
    await asyncio.create_task(pieces.aclose())


async def _first(pieces: Any) -> Any:
    return await anext(pieces)


async def _read_on(subject: Subject, made: Any, begun: asyncio.Event) -> None:
    async with aclosing(subject.way.apieces(await subject.aopen(made))) as pieces:
        async for _ in pieces:
            begun.set()


async def _cancel(subject: Subject, made: Any) -> None:
    begun = asyncio.Event()
    task = asyncio.create_task(_read_on(subject, made, begun))
    await asyncio.wait_for(begun.wait(), 2)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def _run_out_of_time(subject: Subject, made: Any) -> None:
    begun = asyncio.Event()
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:
            soon = asyncio.create_task(_expire(limit, begun))
            await _read_on(subject, made, begun)
    assert limit.expired()
    await soon


async def _expire(limit: asyncio.Timeout, begun: asyncio.Event) -> None:
    await begun.wait()
    limit.reschedule(asyncio.get_running_loop().time())


LEAVING_ASYNC: Mapping[str, Callable[[Subject, Any], Awaitable[None]]] = {
    "breaks out": _abreak,
    "closes the stream": _aclose,
    "drops the stream": _adrop,
    "raises": _araise,
    "closes it in another task": _finish_in_other_task,
    "is cancelled": _cancel,
    "runs out of time": _run_out_of_time,
}


# Before the answer begins


async def _cancel_waiting(waiting: Coroutine[Any, Any, Any], asked: Awaitable[Any]) -> None:
    task = asyncio.create_task(waiting)
    await asked
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def _time_out_waiting(waiting: Coroutine[Any, Any, Any], asked: Awaitable[Any]) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as limit:
            soon = asyncio.create_task(_expire_after(limit, asked))
            await waiting
    assert limit.expired()
    await soon


async def _expire_after(limit: asyncio.Timeout, asked: Awaitable[Any]) -> None:
    await asked
    limit.reschedule(asyncio.get_running_loop().time())


AWAITING: Mapping[str, Callable[[Any, Any], Awaitable[None]]] = {
    "is cancelled": _cancel_waiting,
    "runs out of time": _time_out_waiting,
}


# What must be gone


def until(holds: Callable[[], bool], seconds: float = 0.5) -> bool:
    """Wait until something holds; False if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


_FILES = Path("/proc/self/fd")


def _open_files() -> int:
    return len(os.listdir(_FILES)) if _FILES.is_dir() else 0


@contextmanager
def nothing_left(server: FaultServer) -> Iterator[None]:
    """Check that a block leaves no connection, no thread and no open file behind."""
    assert server.wait_closed()
    assert until(_is_settled)
    files, threads = _open_files(), threading.active_count()
    yield
    assert server.wait_closed(), "a connection is left"
    assert until(lambda: threading.active_count() <= threads), threading.enumerate()
    assert until(lambda: _open_files() <= files), "an open file is left"


def _is_settled() -> bool:
    """The server, which lives in this process, closes its end a moment after it says so."""
    before = _open_files()
    time.sleep(0)
    return _open_files() == before


def in_own_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in a loop of its own, in which nothing may go unnoticed."""
    noticed: list[Mapping[str, Any]] = []
    with asyncio.Runner() as runner:
        runner.get_loop().set_exception_handler(lambda _loop, context: noticed.append(context))
        runner.run(main)
    assert noticed == [], noticed
