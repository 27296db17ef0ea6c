"""What is made once for several calls stays true for each of them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from qaip_core import Completion
from qaip_core.backends.fireworks import CHAT
from qaip_core.backends.qaip import COMPLETIONS, QAIP
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import Settings
from qaip_core.errors import InvalidParameterError
from support.fault_server import FaultServer, Reply, json_reply

ANSWER = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})
MODEL = {"model": "m"}
Ask = Callable[..., Awaitable[Completion]]


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


def settings(url: str, **more: Any) -> Settings:
    return Settings(**{"backend": CHAT.backend, "base_url": url, "key": SecretStr("k-1"), **more})


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
async def connect(request: pytest.FixtureRequest, server: FaultServer) -> Any:
    """Return what makes a client with these settings."""
    server.reset()
    server.replies(ANSWER)
    clients: list[Any] = []

    def make(**more: Any) -> Any:
        clients.append(request.param(settings(server.url, **more)))
        return clients[-1]

    yield make
    for client in clients:
        closing = client.close()
        if closing is not None:
            await closing


@pytest.fixture
def asker(connect: Callable[..., Any]) -> Callable[..., Ask]:
    """Return what makes a function that asks, of a client with these settings."""

    def make(**more: Any) -> Ask:
        client = connect(**more)

        async def ask(**values: Any) -> Completion:
            answer: Any = client.complete(CHAT, "q", {**MODEL, **values})
            return await answer if isinstance(client, AsyncClient) else answer

        return ask

    return make


async def test_requests_of_one_client_differ_in_key_and_content_only(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    keys = iter(["k-1", "k-2", "k-3"])
    ask = asker(key=lambda: next(keys), headers={"X-Team": "tea", "Authorization": "another"})
    for text in ("short", "a longer one", "short"):
        await ask(user=text)
    shown: list[Mapping[str, str]] = [request.headers for request in server.requests]
    assert [headers["authorization"] for headers in shown] == [
        "Bearer k-1",
        "Bearer k-2",
        "Bearer k-3",
    ]
    assert [int(r.headers["content-length"]) for r in server.requests] == [
        len(r.body) for r in server.requests
    ]
    same = [{**h, "authorization": "", "content-length": ""} for h in shown]
    assert same[0] == same[1] == same[2]
    assert same[0]["x-team"] == "tea"
    assert [r.json()["user"] for r in server.requests] == ["short", "a longer one", "short"]


async def test_a_first_and_a_later_request_have_the_same_headers(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    ask = asker()
    for _ in range(2):
        await ask()
    first = server.requests[0].headers
    assert {"host", "accept", "accept-encoding", "connection", "user-agent"} <= first.keys()
    assert first == server.requests[1].headers


async def test_a_cookie_that_the_service_sets_comes_back_to_it(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    sticky = Reply(headers={"Set-Cookie": "node=7; Path=/"}, body=ANSWER.body)
    server.reset()
    server.replies(sticky, ANSWER)
    ask = asker()
    for _ in range(3):
        await ask()
    assert [r.headers.get("cookie") for r in server.requests] == [None, "node=7", "node=7"]
    assert {r.headers["authorization"] for r in server.requests} == {"Bearer k-1"}


async def test_parameters_that_are_only_equal_to_earlier_ones_are_checked_and_sent_as_they_are(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    ask = asker()
    for value in (True, 1, True):
        await ask(logprobs=value)
    assert [str(r.json()["logprobs"]) for r in server.requests] == ["True", "1", "True"]


async def test_of_equal_parameters_each_is_compared_with_itself(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    ask = asker()
    await ask(logprobs=1, echo=True)
    await ask(echo=1, logprobs=True)
    assert [str(r.json()["logprobs"]) for r in server.requests] == ["1", "True"]


class Incomparable:
    """What is no number, and raises when it is compared, as arrays do."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, _other: object) -> bool:
        raise ValueError("more than one truth")


async def test_a_value_that_cannot_be_compared_is_refused_as_any_other(
    asker: Callable[..., Ask],
) -> None:
    ask = asker()
    for _ in range(2):
        await ask(temperature=1.0)
        with pytest.raises(InvalidParameterError, match="temperature"):
            await ask(temperature=Incomparable())


