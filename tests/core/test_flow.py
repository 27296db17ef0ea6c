"""When a call is sent again, when it gives up, and what it leaves behind."""

import asyncio
import gc
import json
import socket
import threading
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from importlib.metadata import PackageNotFoundError
from typing import Any

import httpx
import pytest

from qaip_core import AsyncClient, Client, Completion, Connection, Prompt, Settings, errors
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.flow import IncompleteAnswerWarning
from qaip_core.version import version
from support.fault_server import FaultServer, Reply, html_reply, json_reply, sse_reply

MODEL = {"model": "m"}
ANSWER = {"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]}
WHOLE = json_reply(ANSWER)
SOON = {"retry-after-ms": "1"}


def delta(text: str, finish_reason: str | None = None) -> str:
    return json.dumps({"choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]})


def said(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, "task_id": "t1", "message_id": "m1", **fields})


STREAM = sse_reply(delta("te"), delta("a", "stop"), "[DONE]")
RUN = sse_reply(said("message", answer="tea"), said("message_end", metadata={}))
ENDLESS = Reply(
    content_type="text/event-stream", body=[f"data: {delta('tea')}\n\n".encode(), 0.01] * 1000
)
ENDLESS_RUN = replace(
    ENDLESS, body=[f"data: {said('message', answer='tea')}\n\n".encode(), 0.01] * 1000
)


def refusal(status: int, **headers: str) -> Reply:
    return replace(
        json_reply({"error": {"message": "no"}}, status),
        headers=headers or SOON,  # without waiting, where the test is not about waiting
    )


class Caller:
    """Calls a service with one of the two clients, from a coroutine."""

    def __init__(self, url: str, *, is_async: bool) -> None:
        self.url = url
        self.is_async = is_async
        self.client: Client | AsyncClient | None = None

    def settings(self, endpoint: Endpoint = pais.CHAT, **fields: Any) -> Settings:
        fields = {"api_key": "k1", "max_retries": 2, "timeout": 5, **fields}
        return Connection(base_url=self.url + "/", **fields).settings(
            replace(endpoint.backend, normalise_url=lambda url: url)
        )

    def open(self, endpoint: Endpoint, fields: Mapping[str, Any]) -> Client | AsyncClient:
        if self.client is None:
            settings = self.settings(endpoint, **fields)
            self.client = AsyncClient(settings) if self.is_async else Client(settings)
        return self.client

    async def whole(
        self,
        endpoint: Endpoint = pais.CHAT,
        values: Mapping[str, Any] = MODEL,
        prompt: Prompt = "q",
        **fields: Any,
    ) -> Completion:
        client = self.open(endpoint, fields)
        if isinstance(client, AsyncClient):
            return await client.complete(endpoint, prompt, values)
        return await asyncio.to_thread(client.complete, endpoint, prompt, values)

    async def stream(
        self, endpoint: Endpoint = pais.CHAT, values: Mapping[str, Any] = MODEL, **fields: Any
    ) -> list[Completion]:
        client = self.open(endpoint, fields)
        if isinstance(client, AsyncClient):
            return [i async for i in client.stream(endpoint, "q", values)]
        return await asyncio.to_thread(lambda: list(client.stream(endpoint, "q", values)))

    async def close(self) -> None:
        if isinstance(self.client, AsyncClient):
            await self.client.close()
        elif self.client is not None:
            self.client.close()


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture(params=[False, True], ids=["sync", "async"])
async def call(request: pytest.FixtureRequest, server: FaultServer) -> AsyncIterator[Caller]:
    caller = Caller(server.url, is_async=request.param)
    yield caller
    await caller.close()


def text(increments: list[Completion]) -> str:
    assert [i.last for i in increments] == [False] * (len(increments) - 1) + [True]
    return "".join(i.text for i in increments)


# Retries


@pytest.mark.parametrize(
    "wish",
    ["121", "inf", "1e999", pytest.param(formatdate(time.time() + 3600), id="date")],
)
async def test_a_long_wait_is_left_to_the_caller(
    call: Caller, server: FaultServer, wish: str
) -> None:
    server.replies(refusal(429, **{"retry-after": wish}), WHOLE)
    with pytest.raises(errors.RateLimitError) as caught:
        await call.whole()
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 120
    assert len(server.requests) == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_refused_connection_is_tried_again(is_async: bool) -> None:
    with FaultServer() as gone:
        url = gone.url
    caller = Caller(url, is_async=is_async)
    with pytest.raises(errors.ServiceConnectionError, match="is the server running") as caught:
        await caller.whole(max_retries=1)
    assert caught.value.attempts == 2
    assert caught.value.unsent
    assert caught.value.service == "pais"
    assert str(caught.value).endswith("(after 2 attempts; docs/errors.md#serviceconnectionerror)")
    await caller.close()


class Refusing(httpx.AsyncBaseTransport):
    """A host with two addresses, as anyio reports it when neither of them takes a connection."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        both = ExceptionGroup("multiple connection attempts failed", [ConnectionRefusedError()] * 2)
        raise httpx.ConnectError("All connection attempts failed") from both


async def test_a_server_at_none_of_its_addresses_does_not_run() -> None:
    async with httpx.AsyncClient(transport=Refusing(), verify=False) as http:
        caller = Caller("http://localhost:9", is_async=True)
        client = AsyncClient(caller.settings(http_async_client=http, max_retries=0))
        with pytest.raises(errors.ServiceConnectionError, match="is the server running"):
            await client.complete(fireworks.CHAT, "x", MODEL)


# Keys


async def test_the_source_of_a_key_is_asked_for_every_request(
    call: Caller, server: FaultServer
) -> None:
    keys = iter("abcd")
    server.replies(refusal(503), WHOLE)
    await call.whole(api_key=lambda: next(keys))
    await call.stream()
    assert [r.headers["authorization"] for r in server.requests] == ["Bearer " + k for k in "abc"]


async def key_soon() -> str:
    await asyncio.sleep(0)
    return "soon"


async def test_an_async_key_is_for_async_calls(server: FaultServer) -> None:
    caller = Caller(server.url, is_async=True)
    server.replies(WHOLE)
    await caller.whole(api_key=key_soon)
    assert server.requests[0].headers["authorization"] == "Bearer soon"
    await caller.close()


def test_a_sync_call_refuses_an_async_key(server: FaultServer) -> None:
    client = Client(Caller(server.url, is_async=False).settings(api_key=key_soon))
    with pytest.raises(errors.ConfigurationError, match="async callable"):
        client.complete(pais.CHAT, "q", MODEL)
    assert server.requests == []
    client.close()


@pytest.mark.parametrize("key", ["", " ", "a b", "a\nb", "k€y", None, 7])
async def test_a_key_that_cannot_be_sent_is_refused(
    call: Caller, server: FaultServer, key: Any
) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        await call.whole(api_key=lambda: key)
    assert not str(key).strip() or str(key) not in str(caught.value).replace("api_key", "")
    assert server.requests == []


async def test_an_error_in_the_source_of_a_key_is_the_caller_s_own(call: Caller) -> None:
    with pytest.raises(LookupError, match="no vault"):
        await call.whole(api_key=lambda: (_ for _ in ()).throw(LookupError("no vault")))


@pytest.mark.parametrize(
    ("endpoint", "header", "value"),
    [
        (qaip.COMPLETIONS, "x-api-key", "k1"),
        (perplexity.CHAT, "authorization", "Bearer k1"),
        (fireworks.TEXT, "authorization", "Bearer k1"),
        (dify.COMPLETION, "authorization", "Bearer k1"),
    ],
)
async def test_the_key_goes_into_the_service_s_header(
    call: Caller, server: FaultServer, endpoint: Endpoint, header: str, value: str
) -> None:
    server.replies(refusal(400))
    with pytest.raises(errors.StatusError):
        await call.whole(endpoint, MODEL if endpoint.required else {})
    assert server.requests[0].headers[header] == value
    assert server.requests[0].path == endpoint.path


async def test_without_a_key_no_header_is_sent(
    call: Caller, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PAIS_API_KEY", raising=False)
    server.replies(WHOLE)
    await call.whole(api_key=None, default_headers={"X-Team": "tea"})
    assert "authorization" not in server.requests[0].headers
    assert server.requests[0].headers["x-team"] == "tea"
    assert server.requests[0].headers["user-agent"].startswith("qaip-integrations")


# Streams that fail


REFUSED = replace(
    json_reply({"detail": [{"loc": ["body", "stream_options"], "msg": "extra"}]}, 422)
)


async def test_a_refused_option_is_left_out_once(call: Caller, server: FaultServer) -> None:
    server.replies(REFUSED, STREAM)
    assert text(await call.stream(max_retries=0)) == "tea"
    bodies = [request.json() for request in server.requests]
    assert bodies[0].pop("stream_options") == {"include_usage": True}
    assert bodies[0] == bodies[1]


PING = b": ping\n\n"


def repeated(count: int, *pieces: bytes | float) -> list[bytes | float]:
    return [*pieces] * count


def pieces_of(reply: Reply) -> list[bytes | float]:
    return [reply.body] if isinstance(reply.body, bytes) else [*reply.body]


TEA = f"data: {delta('te')}\n\n".encode()


async def test_content_keeps_a_stream_alive(call: Caller, server: FaultServer) -> None:
    end = f"data: {delta('', 'stop')}\n\n".encode()
    server.replies(
        Reply(
            content_type="text/event-stream", body=[*repeated(5, PING, TEA, 0.12), end], end="clean"
        )
    )
    assert text(await call.stream(stream_idle_timeout=0.5)) == "te" * 5


async def test_a_first_token_may_take_longer_than_the_idle_limit(
    call: Caller, server: FaultServer
) -> None:
    server.replies(replace(STREAM, delay=0.3))
    assert text(await call.stream(stream_idle_timeout=0.1)) == "tea"


async def test_without_a_limit_pings_go_on(call: Caller, server: FaultServer) -> None:
    server.replies(
        replace(STREAM, body=[*repeated(8, PING, 0.03), *pieces_of(STREAM)]),
    )
    assert text(await call.stream(stream_idle_timeout=None)) == "tea"


@pytest.mark.parametrize("how", ["cut", "clean"])
async def test_an_incomplete_stream_that_is_kept_on_demand_is_marked(
    call: Caller, server: FaultServer, how: Any
) -> None:
    server.replies(sse_reply(delta("te"), end=how))
    increments = await call.stream(on_incomplete="ignore")
    assert text(increments) == "te"
    assert increments[-1].metadata["incomplete"] is True


async def test_an_incomplete_stream_warns_on_demand(call: Caller, server: FaultServer) -> None:
    server.replies(sse_reply(delta("te")))
    with pytest.warns(IncompleteAnswerWarning, match="not complete"):
        assert text(await call.stream(on_incomplete="warn")) == "te"


# Whole answers that fail


@pytest.mark.parametrize(
    "reply",
    [Reply(body=b'{"choices":', end="cut"), Reply(raw=b"\0 no http")],
    ids=["cut", "no HTTP"],
)
async def test_a_body_that_does_not_come_is_a_failure_of_the_connection(
    call: Caller, server: FaultServer, reply: Reply
) -> None:
    server.replies(reply)
    with pytest.raises(errors.ServiceConnectionError, match="check base_url") as caught:
        await call.whole()
    assert caught.value.attempts == len(server.requests) == 1


async def test_a_success_without_an_answer_has_the_number_of_its_request(
    call: Caller, server: FaultServer
) -> None:
    server.replies(json_reply({}, x_request_id="r1"))
    with pytest.raises(errors.MalformedResponseError) as caught:
        await call.whole()
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(call: Caller, server: FaultServer, status: int) -> None:
    target = "http://elsewhere.example/{id}"
    server.replies(Reply(status=status, headers={"location": target}, framing="length"))
    with pytest.raises(errors.StatusError) as caught:
        await call.whole(max_retries=1)
    assert target in str(caught.value)
    assert len(server.requests) == 1


async def test_an_endless_error_body_is_read_in_part(call: Caller, server: FaultServer) -> None:
    server.replies(Reply(status=500, body=[b"x" * 65536] * 400))
    with pytest.raises(errors.ServerError) as caught:
        await call.whole(max_retries=0)
    assert len(caught.value.body) == 65536


async def test_an_error_body_that_breaks_is_read_in_part(call: Caller, server: FaultServer) -> None:
    server.replies(Reply(status=500, body=b"the database is", end="cut"))
    with pytest.raises(errors.ServerError, match="the database is"):
        await call.whole(max_retries=0)


# What cannot be sent


UNSENDABLE: list[tuple[Endpoint, dict[str, Any], str]] = [
    (pais.CHAT, {**MODEL, "extra_body": {"x": object()}}, "q"),
    (pais.CHAT, MODEL, "\ud800"),
    (dify.COMPLETION, {"inputs": {"x": object()}}, "q"),
]


@pytest.mark.parametrize(("endpoint", "values", "prompt"), UNSENDABLE)
async def test_what_is_no_json_is_refused(
    call: Caller, server: FaultServer, endpoint: Endpoint, values: dict[str, Any], prompt: str
) -> None:
    with pytest.raises(errors.InvalidParameterError, match="JSON"):
        await call.whole(endpoint, values, prompt)
    assert server.requests == []


async def test_an_empty_conversation_is_refused(call: Caller, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidParameterError, match="at least one message"):
        await call.whole(prompt=[])
    assert server.requests == []


@pytest.mark.parametrize("value", ["a\nb", "sécret"])
async def test_a_header_that_cannot_be_sent_is_refused(
    call: Caller, server: FaultServer, value: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match="headers") as caught:
        await call.whole(default_headers={"X-Team": value})
    assert value not in str(caught.value)
    assert server.requests == []


# Leaving early


@pytest.fixture
def sync_client(server: FaultServer) -> Iterator[Client]:
    client = Client(Caller(server.url, is_async=False).settings())
    yield client
    client.close()


def test_a_stream_is_closed_even_while_its_thread_holds_the_pool(
    server: FaultServer, sync_client: Client
) -> None:
    """As when the garbage collector runs in the middle of another call."""
    server.replies(ENDLESS)
    stream = sync_client.stream(pais.CHAT, "q", MODEL)
    next(stream)
    lock = sync_client.http()._transport._pool._optional_thread_lock
    started = time.monotonic()
    with lock:
        stream.close()
    assert time.monotonic() - started < 2
    assert server.wait_closed(0.5)


def run_settings(server: FaultServer, **fields: Any) -> Settings:
    return Caller(server.url, is_async=False).settings(dify.COMPLETION, **fields)


STOP = "/completion-messages/t1/stop"
LEAVING: list[tuple[dict[str, Any], list[tuple[str, Any]]]] = [
    ({}, [(STOP, {"user": "default-user"})]),
    ({"user": "u7"}, [(STOP, {"user": "u7"})]),
    ({"user": "u7", "stop_on_close": False}, []),
]


@pytest.mark.parametrize(("values", "calls"), LEAVING)
@pytest.mark.parametrize("answer", [json_reply({"result": "success"}), html_reply(500)])
def test_leaving_a_run_early_stops_it(
    server: FaultServer, values: dict[str, Any], calls: list[tuple[str, Any]], answer: Reply
) -> None:
    server.replies(ENDLESS_RUN, answer)
    client = Client(run_settings(server))
    increments = client.stream(dify.COMPLETION, "q", values)
    next(increments)
    increments.close()
    assert [(r.path, r.json()) for r in server.requests[1:]] == calls
    assert all(r.headers["authorization"] == "Bearer k1" for r in server.requests)
    client.close()


@pytest.mark.parametrize(("values", "calls"), LEAVING)
@pytest.mark.parametrize("how", ["aclose", "cancel"])
async def test_leaving_a_run_early_stops_it_in_async_calls_too(
    server: FaultServer, values: dict[str, Any], calls: list[tuple[str, Any]], how: str
) -> None:
    server.replies(ENDLESS_RUN, json_reply({"result": "success"}))
    client = AsyncClient(run_settings(server))
    if how == "aclose":
        increments = client.stream(dify.COMPLETION, "q", values)
        await anext(increments)
        await increments.aclose()
    else:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.complete(dify.COMPLETION, "q", values)
    assert [(r.path, r.json()) for r in server.requests[1:]] == calls
    await client.close()


async def test_a_complete_run_is_not_stopped(call: Caller, server: FaultServer) -> None:
    server.replies(RUN)
    await call.stream(dify.COMPLETION, {})
    await call.whole(dify.COMPLETION, {})
    assert [request.path for request in server.requests] == ["/completion-messages"] * 2


def test_a_run_that_was_not_heard_of_cannot_be_stopped(server: FaultServer) -> None:
    server.replies(ENDLESS_RUN)
    client = Client(run_settings(server))
    increments = client.stream(dify.COMPLETION, "q", {})
    increments.close()
    assert server.requests == []
    client.close()


# Connections


LATER = f"data: {said('tts_message', audio='a' * 60_000)}\n\n".encode()


@pytest.mark.parametrize("pause", [[], [0.3]], ids=["flood", "drops"])
async def test_what_goes_on_after_the_end_mark_delays_nothing(
    call: Caller, server: FaultServer, pause: list[float]
) -> None:
    server.replies(replace(RUN, body=[*pieces_of(RUN), *repeated(20_000, LATER, *pause)]))
    began = time.monotonic()
    assert text(await call.stream(dify.COMPLETION, {})) == "tea"
    assert time.monotonic() - began < 1


def test_a_transport_of_the_caller_needs_no_connection(server: FaultServer) -> None:
    body = f"data: {delta('tea', 'stop')}\n\ndata: [DONE]\n\n"
    head = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=head, text=body))
    with httpx.Client(transport=transport) as http:
        client = Client(Caller(server.url, is_async=False).settings(http_client=http))
        assert text(list(client.stream(pais.CHAT, "q", MODEL))) == "tea"


async def test_an_async_transport_of_the_caller_needs_no_connection(server: FaultServer) -> None:
    body = f"data: {delta('tea', 'stop')}\n\ndata: [DONE]\n\n"
    head = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=head, text=body))
    async with httpx.AsyncClient(transport=transport) as http:
        client = AsyncClient(Caller(server.url, is_async=True).settings(http_async_client=http))
        assert text([i async for i in client.stream(pais.CHAT, "q", MODEL)]) == "tea"


async def test_an_end_mark_far_before_the_end_of_the_body_keeps_the_connection(
    call: Caller, server: FaultServer
) -> None:
    tail = said("tts_message", audio="a" * 1000)
    server.replies(sse_reply(said("message", answer="tea"), said("message_end"), *[tail] * 20))
    await call.stream(dify.COMPLETION, {})
    first = set(server._connections)
    await call.stream(dify.COMPLETION, {})
    assert set(server._connections) == first


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_client_of_the_caller_is_used_and_left_open(server: FaultServer, library: str) -> None:
    server.replies(WHOLE, STREAM, Reply(raw=b"", end="reset"))
    http = pytest.importorskip(library).Client(headers={"X-Mine": "1"}, trust_env=False)
    client = Client(Caller(server.url, is_async=False).settings(http_client=http))
    client.complete(pais.CHAT, "q", MODEL)
    list(client.stream(pais.CHAT, "q", MODEL))
    with pytest.raises(errors.ServiceConnectionError):
        client.complete(pais.CHAT, "q", MODEL)
    client.close()
    assert {request.headers["x-mine"] for request in server.requests} == {"1"}
    assert not http.is_closed
    http.close()


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
async def test_an_async_client_of_the_caller_is_used_and_left_open(
    server: FaultServer, library: str
) -> None:
    server.replies(WHOLE, STREAM, Reply(raw=b"", end="reset"))
    http = pytest.importorskip(library).AsyncClient(headers={"X-Mine": "1"}, trust_env=False)
    client = AsyncClient(Caller(server.url, is_async=True).settings(http_async_client=http))
    await client.complete(pais.CHAT, "q", MODEL)
    assert [i async for i in client.stream(pais.CHAT, "q", MODEL)]
    with pytest.raises(errors.ServiceConnectionError):
        await client.complete(pais.CHAT, "q", MODEL)
    await client.close()
    assert {request.headers["x-mine"] for request in server.requests} == {"1"}
    assert not http.is_closed
    await http.aclose()


async def test_a_client_that_follows_redirects_does_not_do_so_here(server: FaultServer) -> None:
    server.replies(Reply(status=307, headers={"location": "/other"}, framing="length"), WHOLE)
    with httpx.Client(follow_redirects=True, trust_env=False) as http:
        client = Client(Caller(server.url, is_async=False).settings(http_client=http))
        with pytest.raises(errors.StatusError, match="/other"):
            client.complete(pais.CHAT, "q", MODEL)
    assert len(server.requests) == 1


async def drop_sync(settings: Settings) -> None:
    Client(settings).complete(pais.CHAT, "q", MODEL)


async def drop_async(settings: Settings) -> None:
    await AsyncClient(settings).complete(pais.CHAT, "q", MODEL)
    gc.collect()
    await asyncio.sleep(0.05)


async def drop_with_loop(settings: Settings) -> None:
    await AsyncClient(settings).complete(pais.CHAT, "q", MODEL)


async def drop_stream(settings: Settings) -> None:
    increments = AsyncClient(settings).stream(pais.CHAT, "q", MODEL)
    await anext(increments)


@pytest.mark.parametrize("drop", [drop_sync, drop_async, drop_with_loop, drop_stream])
def test_a_dropped_client_leaves_nothing_open(
    server: FaultServer, drop: Callable[[Settings], Awaitable[None]]
) -> None:
    server.replies(ENDLESS if drop is drop_stream else WHOLE)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        asyncio.run(drop(Caller(server.url, is_async=True).settings()))  # type: ignore[arg-type]
        gc.collect()
    assert [str(w.message) for w in caught] == []
    assert server.wait_closed(0.5)


# Read-only operations


MODELS = {"data": [{"id": "m", "created": 5, "owned_by": "me", "context_length": 9, "kind": "k"}]}


async def models(caller: Caller, **fields: Any) -> Any:
    client = caller.open(fireworks.CHAT, fields)
    if isinstance(client, AsyncClient):
        return await client.fetch(fireworks.MODELS)
    return await asyncio.to_thread(client.fetch, fireworks.MODELS)


async def test_models_are_listed(call: Caller, server: FaultServer) -> None:
    server.replies(refusal(500), json_reply(MODELS))
    (model,) = await models(call)
    assert (model.id, model.created, model.owned_by, model.context_length) == ("m", 5, "me", 9)
    assert model.metadata == {"kind": "k"}
    assert [(r.method, r.path, r.body) for r in server.requests] == [("GET", "/models", b"")] * 2


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (json_reply({"data": 7}), errors.MalformedResponseError),
        (Reply(body=b"<title>Hi</title>"), errors.MalformedResponseError),
        (json_reply({}, 404), errors.NotFoundError),
        (Reply(body=b'{"data"', end="cut"), errors.ServiceConnectionError),
    ],
)
async def test_a_list_that_is_none(
    call: Caller, server: FaultServer, reply: Reply, kind: type[errors.ServiceError]
) -> None:
    server.replies(reply)
    with pytest.raises(kind) as caught:
        await models(call, max_retries=0)
    assert caught.value.service == "fireworks"
    assert caught.value.attempts == 1


# Shapes of the answer


async def test_stop_sequences_are_cut_here_where_the_service_has_none(
    call: Caller, server: FaultServer
) -> None:
    server.replies(sse_reply(delta("one E"), delta("ND two", "length")))
    increments = await call.stream(perplexity.CHAT, {**MODEL, "stop": "END"})
    assert text(increments) == "one "
    assert increments[-1].finish_reason == "stop"
    assert "stop" not in server.requests[0].json()


async def test_reasoning_is_split_from_the_answer(call: Caller, server: FaultServer) -> None:
    server.replies(sse_reply(delta("<thi"), delta("nk>why</think>"), delta("so", "stop")))
    increments = await call.stream()
    assert text(increments) == "so"
    assert "".join(i.choice.reasoning for i in increments) == "why"


async def test_an_error_hands_over_what_was_held_back(call: Caller, server: FaultServer) -> None:
    server.replies(sse_reply(delta("<think>why</think>one EN"), end="cut"))
    with pytest.raises(errors.IncompleteStreamError) as caught:
        await call.stream(perplexity.CHAT, {**MODEL, "stop": ["END"]})
    assert caught.value.partial is not None
    assert caught.value.partial_text == "one EN"
    assert caught.value.partial.choice.reasoning == "why"


async def test_a_call_may_add_to_the_body(call: Caller, server: FaultServer) -> None:
    server.replies(WHOLE)
    await call.whole(
        values={**MODEL, "extra_body": {"seed": 2, "b": 2}}, extra_body={"a": 1, "b": 1}
    )
    body = server.requests[0].json()
    assert (body["a"], body["b"], body["seed"]) == (1, 2, 2)


async def test_a_service_that_only_streams_is_asked_for_a_stream(
    call: Caller, server: FaultServer
) -> None:
    server.replies(STREAM, WHOLE)
    long = await call.whole(fireworks.CHAT, {**MODEL, "max_tokens": 4097})
    short = await call.whole(fireworks.CHAT, {**MODEL, "max_tokens": 4096})
    assert (long.text, short.text) == ("tea", "tea")
    assert [r.json().get("stream", False) for r in server.requests] == [True, False]


async def test_an_error_hands_over_the_calls_that_had_come(
    call: Caller, server: FaultServer
) -> None:
    def piece(arguments: str) -> str:
        function = {"name": "brew", "arguments": arguments}
        calls = [{"index": 0, "id": "c1", "function": function}]
        return json.dumps({"choices": [{"delta": {"tool_calls": calls}}]})

    server.replies(sse_reply(piece('{"n"'), piece(":1}"), end="cut"))
    with pytest.raises(errors.IncompleteStreamError) as caught:
        await call.stream(fireworks.CHAT)
    assert caught.value.partial is not None
    (made,) = caught.value.partial.choice.tool_calls
    assert (made.name, made.arguments) == ("brew", '{"n":1}')


def line(content: str, finish_reason: str | None = None) -> str:
    choice = {"message": {"content": content}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]})


def piece(content: str, finish_reason: str | None = None) -> str:
    choice = {"delta": {"content": content}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]})


MODES: list[tuple[str | None, list[str], str]] = [
    (None, [line("te"), line("tea"), line("teapot", "stop")], "teapot"),
    (None, [line("te"), line("apot"), line("", "stop")], "teapot"),
    (None, [line("te"), line("a"), line("tea", "stop")], "tea"),
    (None, [line("tea"), line("tea", "stop")], "tea"),
    (None, [line("ha"), line("haha"), line("haha", "stop")], "haha"),
    (None, [piece("te"), piece("a"), piece("", "stop")], "tea"),
    ("delta", [line("ha"), line("haha"), line("", "stop")], "hahaha"),
    ("delta", [line("tea"), line("tea", "stop")], "teatea"),
    ("cumulative", [line("ha"), line("haha"), line("haha", "stop")], "haha"),
    ("cumulative", [piece("te"), piece("a", "stop")], "tea"),
]


@pytest.mark.parametrize(("mode", "lines", "expected"), MODES)
async def test_lines_hold_pieces_or_all_text_so_far(
    call: Caller, server: FaultServer, mode: str | None, lines: list[str], expected: str
) -> None:
    body = [f"{one}\n".encode() for one in lines]
    server.replies(Reply(content_type="text/plain", body=body))
    values = {"stream_content": mode}
    assert text(await call.stream(qaip.COMPLETIONS, values)) == expected


async def test_a_custom_event_is_kept(call: Caller, server: FaultServer) -> None:
    events = [
        {"type": "CUSTOM", "name": "retrieved", "value": [1]},
        {"type": "CUSTOM", "name": "retrieved", "value": [2]},
        {"type": "CUSTOM", "name": "redaction_applied", "value": {"n": 1}},
        {"type": "CUSTOM", "value": 7},
        {"type": "CUSTOM", "name": "citations", "value": [{"url": "u", "text": "t"}]},
        {"type": "UNKNOWN", "value": 7},
        {"type": "TEXT_MESSAGE_CHUNK", "delta": "tea[1]"},
        {"type": "RUN_FINISHED", "result": {"conversationId": "c1"}},
    ]
    server.replies(sse_reply(*map(json.dumps, events)))
    increments = await call.stream(qaip.COMPLETIONS, {})
    final = increments[-1]
    assert text(increments) == "tea[1]"
    assert final.metadata["retrieved"] == [1, 2]
    assert final.metadata["redaction_applied"] == {"n": 1}
    assert final.metadata["conversation_id"] == "c1"
    assert [(c.url, c.spans[0].start) for c in final.citations] == [("u", 3)]


def test_a_source_tree_that_is_not_installed_has_a_name(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", unknown)
    version.cache_clear()
    server.replies(WHOLE)
    client = Client(Caller(server.url, is_async=False).settings())
    client.complete(pais.CHAT, "q", MODEL)
    client.close()
    version.cache_clear()
    assert server.requests[0].headers["user-agent"] == "qaip-integrations/0"


def serve_and_hang_up(listener: socket.socket, delay: float) -> None:
    """Answer each connection once, in keep-alive, and close it a moment later."""
    body = b'{"choices":[{"index":0,"message":{"content":"tea"},"finish_reason":"stop"}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(65536):
                    connection.sendall(head % len(body) + body)
                    time.sleep(delay)


async def test_a_kept_connection_that_the_server_has_left_is_replaced(call: Caller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve_and_hang_up, args=(listener, 0.002), daemon=True)
        server.start()
        call.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(4):
            assert (await call.whole(max_retries=0)).text == "tea"  # it does not count
        await call.close()
        listener.shutdown(socket.SHUT_RDWR)
        server.join()


class Broken(httpx.BaseTransport):
    """A transport of the user's own, of which nothing is known."""

    tries = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.tries += 1
        raise httpx.ReadError("reset after sending")


def test_nothing_is_repeated_on_a_guess_about_the_connection() -> None:
    transport = Broken()
    with httpx.Client(transport=transport) as http:
        fields: Any = {"api_key": "k1", "base_url": "http://127.0.0.1:1", "http_client": http}
        client = Client(Connection(**fields).settings(pais.PAIS))
        with pytest.raises(errors.ServiceConnectionError):
            client.complete(pais.CHAT, "q", MODEL)
    assert transport.tries == 1


class Wire:
    """A connection, as httpx's own transports show theirs."""

    def read(self, size: int, timeout: float | None = None) -> bytes:
        assert timeout is not None
        return b""


class Shared(httpx.BaseTransport):
    """Answers over one connection, which is free with the last byte of an answer."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.then: list[Callable[[], Any]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        media = {"content-type": "text/event-stream"}
        wire = {"network_stream": self.wire}
        return httpx.Response(200, headers=media, extensions=wire, stream=Passing(self.then))


class Passing(httpx.SyncByteStream):
    def __init__(self, then: list[Callable[[], Any]]) -> None:
        self._then = then

    def __iter__(self) -> Iterator[bytes]:
        yield f"data: {delta('tea', 'stop')}\n\ndata: [DONE]\n\n".encode()
        while self._then:
            self._then.pop()()


def test_a_connection_may_be_taken_up_before_its_last_reader_has_left() -> None:
    shared = Shared()
    with httpx.Client(transport=shared) as http, ThreadPoolExecutor() as threads:
        client = Client(Caller("http://127.0.0.1:1", is_async=False).settings(http_client=http))

        def ask() -> str:
            return text(list(client.stream(pais.CHAT, "q", MODEL)))

        shared.then.append(lambda: threads.submit(ask).result())
        assert ask() == "tea"
        assert shared.then == []
