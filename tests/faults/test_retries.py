"""One place decides what is sent again: the core, the same for every class."""

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, ServiceError, errors
from qaip_core.backends import fireworks
from support.backends import settings
from support.fault_server import FaultServer, Reply, html_reply, json_reply
from support.faults.matrix import Row, check, matrix, spread, thinned, tried
from support.faults.speech import Speech
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, SUBJECTS, Outcome, Subject
from support.faults.tables.retries import (
    BUDGET,
    EARLY,
    EARLY_WHOLE,
    LASTING,
    LATE,
    OWN_RULES,
    REPEATED,
    REPEATED_WHOLE,
    STATUSES,
    STREAMED,
    WHOLE,
    applies,
)
from support.faults.tables.wishes import WISHES, Wish
from support.faults.waiting import few, side_by_side


def counted(server: FaultServer, subject: Subject, speech: Speech, row: Row) -> None:
    """Run a case; an error says how many requests there were."""
    outcome = tried(server, subject, speech, row)
    if isinstance(outcome.error, ServiceError):
        assert outcome.error.attempts == row.requests


ALL_ASK = [[*LANGCHAIN, *LLAMA_INDEX]] * len(STATUSES)
# At every endpoint; in which way, and by which classes, changes from row to row.
EACH_STATUS = [
    pytest.param(subject, speech, row, id=f"{row.name}-{subject}")
    for place, (row, subjects) in enumerate(zip(STATUSES, spread(ALL_ASK), strict=True))
    for subject in [*CORE[place % 4 :: 4], *subjects]
    for speech in subject.speeches
    if applies(row, speech)
]


@pytest.mark.parametrize(("subject", "speech", "row"), EACH_STATUS)
def test_every_status(subject: Subject, speech: Speech, row: Row, server: FaultServer) -> None:
    counted(server, subject, speech, row)


