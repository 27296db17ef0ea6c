"""No class waits longer than its limits say, and the error names the limit to raise."""

import asyncio
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from qaip_core import ServiceError, errors
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.matrix import check
from support.faults.speech import DIFY, FIREWORKS_CHAT
from support.faults.subjects import SUBJECTS, Outcome, Subject
from support.faults.tables.time import (
    STALLS,
    STALLS_OF_STREAMS,
    STALLS_OF_WHOLE_ANSWERS,
    WAITS,
    Stall,
)
from support.faults.waiting import few, side_by_side

TABLES = {None: [*STALLS, *WAITS], False: STALLS_OF_WHOLE_ANSWERS, True: STALLS_OF_STREAMS}


def fit(streams: bool | None) -> list[Subject]:
    """The ways of asking that ask for a stream, or that do not; all for None."""
    return [s for s in SUBJECTS if streams in (None, s.wants_stream)]


ROWS = [
    pytest.param(row, few(fit(streams), n), id=row.name)
    for streams, rows in TABLES.items()
    for n, row in enumerate(rows)
]


@pytest.mark.parametrize(("row", "subjects"), ROWS)
async def test_a_limit_holds(row: Stall, subjects: Sequence[Subject]) -> None:
    for case in await side_by_side(row, subjects, row.place):
        check(case.outcome, row.expected_of(case.speech), case.speech)
        error = case.outcome.error
        assert isinstance(error, ServiceError)
        assert error.unsent is row.unsent
        assert isinstance(error, TimeoutError) is (row.expected.error is errors.ServiceTimeoutError)
        assert len(case.requests) == row.requests, case.subject
        assert error.attempts == (row.attempts or row.requests)
        assert row.seconds <= case.seconds <= row.within, case.subject


class Impatient(httpx.BaseTransport):
    """A transport of the caller's own, with a limit of its own."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        def body() -> Iterator[bytes]:
            yield FIREWORKS_CHAT.piece("te")
            raise httpx.ReadTimeout("enough")

        return httpx.Response(200, headers={"content-type": FIREWORKS_CHAT.media}, content=body())


def test_a_limit_that_is_not_ours_is_not_called_ours() -> None:
    subject = next(s for s in SUBJECTS if s.name == "fireworks chat.stream")
    with httpx.Client(transport=Impatient()) as http:
        fields = {"http_client": http, "stream_idle_timeout": None}
        outcome = subject.ask("http://127.0.0.1:1", **fields)
    assert isinstance(outcome.error, errors.ServiceTimeoutError)
    assert outcome.partial == "te"
    assert "enough" in str(outcome.error)
    assert "stream_idle_timeout" not in str(outcome.error)


# A pool that is full


def named(*names: str) -> list[Subject]:
    """The ways of asking Fireworks with these names."""
    found = [s for s in SUBJECTS if s.service == "fireworks" and s.name in names]
    assert len(found) == len(names)
    return found


SYNC = named("fireworks chat.complete", "fireworks chat.stream", "ChatFireworks.stream",
             "FireworksLLM.invoke", "Fireworks.chat")  # fmt: skip
ASYNC = named("fireworks chat.complete async", "fireworks chat.stream async", "Fireworks.achat",
              "ChatFireworks.astream", "FireworksLLM.ainvoke")  # fmt: skip
POOL = httpx.Limits(max_connections=1)
OPEN = FIREWORKS_CHAT.stream(FIREWORKS_CHAT.piece("te"), end="hang")
NEVER_FREE: dict[str, Any] = {"timeout": 0.1, "max_retries": 1}


def full(outcome: Outcome) -> None:
    """Check that a call did not get a connection, twice."""
    assert isinstance(outcome.error, errors.ServiceTimeoutError), repr(outcome.error)
    assert outcome.error.unsent
    assert outcome.error.attempts == 2
    assert "max_connections" in str(outcome.error)


def test_a_full_pool_is_named(server: FaultServer) -> None:
    server.reset()
    server.replies(OPEN)
    with httpx.Client(limits=POOL, verify=False) as http, http.stream("POST", server.url):
        fields = {"http_client": http, **NEVER_FREE}
        began = time.monotonic()
        with ThreadPoolExecutor(len(SYNC)) as threads:
            list(threads.map(lambda s: full(s.ask(server.url, **fields)), SYNC))
    assert time.monotonic() - began < 3
    assert len(server.requests) == 1


async def test_a_full_pool_is_named_in_async_calls_too(server: FaultServer) -> None:
    server.reset()
    server.replies(OPEN)
    http = httpx.AsyncClient(limits=POOL, verify=False)
    async with http, http.stream("POST", server.url):
        fields = {"http_async_client": http, **NEVER_FREE}
        began = time.monotonic()
        for outcome in await asyncio.gather(*(s.aask(server.url, **fields) for s in ASYNC)):
            full(outcome)
    assert time.monotonic() - began < 3
    assert len(server.requests) == 1


# Leaving while it waits for the next attempt


LATER = replace(json_reply({"message": "no"}, 503), headers={"retry-after": "9"})


async def test_who_gives_up_a_call_ends_its_waiting() -> None:
    """A deadline of the caller's own, over all attempts, cancels like this; each class obeys."""

    async def left(subject: Subject) -> None:
        with FaultServer() as server:
            server.replies(LATER)
            task = asyncio.create_task(subject.aask(server.url, max_retries=2))
            assert await asyncio.to_thread(server.wait_requests, 1, 5)
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(server.requests) == 1
            assert await asyncio.to_thread(server.wait_closed)

    await asyncio.gather(*(left(s) for n in range(2) for s in few(SUBJECTS, n) if s.is_async))


class Leave(BaseException):
    """What a caller's signal handler raises, as Control-C does."""


@contextmanager
def interrupted(server: FaultServer) -> Iterator[None]:
    """Raise `Leave` in this thread, whatever it waits for, soon after it has sent a request."""
    here = threading.get_ident()

    def leave(*_: object) -> None:
        raise Leave

    def ring() -> None:
        server.wait_requests(1, 5)
        time.sleep(0.05)
        signal.pthread_kill(here, signal.SIGALRM)

    before = signal.signal(signal.SIGALRM, leave)
    bell = threading.Thread(target=ring)
    bell.start()
    try:
        yield
    finally:
        bell.join()
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("subject", SYNC, ids=str)
def test_an_interrupt_ends_its_waiting(subject: Subject, server: FaultServer) -> None:
    server.reset()
    server.replies(LATER)
    with pytest.raises(Leave), interrupted(server):
        subject.ask(server.url, max_retries=2)
    assert len(server.requests) == 1
    assert server.wait_closed()


STOPPED = DIFY.stream(DIFY.piece("te"), DIFY.piece("a"), end="hang")
ENDLESS = Reply(body=[b" ", 0.05] * 60)


async def test_the_answer_to_a_stop_is_not_waited_for() -> None:
    """Dify is told when a reader leaves; what it says to that could go on for ever."""

    async def left(subject: Subject) -> None:
        with FaultServer() as server:
            server.replies(STOPPED, ENDLESS)
            began = time.monotonic()
            outcome = await asyncio.to_thread(subject.ask, server.url, stream_idle_timeout=0.1)
            assert isinstance(outcome.error, errors.ServiceTimeoutError)
            assert time.monotonic() - began < 2
            assert len(server.requests) == 2

    streams = [s for s in SUBJECTS if s.service == "dify" and s.streams]
    await asyncio.gather(*(left(s) for s in streams))
