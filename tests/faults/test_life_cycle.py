"""A connection lives no longer than somebody reads from it, however he leaves."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import pytest

from qaip_core import ServiceError
from qaip_core.errors import (
    IncompleteStreamError,
    MalformedResponseError,
    ServerError,
    ServerReportedError,
    ServiceConnectionError,
)
from support.fault_server import FaultServer, Reply, json_reply
from support.faults.leaving import (
    AWAITING,
    LEAVING,
    LEAVING_ASYNC,
    in_own_loop,
    left_replies,
    nothing_left,
    stopped,
)
from support.faults.matrix import spread
from support.faults.speech import Speech
from support.faults.subjects import SUBJECTS, Outcome, Subject

pytestmark = pytest.mark.usefixtures("_spared")


async def _in_block(events: Any) -> AsyncIterator[str]:
    """LangChain reads its newest streams ahead, in a task that ends with this block."""
    async with events:
        async for text in events.text:
            yield text


def _in_order(subject: Subject) -> Subject:
    if not _reads_ahead(subject):
        return subject
    return replace(subject, way=replace(subject.way, apieces=_in_block))


def _reads_ahead(subject: Subject) -> bool:
    return subject.way.call == "stream_events"


SYNC = [s for s in SUBJECTS if not s.is_async]
ASYNC = [_in_order(s) for s in SUBJECTS if s.is_async]


def each(
    subjects: Sequence[Subject], manners: Collection[str], *, all_in: str = ""
) -> pytest.MarkDecorator:
    """Run a test for each manner, each way of writing, and a part of the ways of asking.

    all_in: a manner in which every way of asking is tried.
    """
    parts = spread([subjects] * len(manners))
    rows = [
        pytest.param(subject, speech, manner, id=f"{subject.name}-{speech.name}-{manner}")
        for manner, part in zip(manners, parts, strict=True)
        for subject in (subjects if manner == all_in else part)
        for speech in subject.speeches
    ]
    return pytest.mark.parametrize(("subject", "speech", "manner"), rows)


def begin(server: FaultServer, speech: Speech) -> None:
    server.reset()
    server.replies(*left_replies(speech))


def was_told_once(server: FaultServer, speech: Speech) -> bool:
    """Whether only a service that would run on, unread, heard of it after the question."""
    ends = [request.path.rpartition("/")[2] for request in server.requests[1:]]
    return ends == ["stop" for _ in stopped(speech)]


# While the answer grows


@each([s for s in SYNC if s.streams], LEAVING, all_in="breaks out")
def test_a_reader_who_leaves_frees_the_connection(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    begin(server, speech)
    with nothing_left(server), subject.make(server.url) as made:
        LEAVING[manner](subject, made)
        if _reads_ahead(subject):
            gc.collect()  # LangChain holds these streams in a circle
        assert server.wait_closed()
        assert was_told_once(server, speech)
        server.replies(speech.answer("tea", stream=True))
        assert subject.ask_of(made).text == "tea"


@each([s for s in ASYNC if s.streams], LEAVING_ASYNC, all_in="is cancelled")
def test_an_async_reader_who_leaves_frees_the_connection(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    begin(server, speech)

    async def leave() -> None:
        async with subject.make(server.url) as made:
            await LEAVING_ASYNC[manner](subject, made)
            asked = 1 + len(stopped(speech))
            assert await asyncio.to_thread(server.wait_requests, asked)
            assert await asyncio.to_thread(server.wait_closed)
            assert was_told_once(server, speech)
            server.replies(speech.answer("tea", stream=True))
            assert (await subject.aask_of(made)).text == "tea"

    with nothing_left(server):
        in_own_loop(leave())


# Before it begins


@each(ASYNC, AWAITING)
def test_who_stops_waiting_frees_the_connection(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    server.reset()
    server.replies(replace(speech.answer("tea", stream=subject.wants_stream), delay=9))

    async def leave() -> None:
        async with subject.make(server.url) as made:
            asked = asyncio.to_thread(server.wait_requests, 1)
            await AWAITING[manner](_answer(subject, made), asked)
            assert await asyncio.to_thread(server.wait_closed)
            assert len(server.requests) == 1
            server.replies(speech.answer("tea", stream=subject.wants_stream))
            assert (await subject.aask_of(made)).error is None

    with nothing_left(server):
        in_own_loop(leave())


async def _answer(subject: Subject, made: Any) -> None:
    began = await subject.aopen(made)
    if subject.streams:
        async with aclosing(subject.way.apieces(began)) as pieces:
            async for _ in pieces:
                pass


# After its end


@dataclass(frozen=True)
class Ended:
    """How a first answer ended, and whether a second one comes by the same connection."""

    replies: Callable[[Speech, bool], Reply]
    error: type[ServiceError] | None
    kept: bool


ENDED: Mapping[str, Ended] = {
    "whole": Ended(lambda s, stream: s.answer("tea", stream=stream), None, kept=True),
    "refused": Ended(lambda s, _: json_reply(s.failure("no"), 500), ServerError, kept=True),
    "refused at length": Ended(
        lambda s, _: json_reply(s.failure("no" * 9000), 500), ServerError, kept=True
    ),
    "closed by the service": Ended(
        lambda s, stream: replace(s.answer("tea", stream=stream), framing="close"), None, kept=False
    ),
    "cut in its head": Ended(
        lambda _s, _: Reply(raw=b"HTTP/1.1 200 OK\r\n"), ServiceConnectionError, kept=False
    ),
}


@each(SUBJECTS, ENDED, all_in="whole")
def test_a_connection_is_used_again_after_an_answer_that_can_be_read_to_its_end(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    ended = ENDED[manner]
    again = speech.answer("tea", stream=subject.wants_stream)
    server.reset()
    server.replies(ended.replies(speech, subject.wants_stream), again)
    with nothing_left(server):
        outcomes = asked_repeatedly(subject, server, 2)
    assert [outcome.kind for outcome in outcomes] == [ended.error, None]
    first, second = (request.connection for request in server.requests)
    assert (first == second) is ended.kept


def asked_repeatedly(subject: Subject, server: FaultServer, times: int) -> list[Outcome]:
    """Ask one object one question after another."""
    if not subject.is_async:
        with subject.make(server.url) as made:
            return [subject.ask_of(made) for _ in range(times)]

    async def ask() -> list[Outcome]:
        async with subject.make(server.url) as made:
            return [await subject.aask_of(made) for _ in range(times)]

    return asyncio.run(ask())


@each([s for s in SUBJECTS if s.layer == "core"], ["whole"])
def test_five_calls_share_a_connection(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    server.reset()
    server.replies(ENDED[manner].replies(speech, subject.wants_stream))
    with nothing_left(server):
        asked_repeatedly(subject, server, 5)
    assert len(server.requests) == 5
    assert len({request.connection for request in server.requests}) == 1


BROKEN: Mapping[str, tuple[Callable[[Speech], Reply], type[ServiceError]]] = {
    "an error event": (
        lambda s: s.stream(s.piece("te"), s.frame(s.failure("no")), end="hang"),
        ServerReportedError,
    ),
    "an event that cannot be read": (
        lambda s: s.stream(s.piece("te"), s.frame('{"te'), end="hang"),
        MalformedResponseError,
    ),
    "a cut": (lambda s: s.stream(s.piece("te"), end="cut"), IncompleteStreamError),
    "a reset": (lambda s: s.stream(s.piece("te"), end="reset"), IncompleteStreamError),
}


@each([s for s in SUBJECTS if s.wants_stream], BROKEN)
def test_an_answer_that_breaks_frees_the_connection(
    subject: Subject, speech: Speech, manner: str, server: FaultServer
) -> None:
    replies, error = BROKEN[manner]
    server.reset()
    server.replies(replies(speech), speech.answer("tea", stream=True))
    with nothing_left(server):
        outcomes = asked_repeatedly(subject, server, 2)
    assert [outcome.kind for outcome in outcomes] == [error, None]
    assert outcomes[0].partial == "te"
    asked = [r.connection for r in server.requests if not r.path.endswith("/stop")]
    assert len(set(asked)) == 2
    runs_on = subject.service == "dify" and error is MalformedResponseError
    assert len(server.requests) - len(asked) == runs_on  # it is told that nobody reads any more
