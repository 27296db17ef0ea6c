"""However a stream ends, the caller gets the complete answer, or an error and all that had come."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import pytest

from qaip_core import Client, Completion, Connection
from qaip_core.errors import IncompleteStreamError
from support.backends import ENDPOINTS, KEY
from support.fault_server import FaultServer, Reply
from support.faults.matrix import Row, check, incomplete, matrix, thinned, tried, whole
from support.faults.speech import (
    FIREWORKS_CHAT,
    FIREWORKS_TEXT,
    PAIS_CHAT,
    PAIS_TEXT,
    PERPLEXITY,
    QAIP_LINES,
    QAIP_RUN,
    SOURCES,
    SPEECHES,
    Speech,
)
from support.faults.subjects import CORE, SUBJECTS, Subject
from support.faults.tables.stream_ends import (
    CHUNKS,
    CLOSED,
    ENDS,
    HALF_OPEN,
    LEFT_OPEN,
    LENGTHS,
    MARKS,
)


@matrix(ENDS, every_class=True)
def test_the_end_of_a_stream(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    tried(server, subject, speech, row)


@matrix([*CLOSED, *CHUNKS, *LENGTHS, *MARKS], thin=True)
def test_the_end_of_a_body(subject: Subject, speech: Speech, row: Row, server: FaultServer) -> None:
    tried(server, subject, speech, row)


# What comes with a complete answer

COMPLETE = [Row("complete", lambda s: s.answer("te", "a", stream=True), whole("tea"))]
COMPLETE_BODY = [Row("complete", lambda s: s.answer("te", "a", stream=False), whole("tea"))]


@matrix(COMPLETE)
def test_a_stream_brings_all_that_came_with_it(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    check_facts(server, subject, speech, row)


@matrix(COMPLETE_BODY, streams=False)
def test_a_whole_answer_brings_all_that_came_with_it(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    check_facts(server, subject, speech, row)


def check_facts(server: FaultServer, subject: Subject, speech: Speech, row: Row) -> None:
    outcome = tried(server, subject, speech, row)
    if ".retriever." in subject.name:
        assert outcome.sources == speech.sources
    if subject.tells_facts:
        cites = bool(speech.sources) or subject.layer != "langchain"  # there, only where one can
        gives_reason = speech is not QAIP_RUN or not subject.wants_stream
        assert outcome.sources == (speech.sources if cites else None)
        assert outcome.finish == ("stop" if gives_reason else None)
        assert outcome.tokens == (8 if speech.counts else None)


FIRST_SOURCES: Mapping[Speech, bytes] = {
    PERPLEXITY: PERPLEXITY.piece("te"),
    QAIP_LINES: QAIP_LINES.end("te").replace(b'"stop"', b"null"),
    QAIP_RUN: QAIP_RUN.end("te").partition(b'data: {"type": "RUN_FINISHED"')[0],
}
CUT = [
    Row(
        "sources and some text, then a cut",
        lambda s: s.stream(FIRST_SOURCES[s], end="cut") if s in FIRST_SOURCES else None,
        incomplete("te"),
    )
]


@matrix(CUT)
def test_sources_that_had_come_are_handed_over(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    outcome = tried(server, subject, speech, row)
    assert isinstance(outcome.error, IncompleteStreamError)
    assert outcome.error.partial is not None
    assert [c.url for c in outcome.error.partial.citations] == [s["url"] for s in SOURCES]


# What is kept on demand

KEPT = [Row("cut", lambda s: s.stream(s.piece("te")), whole("te"))]


@matrix(KEPT, thin=True)
def test_an_incomplete_answer_is_kept_on_demand(
    subject: Subject, speech: Speech, row: Row, server: FaultServer
) -> None:
    server.reset()
    server.replies(speech.stream(speech.piece("te")))
    outcome = subject.ask(server.url, on_incomplete="ignore")
    assert outcome.error is None
    assert outcome.text in ("te", None)
    assert outcome.finish is None


# Several answers to one prompt


class Choices(NamedTuple):
    """Frames of two answers, by their numbers, and whether both are complete."""

    name: str
    frames: Sequence[tuple[int, str]]
    complete: bool


CHOICES = [
    Choices("both end", [(0, "te"), (1, "co"), (0, "end"), (1, "end")], complete=True),
    Choices("one after the other", [(0, "te"), (0, "end"), (1, "co"), (1, "end")], complete=True),
    Choices("one does not end", [(0, "te"), (1, "co"), (0, "end")], complete=False),
    Choices("a late one does not end", [(0, "te"), (0, "end"), (1, "co")], complete=False),
]
MANY = pytest.mark.parametrize(
    "speech", [FIREWORKS_CHAT, FIREWORKS_TEXT, PAIS_CHAT, PAIS_TEXT], ids=str
)


@MANY
@pytest.mark.parametrize("choices", CHOICES, ids=lambda c: c.name)
def test_an_answer_is_complete_when_every_choice_has_ended(
    speech: Speech, choices: Choices, server: FaultServer
) -> None:
    increments, error = two_choices(speech, choices.frames, server)
    if choices.complete:
        assert error is None
        assert [c.finish_reason for c in increments[-1].choices] == ["stop", "stop"]
    else:
        assert error is not None
        assert error.partial is not None
        assert [c.text for c in error.partial.choices] == ["te", "co"]


@MANY
def test_an_error_tells_which_choice_had_ended(speech: Speech, server: FaultServer) -> None:
    _, error = two_choices(speech, [(0, "te"), (1, "co"), (0, "end")], server)
    assert error is not None
    assert error.partial is not None
    assert [c.finish_reason for c in error.partial.choices] == ["stop", None]


@MANY
def test_a_choice_that_has_not_begun_when_the_connection_breaks_is_missing(
    speech: Speech, server: FaultServer
) -> None:
    _, error = two_choices(speech, [(0, "te"), (0, "end")], server, cut=True)
    assert error is not None
    assert error.partial is not None
    assert [c.text for c in error.partial.choices] == ["te"]


@MANY
def test_an_engine_that_knows_of_one_choice_only_may_end_after_it(
    speech: Speech, server: FaultServer
) -> None:
    increments, error = two_choices(speech, [(0, "te"), (0, "end")], server)
    assert error is None
    assert len(increments[-1].choices) == 1


def numbered(speech: Speech, index: int, text: str) -> bytes:
    frame = speech.end() if text == "end" else speech.piece(text)
    return frame.replace(b'"index": 0', b'"index": %d' % index)


def two_choices(
    speech: Speech, frames: Sequence[tuple[int, str]], server: FaultServer, *, cut: bool = False
) -> tuple[Sequence[Completion], IncompleteStreamError | None]:
    server.reset()
    sent = [numbered(speech, *frame) for frame in frames]
    end = speech.stream(*sent, end="cut") if cut else speech.stream(*sent, speech.done)
    server.replies(end)
    endpoint = ENDPOINTS[speech.service, speech.operation]
    settings = Connection(base_url=server.url, api_key=KEY, max_retries=0)
    client = Client(settings.settings(endpoint.backend))
    increments: list[Completion] = []
    try:
        increments.extend(client.stream(endpoint, "q", {"model": "m", "n": 2}))
    except IncompleteStreamError as error:
        return increments, error
    finally:
        client.close()
    return increments, None


# Connections that are not closed


@pytest.mark.parametrize("speech", SPEECHES, ids=str)
@pytest.mark.parametrize("row", LEFT_OPEN, ids=lambda row: row.name)
def test_a_connection_that_is_left_open_holds_nobody_up(
    speech: Speech, row: Row, server: FaultServer
) -> None:
    """All classes at once, since each waits a moment."""
    server.reset()
    server.replies(*replies_of(row, speech))
    asked = [s for s in SUBJECTS if s.streams and speech in s.speeches]
    with ThreadPoolExecutor(16) as pool:
        found = pool.map(lambda s: s.ask(server.url, **row.fields), thinned(asked, 0))
    for outcome in found:
        check(outcome, row.expected_of(speech), speech)


def replies_of(row: Row, speech: Speech) -> list[Reply]:
    reply = row.replies(speech)
    assert isinstance(reply, Reply)
    return [reply]


@matrix(HALF_OPEN, subjects=CORE)
def test_a_service_that_only_stops_sending_is_left(
    subject: Subject, speech: Speech, row: Row
) -> None:
    with half_open(*replies_of(row, speech)) as (url, has_left):
        check(subject.ask(url), row.expected_of(speech), speech)
        assert has_left.wait(0.5)


@contextmanager
def half_open(reply: Reply) -> Iterator[tuple[str, threading.Event]]:
    """Serve once, close the way out only, and tell whether the client has left."""
    has_left = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"".join(p for p in reply.pieces() if isinstance(p, bytes)))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        has_left.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", has_left
        thread.join()
