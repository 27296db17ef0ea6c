"""The end of an object, or of a read, while others still use it."""

import asyncio
import gc
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from qaip_core.errors import (
    ConfigurationError,
    IncompleteStreamError,
    ServiceConnectionError,
)
from support.fault_server import FaultServer
from support.faults.columns import ASYNC, SYNC, each, named, whole
from support.faults.leaving import in_own_loop, left_replies, nothing_left, stopped
from support.faults.matrix import thinned
from support.faults.speech import Speech
from support.faults.subjects import SUBJECTS, Outcome, Subject

pytestmark = pytest.mark.usefixtures("_spared")


# Closed while another one reads


@each(thinned([s for s in SYNC if s.streams], 0))
def test_closing_an_object_ends_its_streams_in_other_threads(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    server.reset()
    server.replies(left_replies(speech)[0], whole(subject, speech))
    begun, outcome = threading.Event(), Outcome()

    def read() -> None:
        try:
            for piece in subject.way.pieces(subject.open(made)):
                subject.way.read(outcome, piece)
                begun.set()
        except Exception as error:  # noqa: BLE001 -- it is the outcome
            outcome.error = error

    with nothing_left(server), subject.make(server.url) as made:
        reader = threading.Thread(target=read)
        reader.start()
        assert begun.wait(2)
        made.__exit__(None, None, None)
        reader.join(0.5)
        assert not reader.is_alive()
        assert (outcome.kind, outcome.partial) == (IncompleteStreamError, "te")
        assert server.wait_closed()
        assert subject.ask_of(made).error is None
        gc.collect()


@each(thinned([s for s in SYNC if s.streams], 1))
def test_closing_an_object_frees_a_stream_that_nobody_reads_any_more(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    """Another call's idle connection is freed with it."""
    server.reset()
    server.replies(*left_replies(speech)[:1], whole(subject, speech), *stopped(speech))
    with nothing_left(server):
        made = subject.make(server.url)
        pieces = subject.way.pieces(subject.open(made))
        next(pieces)
        assert subject.ask_of(made).error is None
        made.__exit__(None, None, None)
        assert server.wait_closed()
        del made, pieces
        gc.collect()


@each([s for s in ASYNC if s.streams])
def test_closing_an_object_ends_its_streams_in_other_tasks(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    server.reset()
    server.replies(left_replies(speech)[0], whole(subject, speech))

    async def close() -> None:
        begun, outcome = asyncio.Event(), Outcome()

        async def read() -> None:
            try:
                async for piece in subject.way.apieces(await subject.aopen(made)):
                    subject.way.read(outcome, piece)
                    begun.set()
            except Exception as error:  # noqa: BLE001 -- it is the outcome
                outcome.error = error

        async with subject.make(server.url) as made:
            reader = asyncio.create_task(read())
            await asyncio.wait_for(begun.wait(), 2)
            await made.__aexit__(None, None, None)
            await asyncio.wait_for(reader, 0.5)
            assert (outcome.kind, outcome.partial) == (IncompleteStreamError, "te")
            assert await asyncio.to_thread(server.wait_closed)
            assert (await subject.aask_of(made)).error is None

    with nothing_left(server):
        in_own_loop(close())


@each(thinned([s for s in SYNC if not s.streams], 0))
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_closing_an_object_ends_its_calls_in_other_threads(
    subject: Subject, speech: Speech, kept: bool, server: FaultServer
) -> None:
    """Nothing is sent again, although retries are allowed: the service had the request."""
    answer = whole(subject, speech)
    server.reset()
    server.replies(*[answer] * kept, replace(answer, delay=9), answer)
    outcomes: list[Outcome] = []
    with nothing_left(server), subject.make(server.url, max_retries=2) as made:
        assert not kept or subject.ask_of(made).error is None
        reader = threading.Thread(target=lambda: outcomes.append(subject.ask_of(made)))
        reader.start()
        assert server.wait_requests(1 + kept, 2)
        made.__exit__(None, None, None)
        reader.join(0.5)
        assert not reader.is_alive()
        assert outcomes[0].kind is ServiceConnectionError
        assert len(server.requests) == 1 + kept
        assert subject.ask_of(made).error is None


@each(thinned([s for s in ASYNC if not s.streams], 0))
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_closing_an_object_ends_its_calls_in_other_tasks(
    subject: Subject, speech: Speech, kept: bool, server: FaultServer
) -> None:
    answer = whole(subject, speech)
    server.reset()
    server.replies(*[answer] * kept, replace(answer, delay=9), answer)

    async def close() -> None:
        async with subject.make(server.url, max_retries=2) as made:
            assert not kept or (await subject.aask_of(made)).error is None
            reader = asyncio.create_task(subject.aask_of(made))
            assert await asyncio.to_thread(server.wait_requests, 1 + kept, 2)
            await made.__aexit__(None, None, None)
            outcome = await asyncio.wait_for(reader, 0.5)
            assert outcome.kind is ServiceConnectionError
            assert len(server.requests) == 1 + kept
            assert (await subject.aask_of(made)).error is None

    with nothing_left(server):
        in_own_loop(close())


@each(thinned(SUBJECTS, 0))
@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_closed_client_that_is_handed_in_is_refused(
    subject: Subject, speech: Speech, library: str, server: FaultServer
) -> None:
    server.reset()
    given = pytest.importorskip(library)
    if subject.is_async:
        http = given.AsyncClient(verify=False)
        asyncio.run(http.aclose())
        outcome = subject.ask(server.url, http_async_client=http, max_retries=2)
    else:
        http = given.Client(verify=False)
        http.close()
        outcome = subject.ask(server.url, http_client=http, max_retries=2)
    assert outcome.kind is ConfigurationError
    assert "closed" in str(outcome.error)
    assert server.requests == []


def test_threads_that_close_do_not_disturb_those_that_ask(server: FaultServer) -> None:
    """Whatever the moment is: an answer, or an error of ours."""
    subject = named("pais chat.complete")
    server.reset()
    server.replies(whole(subject, subject.speeches[0]))
    done = threading.Event()

    def close() -> None:
        while not done.wait(0.001):
            made.__exit__(None, None, None)

    with nothing_left(server), subject.make(server.url) as made, ThreadPoolExecutor(4) as threads:
        closing = threads.submit(close)
        asked = [threads.submit(lambda: subject.ask_of(made)) for _ in range(150)]
        kinds = {future.result().kind for future in asked}
        done.set()
        closing.result()
    assert kinds <= {None, ServiceConnectionError}


# Interrupted


@contextmanager
def interrupted(after: float) -> Iterator[None]:
    """Press Ctrl-C in a while."""

    def press(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, press)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@each(thinned([s for s in SYNC if s.streams], 2))
def test_an_interrupted_read_frees_the_connection(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    server.reset()
    server.replies(*left_replies(speech), whole(subject, speech))
    with nothing_left(server), subject.make(server.url) as made:
        pieces = subject.way.pieces(subject.open(made))
        next(pieces)
        with suppress(KeyboardInterrupt), interrupted(0.01):
            list(pieces)
        assert server.wait_closed()
        assert len(server.requests) == 1 + len(stopped(speech))
        assert subject.ask_of(made).error is None
        del pieces
        gc.collect()
