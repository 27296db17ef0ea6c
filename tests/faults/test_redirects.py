"""No redirect is followed: the key, and the question, stay with the service that they are for."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

import httpx
import httpx2
import pytest

from support.backends import ENDPOINTS, KEY
from support.fault_server import FaultServer, Reply
from support.faults.matrix import Row, matrix, raised, tried
from support.faults.own_clients import ask_through
from support.faults.speech import PERPLEXITY, QAIP_RUN, Speech
from support.faults.subjects import CORE, SUBJECTS, Subject
from support.faults.tables.redirects import HIDDEN, REDIRECTS, STATUSES, with_status


@pytest.fixture(scope="module")
def other() -> Iterator[FaultServer]:
    """Where most of the redirects lead to."""
    with FaultServer() as running:
        yield running


def led(row: Row, speech: Speech, server: FaultServer, other: FaultServer) -> Row:
    """The row with the addresses of the two servers."""
    place = other.url.removeprefix("http://")
    named = other.url.replace("127.0.0.1", "localhost")

    def fill(text: str) -> str:
        return text.format(here=server.url, other=other.url, named=named, place=place)

    reply = cast("Reply", row.replies(speech))
    (location,) = cast("dict[str, str]", reply.headers).values()
    sent = replace(reply, headers={"location": fill(location)})
    expected = raised(row.expected.error, fill(row.expected.words))  # type: ignore[arg-type]
    return replace(row, replies=lambda _s: sent, expected=expected)


# The head of a response is read alike by both ways of the core, and before its way of writing.
asked = partial(
    matrix,
    subjects=[s for s in SUBJECTS if s.layer != "core" or s.streams],
    streams=None,
    thin=True,
    applies=lambda _row, speech: speech is not QAIP_RUN,
)


@asked([with_status(row, status) for row in REDIRECTS for status in STATUSES])
def test_a_redirect_is_not_followed(
    subject: Subject, speech: Speech, row: Row, server: FaultServer, other: FaultServer
) -> None:
    tried(server, subject, speech, led(row, speech, server, other))
    backend = ENDPOINTS[subject.service, subject.operation].backend
    assert server.requests[0].headers[backend.key_header.lower()] == backend.key_prefix + KEY
    assert other.requests == []


@pytest.mark.parametrize("library", [httpx, httpx2])
@asked([row for row in REDIRECTS if row.name == "a redirect to another port"])
def test_a_client_of_one_s_own_that_follows_does_not_follow_here(  # noqa: PLR0917
    subject: Subject,
    speech: Speech,
    row: Row,
    library: Any,
    server: FaultServer,
    other: FaultServer,
) -> None:
    server.reset()
    server.replies(cast("Reply", led(row, speech, server, other).replies(speech)))
    outcome = ask_through(subject, server.url, {"follow_redirects": True}, library=library)
    assert "Redirects are not followed" in str(outcome.error)
    assert len(server.requests) == 1
    assert other.requests == []


@pytest.mark.parametrize("status", STATUSES)
def test_the_error_names_the_target_without_what_is_secret_in_it(
    status: int, server: FaultServer
) -> None:
    for location in (f"https://me:{HIDDEN}@x.example/v1", f"https://x.example/v1?t={HIDDEN}"):
        error = redirected(server, status, {"location": location})
        assert "set base_url to where the service is: https://x.example/v1." in str(error)
        assert HIDDEN not in f"{error!r} {vars(error)}"


@pytest.mark.parametrize("location", [f"https://me:{HIDDEN}@x.example/v1?t={HIDDEN}#{HIDDEN}"])
def test_the_headers_of_the_error_hold_nothing_secret_of_the_target(
    location: str, server: FaultServer
) -> None:
    error: Any = redirected(server, 307, {"location": location, "set-cookie": HIDDEN})
    assert error.headers["location"] == "https://x.example/v1"
    assert HIDDEN not in str(error.headers)


def test_a_redirect_to_nowhere_says_so(server: FaultServer) -> None:
    assert "it does not say where" in str(redirected(server, 302, {}))


def redirected(server: FaultServer, status: int, headers: dict[str, str]) -> BaseException:
    server.reset()
    server.replies(Reply(status=status, headers=headers, framing="length"))
    subject = next(s for s in CORE if s.service == PERPLEXITY.service)
    error = subject.ask(server.url).error
    assert error is not None
    return error