async def test_a_list_that_changes_between_two_calls_is_sent_as_it_is_then(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    ask = asker()
    stops = ["a"]
    await ask(stop=stops)
    stops.append("b")
    await ask(stop=stops)
    assert [r.json()["stop"] for r in server.requests] == [["a"], ["a", "b"]]


async def test_a_wrong_parameter_is_refused_after_a_right_one(asker: Callable[..., Ask]) -> None:
    ask = asker()
    await ask(temperature=1.0)
    with pytest.raises(InvalidParameterError):
        await ask(temperature=3.0)


async def test_a_header_that_comes_several_times_is_read_as_one(
    asker: Callable[..., Ask], server: FaultServer
) -> None:
    given = [("Fireworks-Note", "a"), ("Fireworks-Note", "b")]
    server.reset()
    server.replies(Reply(headers=given, body=ANSWER.body))
    answer = await asker()()
    assert answer.metadata["headers"]["fireworks-note"] == "a, b"


async def each(increments: Any) -> AsyncIterator[Completion]:
    """Yield what a stream of either kind does."""
    if isinstance(increments, AsyncIterator):
        async for increment in increments:
            yield increment
    else:
        for increment in increments:
            yield increment


async def test_with_its_last_increment_a_stream_has_left_its_connection_to_others(
    connect: Callable[..., Any], server: FaultServer
) -> None:
    line = b'{"choices":[{"text":"%b","finish_reason":%b}]}\n'
    lines = [line % (b"tea", b"null"), line % (b" pot", b'"stop"')]
    server.reset()
    server.replies(Reply(content_type="application/x-ndjson", body=lines))
    client = connect(backend=QAIP)
    texts = []
    async for increment in each(client.stream(COMPLETIONS, "q", {})):
        if increment.last:
            texts = [other.text async for other in each(client.stream(COMPLETIONS, "q", {}))]
    assert "".join(texts) == "tea pot"
    first, second = server.requests
    assert first.connection == second.connection


class Traced:
    """Reports of what httpx does, as an application may want them."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def note(self, event: str, _info: Any) -> None:
        self.events.append(event)

    async def anote(self, event: str, _info: Any) -> None:
        self.events.append(event)

    def hook(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self.note

    async def ahook(self, request: httpx.Request) -> None:
        request.extensions["trace"] = self.anote


class Tracing(Traced, httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport which reports to others as well, as those do that measure."""

    def __init__(self) -> None:
        super().__init__()
        self._sync, self._async = httpx.HTTPTransport(), httpx.AsyncHTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        other = request.extensions.get("trace")

        def both(event: str, info: Any) -> None:
            self.note(event, info)
            if other is not None:
                other(event, info)

        request.extensions["trace"] = both
        return self._sync.handle_request(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        other = request.extensions.get("trace")

        async def both(event: str, info: Any) -> None:
            self.note(event, info)
            if other is not None:
                await other(event, info)

        request.extensions["trace"] = both
        return await self._async.handle_async_request(request)

    def close(self) -> None:
        self._sync.close()

    async def aclose(self) -> None:
        self._sync.close()
        await self._async.aclose()


@pytest.mark.parametrize("by", ["hook", "transport"])
async def test_what_a_caller_traces_is_reported_to_the_end_of_each_answer(
    asker: Callable[..., Ask], by: str
) -> None:
    traced = Tracing() if by == "transport" else Traced()
    hooks = ([], []) if isinstance(traced, Tracing) else ([traced.hook], [traced.ahook])
    transport = traced if isinstance(traced, Tracing) else None
    async with httpx.AsyncClient(transport=transport, event_hooks={"request": hooks[1]}) as other:
        with httpx.Client(transport=transport, event_hooks={"request": hooks[0]}) as one:
            ask = asker(http_client=one, http_async_client=other)
            for _ in range(2):
                await ask()
            ends = [event for event in traced.events if event.endswith("closed.complete")]
            assert ends == ["http11.response_closed.complete"] * 2
