"""An error comes soon, is one of ours, and says neither the answer nor the key."""

import asyncio
import json
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from qaip_core import AsyncClient, ServiceError
from qaip_core.backends import fireworks
from qaip_core.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedResponseError,
    ServerReportedError,
    ServiceConnectionError,
)
from qaip_core.framing import Sniffer
from support.backends import KEY, settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply
from support.faults.handed import NOWHERE
from support.faults.subjects import CORE, Subject

CHAT = fireworks.CHAT
MODEL = {"model": "m"}
DELTA = {"choices": [{"index": 0, "delta": {"content": "tea"}}]}
ANSWER = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})

FIREWORKS = [s for s in CORE if (s.service, s.operation) == ("fireworks", "chat")]
WHOLES = pytest.mark.parametrize("subject", [s for s in FIREWORKS if not s.streams], ids=repr)
STREAMS = pytest.mark.parametrize("subject", [s for s in FIREWORKS if s.streams], ids=repr)


# Time: what is read is read once, however it is cut and whatever is in it


@contextmanager
def cpu_seconds_below(limit: float) -> Iterator[None]:
    began = time.process_time()
    yield
    assert time.process_time() - began < limit


@pytest.mark.parametrize("status", [200, 400])
@WHOLES
def test_a_page_of_unclosed_titles_is_soon_refused(
    subject: Subject, status: int, server: FaultServer
) -> None:
    server.reset()
    body = b"<title>" * 150_000
    server.replies(Reply(status, content_type="text/html", body=body, framing="length"))
    with cpu_seconds_below(0.5):
        outcome = subject.ask(server.url)
    assert isinstance(outcome.error, ServiceError)


MANY = 50_000
UNDECIDED: Mapping[str, bytes] = {
    "blank lines": b"\n" * MANY,
    "blanks": b" " * MANY,
    "blank lines after a field": b"id: 1\n" + b"\n" * MANY,
    "blanks after a field": b"id: 1\n" + b" " * MANY,
    "fields": b"id: 1\n" * (MANY // 6),
    "an object without an end": b'{"' + b"a" * MANY,
    "a comment without an end": b":" + b"x" * MANY,
    "a beginning of a page, and blanks": b"<htm" + b" " * MANY,
}


@pytest.mark.parametrize("body", UNDECIDED.values(), ids=UNDECIDED)
def test_what_does_not_tell_its_framing_is_held_in_linear_time(body: bytes) -> None:
    sniffer = Sniffer(lines=True)
    with cpu_seconds_below(0.5):  # the square would be minutes
        for at in range(len(body)):
            list(sniffer.feed(body[at : at + 1]))
        list(sniffer.close())


# Discretion


@WHOLES
def test_a_whole_answer_that_is_cut_is_in_the_body_of_its_error_and_not_in_the_message(
    subject: Subject, server: FaultServer
) -> None:
    server.reset()
    whole = {"choices": [{"message": {"content": "a-secret"}, "finish_reason": "stop"}]}
    cut = json.dumps(whole)[:-3]
    server.replies(Reply(body=cut.encode(), framing="length"))
    error = subject.ask(server.url).error
    assert isinstance(error, MalformedResponseError)
    assert "a-secret" not in "".join(traceback.format_exception(error))
    assert error.body == cut


ECHOES: Mapping[str, tuple[Reply, type[ServiceError]]] = {
    "in a refusal": (
        json_reply({"error": {"message": f"bad {KEY}"}}, 401, x_request_id=KEY),
        AuthenticationError,
    ),
    "in a stream": (
        sse_reply(
            json.dumps({**DELTA, "system_fingerprint": KEY, "service_tier": KEY}),
            json.dumps({"error": KEY}),
            x_request_id=KEY,
        ),
        ServerReportedError,
    ),
}


@pytest.mark.parametrize(("reply", "kind"), ECHOES.values(), ids=ECHOES)
@STREAMS
def test_a_key_that_the_service_echoes_is_not_in_the_error(
    subject: Subject, reply: Reply, kind: type[ServiceError], server: FaultServer
) -> None:
    server.reset()
    server.replies(reply)
    outcome = subject.ask(server.url)
    error = outcome.error
    assert isinstance(error, ServiceError)
    assert outcome.kind is kind
    shown = str(error), error.request_id, error.code, error.body, error.headers
    partial = error.partial and (error.partial.metadata, error.partial)
    assert KEY not in repr((shown, partial))


# A stream that is closed by another task than its reader's

SILENT: Mapping[str, Reply] = {
    "after the first event": sse_reply(json.dumps(DELTA), end="hang"),
    "before the first event": sse_reply(end="hang"),
    "before the head": replace(sse_reply(end="hang"), delay=0.3),
}


@pytest.mark.parametrize("reply", SILENT.values(), ids=SILENT)
async def test_a_reader_whose_stream_another_task_closes_gets_an_error(
    reply: Reply, server: FaultServer
) -> None:
    server.reset()
    server.replies(reply)
    client = AsyncClient(settings(CHAT, server.url))
    stream = client.stream(CHAT, "q", MODEL)

    async def read() -> None:
        async for _ in stream:
            pass

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.1)
    await stream.aclose()
    with pytest.raises(ServiceError):
        await asyncio.wait_for(reader, 1)
    await client.close()
    assert await asyncio.to_thread(server.wait_closed)


# Clients of the user's own


def test_an_async_client_of_the_user_that_is_used_in_two_loops_is_told(server: FaultServer) -> None:
    server.reset()
    server.replies(ANSWER)
    given = httpx.AsyncClient(verify=False, trust_env=False)
    client = AsyncClient(settings(CHAT, server.url, http_async_client=given))

    with asyncio.Runner() as first, asyncio.Runner() as second:
        assert first.run(client.complete(CHAT, "q", MODEL)).text == "tea"
        with pytest.raises(ConfigurationError, match="another event loop"):
            second.run(client.complete(CHAT, "q", MODEL))
        first.run(given.aclose())


class Raising(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport of the user's that fails in its own way."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.HTTPError("no carrier")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


@pytest.mark.parametrize("subject", FIREWORKS, ids=repr)
async def test_the_base_of_a_library_s_errors_is_a_failed_connection(subject: Subject) -> None:
    async with httpx.AsyncClient(transport=Raising()) as given:
        with httpx.Client(transport=Raising()) as blocking:
            fields = {"http_async_client": given, "http_client": blocking}
            if subject.is_async:
                outcome = await subject.aask(NOWHERE, **fields)
            else:
                outcome = subject.ask(NOWHERE, **fields)
    assert outcome.kind is ServiceConnectionError
    assert "no carrier" in str(outcome.error)
