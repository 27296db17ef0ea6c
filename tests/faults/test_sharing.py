"""One object for many: threads, tasks, event loops."""

import asyncio
import gc
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle, islice
from typing import Any

import httpx
import pytest
from llama_index.core.llms import ChatMessage

from qaip_core.errors import ServerReportedError
from support.fault_server import FaultServer, Recorded, Reply
from support.faults.columns import ASYNC, SYNC, each, named, whole
from support.faults.leaving import in_own_loop, left_replies, nothing_left, stopped
from support.faults.matrix import thinned
from support.faults.speech import Speech
from support.faults.subjects import Outcome, Subject

pytestmark = pytest.mark.usefixtures("_spared")


# A pool that is too small to lose a connection


@pytest.mark.parametrize("service", ["qaip", "fireworks", "pais", "perplexity", "dify"])
def test_two_connections_serve_200_streams_that_fail(service: str, server: FaultServer) -> None:
    asked = [s for s in SYNC if s.service == service and s.streams]
    serve_failures(server, asked[0].speeches[0])
    asked = [s for s in asked if s.speeches[0] is asked[0].speeches[0]]
    limits = httpx.Limits(max_connections=2)
    timeout = {"connect": 5, "read": 5, "write": 5, "pool": 5}
    with nothing_left(server), httpx.Client(limits=limits, verify=False) as http:
        made = [s.make(server.url, http_client=http, timeout=timeout) for s in asked]
        pairs = islice(cycle(zip(asked, made, strict=True)), 200)
        with ThreadPoolExecutor(4) as threads:
            outcomes = list(threads.map(lambda pair: pair[0].ask_of(pair[1]), pairs))
    assert [(o.kind, o.partial) for o in outcomes] == [(ServerReportedError, "te")] * 200


@pytest.mark.parametrize("service", ["qaip", "fireworks", "pais", "perplexity", "dify"])
def test_two_connections_serve_200_async_streams_that_fail(
    service: str, server: FaultServer
) -> None:
    asked = [s for s in ASYNC if s.service == service and s.streams]
    serve_failures(server, asked[0].speeches[0])
    asked = [s for s in asked if s.speeches[0] is asked[0].speeches[0]]
    limits = httpx.Limits(max_connections=2)
    timeout = {"connect": 5, "read": 5, "write": 5, "pool": 5}

    async def ask() -> list[Outcome]:
        async with httpx.AsyncClient(limits=limits, verify=False) as http:
            made = [s.make(server.url, http_async_client=http, timeout=timeout) for s in asked]
            pairs = islice(cycle(zip(asked, made, strict=True)), 200)
            outcomes: list[Outcome] = []
            while some := [*islice(pairs, 25)]:  # httpx takes longer, the more there are that wait
                outcomes += await asyncio.gather(*(s.aask_of(m) for s, m in some))
            return outcomes

    with nothing_left(server):
        outcomes = asyncio.run(ask())
    assert [(o.kind, o.partial) for o in outcomes] == [(ServerReportedError, "te")] * 200


def serve_failures(server: FaultServer, speech: Speech) -> None:
    server.reset()
    server.replies(speech.stream(speech.piece("te"), speech.frame(speech.failure("no"))))


# Many at once


class Echo(FaultServer):
    """Answers with the number that it was asked for."""

    def __init__(self, speech: Speech, *, stream: bool) -> None:
        super().__init__()
        self._speech, self._stream = speech, stream

    def answer(self, request: Recorded) -> Reply:
        number = re.search(rb"number \d+", request.body)
        assert number is not None
        return self._speech.answer(number[0].decode(), stream=self._stream)


def asking(subject: Subject, number: int) -> Subject:
    text: Any = f"number {number}"
    question = text if isinstance(subject.way.question, str) else [ChatMessage(content=text)]
    return replace(subject, way=replace(subject.way, question=question))


THREADED = ["ChatDify.stream", "Perplexity.chat"]


@pytest.mark.parametrize("name", THREADED)
def test_sixteen_threads_share_an_object_and_each_gets_its_own_answers(name: str) -> None:
    subject = named(name)
    numbers = range(16 * 20)
    with Echo(subject.speeches[0], stream=subject.wants_stream) as server:
        with nothing_left(server), subject.make(server.url) as made, ThreadPoolExecutor(16) as pool:
            texts = [*pool.map(lambda n: asking(subject, n).ask_of(made).text, numbers)]
        assert texts == [f"number {n}" for n in numbers]
        assert len({request.connection for request in server.requests}) <= 16


GATHERED = ["fireworks chat.stream async", "Dify.acomplete"]


@pytest.mark.parametrize("name", GATHERED)
def test_two_hundred_tasks_share_an_object_and_each_gets_its_own_answer(name: str) -> None:
    subject = named(name)

    async def ask() -> None:
        async with subject.make(server.url) as made:
            asked = [asking(subject, n).aask_of(made) for n in range(200)]
            texts = [outcome.text for outcome in await asyncio.gather(*asked)]
            assert texts == [f"number {n}" for n in range(200)]

    with Echo(subject.speeches[0], stream=subject.wants_stream) as server, nothing_left(server):
        in_own_loop(ask())


# Event loops


@each(thinned(ASYNC, 0))
def test_an_object_serves_one_event_loop_after_another(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    """It is made in the first one, and closed in none."""
    server.reset()
    server.replies(whole(subject, speech))
    kept: list[Any] = []

    async def ask() -> None:
        kept.append(kept[-1] if kept else subject.make(server.url))
        assert (await subject.aask_of(kept[-1])).error is None

    with nothing_left(server):
        for _ in range(2):
            in_own_loop(ask())
            assert server.wait_closed()
    assert len(server.requests) == 2


@each(thinned(ASYNC, 1))
def test_an_object_serves_two_event_loops_at_once(
    subject: Subject, speech: Speech, server: FaultServer
) -> None:
    server.reset()
    server.replies(replace(whole(subject, speech), delay=0.005))
    made = subject.make(server.url)
    together = threading.Barrier(2, timeout=5)

    async def ask() -> None:
        together.wait()
        assert (await subject.aask_of(made)).error is None
        assert (await subject.aask_of(made)).error is None

    with nothing_left(server), ThreadPoolExecutor(2) as threads:
        for future in [threads.submit(in_own_loop, ask()) for _ in range(2)]:
            future.result()
    assert len({request.connection for request in server.requests}) == 2


HOLDING, DROPPING = (thinned([s for s in ASYNC if s.streams], place) for place in (0, 1))


@pytest.mark.parametrize(
    ("subject", "speech", "hold"),
    [
        pytest.param(subject, speech, hold, id=f"{subject.name}-{speech.name}-{name}")
        for name, hold, subjects in (("held", True, HOLDING), ("dropped", False, DROPPING))
        for subject in subjects
        for speech in subject.speeches
    ],
)
def test_an_event_loop_that_ends_frees_the_streams_that_are_open(
    subject: Subject, speech: Speech, hold: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(*left_replies(speech))
    held: list[Any] = []

    async def begin() -> None:
        made = subject.make(server.url)
        pieces = subject.way.apieces(await subject.aopen(made))
        await anext(pieces)
        if hold:
            held.extend([made, pieces])

    with nothing_left(server):
        in_own_loop(begin())
        gc.collect()
    if hold:  # what is dropped in the last moment may have no turn any more
        assert len(server.requests) == 1 + len(stopped(speech))