@matrix(OWN_RULES, streams=None, applies=applies, thin=True)
def test_the_rules_of_single_services(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    counted(server, subject, speech, row)


@pytest.mark.parametrize(
    ("row", "subjects"),
    [pytest.param(row, few(SUBJECTS, n), id=row.name) for n, row in enumerate(LASTING)],
)
async def test_an_overload_that_lasts(row: Row, subjects: Sequence[Subject]) -> None:
    for case in await side_by_side(row, subjects):
        check(case.outcome, row.expected_of(case.speech), case.speech)
        assert isinstance(case.outcome.error, ServiceError)
        assert case.outcome.error.attempts == len(case.requests) == row.requests


@matrix(BUDGET, streams=None, applies=applies, thin=True)
def test_one_budget_for_a_call(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    counted(server, subject, speech, row)


@matrix([*WHOLE, *EARLY_WHOLE], streams=False, applies=applies, thin=True)
def test_whole_answers_after_failures(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    counted(server, subject, speech, row)


@matrix(LATE, thin=True)
def test_nothing_is_repeated_after_the_first_text(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    counted(server, subject, speech, row)


@matrix([*STREAMED, *EARLY], thin=True)
def test_streams_before_their_first_text(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    counted(server, subject, speech, row)


WAITING = [
    pytest.param(row, few([x for x in SUBJECTS if x.wants_stream is streams], n), id=row.name)
    for streams, rows in ((True, REPEATED), (False, REPEATED_WHOLE))
    for n, row in enumerate(rows)
]


@pytest.mark.parametrize(("row", "subjects"), WAITING)
async def test_what_broke_before_the_first_text(row: Row, subjects: Sequence[Subject]) -> None:
    for case in await side_by_side(row, subjects):
        check(case.outcome, row.expected_of(case.speech), case.speech)
        first, second = case.requests
        assert second - first >= 0.25


# Each with every fortieth way of asking, others from row to row.
WISHED = [
    pytest.param(subject, wish, id=f"{wish.name}-{subject}")
    for place, wish in enumerate(WISHES)
    for subject in SUBJECTS[place % 40 :: 40]
]


def obeyed(server: FaultServer, subject: Subject, wish: Wish) -> None:
    """Check what is read from a wish."""
    server.reset()
    refusal = json_reply({"message": "slow down"}, wish.status)
    server.replies(replace(refusal, headers=wish.headers(time.time())))
    error = subject.ask(server.url).error
    assert isinstance(error, ServiceError)
    expected = None if wish.seconds is None else pytest.approx(wish.seconds, abs=2.5)
    assert error.retry_after == expected


@pytest.mark.parametrize(("subject", "wish"), WISHED)
def test_what_a_service_asks_to_wait(subject: Subject, wish: Wish, server: FaultServer) -> None:
    obeyed(server, subject, wish)


@pytest.fixture
def _far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock shows another hour than the services' dates."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_far_east")
@pytest.mark.parametrize("wish", [w for w in WISHES if "a date" in w.name], ids=lambda w: w.name)
def test_dates_are_those_of_greenwich(wish: Wish, server: FaultServer) -> None:
    obeyed(server, CORE[0], wish)


# Connections


def kept(s: Speech, *, stream: bool) -> list[Reply]:
    """An answer, then the end of its connection, seen only when it is used again."""
    answer = s.answer("te", "a", stream=stream)
    return [answer, Reply(raw=b"", end="reset"), answer]


async def asked_twice(server: FaultServer, subject: Subject, **fields: Any) -> Outcome:
    """The second outcome of one object."""
    if subject.is_async:
        async with subject.make(server.url, **fields) as made:
            assert (await subject.aask_of(made)).error is None
            return await subject.aask_of(made)
    with subject.make(server.url, **fields) as made:
        assert subject.ask_of(made).error is None
        return subject.ask_of(made)


async def test_a_connection_that_the_service_has_left_is_replaced_at_once(
    server: FaultServer,
) -> None:
    gaps = []
    for subject in thinned(SUBJECTS, 0):
        server.reset()
        server.replies(*kept(subject.speeches[0], stream=subject.wants_stream))
        assert (await asked_twice(server, subject, max_retries=1)).error is None
        first, left, again = server.requests
        assert first.connection == left.connection != again.connection
        gaps.append(again.at - left.at)
    assert sorted(gaps)[len(gaps) // 2] < 0.2  # the shortest wait is 0.25 s; a machine may be slow


@pytest.mark.parametrize("subject", CORE[:4], ids=str)
async def test_such_a_replacement_is_no_retry(subject: Subject, server: FaultServer) -> None:
    server.reset()
    server.replies(*kept(subject.speeches[0], stream=subject.wants_stream))
    assert (await asked_twice(server, subject, max_retries=0)).error is None
    assert len(server.requests) == 3


async def test_only_the_first_of_such_connections_is_replaced_without_waiting(
    server: FaultServer,
) -> None:
    subject = next(s for s in CORE if s.is_async and s.service == "pais")
    whole = subject.speeches[0].answer("tea", stream=subject.wants_stream)
    gone = Reply(raw=b"", end="reset")
    server.reset()
    server.replies(replace(whole, delay=0.05), replace(whole, delay=0.05), gone, gone, whole)
    async with subject.make(server.url, max_retries=2) as made:
        both = await asyncio.gather(subject.aask_of(made), subject.aask_of(made))
        assert [outcome.error for outcome in both] == [None, None]
        assert (await subject.aask_of(made)).error is None
    times = [request.at for request in server.requests[2:]]
    assert times[2] - times[1] >= 0.25


def answer_later(address: socket.socket, reply: bytes) -> None:
    """Begin to listen at an address a moment after a client was refused there."""
    time.sleep(0.1)
    address.listen()
    connection, _ = address.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(reply)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # what is not read when it is closed takes the reply along
            pass


@pytest.mark.parametrize("name", ["pais chat.complete", "pais chat.complete async"])
async def test_a_service_that_is_just_starting_is_waited_for(name: str) -> None:
    subject = next(s for s in CORE if s.name == name)
    reply = replace(subject.speeches[0].answer("tea", stream=False), framing="close")
    sent = b"".join(piece for piece in reply.pieces() if isinstance(piece, bytes))
    with socket.socket() as address:
        address.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{address.getsockname()[1]}"
        with ThreadPoolExecutor(1) as threads:
            threads.submit(answer_later, address, sent)
            outcome = await asyncio.to_thread(subject.ask, url, max_retries=2)
    assert outcome.text == "tea"


# Reading what costs nothing

LISTED = {"data": [{"id": "m"}]}
LISTS: Sequence[tuple[str, list[Reply], type[ServiceError] | None, int]] = [
    ("an overload", [json_reply({}, 503, retry_after_ms="1"), json_reply(LISTED)], None, 2),
    ("a reset", [Reply(raw=b"", end="reset"), json_reply(LISTED)], None, 2),
    ("a body that is cut", [replace(json_reply(LISTED), end="cut"), json_reply(LISTED)], None, 2),
    ("a body that stops", [replace(json_reply(LISTED), end="hang"), json_reply(LISTED)], None, 2),
    ("bodies that are cut", [replace(json_reply(LISTED), end="cut")],
     errors.ServiceConnectionError, 2),
    ("a page", [html_reply(200)], errors.MalformedResponseError, 1),
    ("a refusal", [json_reply({}, 403)], errors.PermissionDeniedError, 1),
]  # fmt: skip


@pytest.mark.parametrize(("replies", "error", "requests"), [r[1:] for r in LISTS],
                         ids=[r[0] for r in LISTS])  # fmt: skip
async def test_a_list_is_read_again_whatever_broke(
    replies: list[Reply], error: type[ServiceError] | None, requests: int
) -> None:
    async def read(*, is_async: bool) -> None:
        with FaultServer() as server:
            server.replies(*replies)
            known = settings(fireworks.TEXT, server.url, timeout=0.3, max_retries=1)
            raises = pytest.raises(error) if error else nullcontext()
            if is_async:
                client = AsyncClient(known)
                with raises:
                    assert [model.id for model in await client.fetch(fireworks.MODELS)] == ["m"]
                await client.close()
            else:
                blocking = Client(known)
                with raises:
                    await asyncio.to_thread(blocking.fetch, fireworks.MODELS)
                blocking.close()
            assert len(server.requests) == requests

    await asyncio.gather(read(is_async=False), read(is_async=True))
