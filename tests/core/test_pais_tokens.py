"""Short-lived keys: asked anew after a 401, once; tokens of a provider: kept for a while."""

import asyncio
import ssl
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme

from qaip_core import AsyncClient, Client, Connection, errors
from qaip_core.backends import pais
from qaip_core.backends.pais import listing
from qaip_core.tokens import OpenIDToken
from qaip_core.types import add_up
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

SECRET = "s3cr3t-0f-cl13nt"
REALM = "/realms/tea"
ANSWER = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})
STREAM = sse_reply(
    '{"choices": [{"index": 0, "delta": {"content": "tea"}, "finish_reason": "stop"}]}', "[DONE]"
)
REFUSED = json_reply({"detail": "The access token has expired"}, 401)
Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def provider() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


class Keys:
    """A source of keys that keeps the last one until it is told to forget it."""

    def __init__(self) -> None:
        self.made = 0
        self.kept: str | None = None

    def __call__(self) -> str:
        if self.kept is None:
            self.made += 1
            self.kept = f"key-{self.made}"
        return self.kept

    def forget(self) -> None:
        self.kept = None


def complete(client: Client) -> Any:
    return client.complete(pais.CHAT, "q", {"model": "m"}).text


def stream(client: Client) -> Any:
    return add_up(client.stream(pais.CHAT, "q", {"model": "m"})).text


def fetch(client: Client) -> Any:
    return client.fetch(listing.MODELS)[0].id


async def acomplete(client: AsyncClient) -> Any:
    return (await client.complete(pais.CHAT, "q", {"model": "m"})).text


async def astream(client: AsyncClient) -> Any:
    return add_up([i async for i in client.stream(pais.CHAT, "q", {"model": "m"})]).text


async def afetch(client: AsyncClient) -> Any:
    return (await client.fetch(listing.MODELS))[0].id


MODELS = json_reply({"data": [{"id": "tea"}]})
WAYS: Mapping[str, tuple[Any, Any, Reply]] = {
    "whole": (complete, acomplete, ANSWER),
    "stream": (stream, astream, STREAM),
    "operation": (fetch, afetch, MODELS),
}
every_way = pytest.mark.parametrize(("ask", "aask", "reply"), WAYS.values(), ids=WAYS.keys())


def settings(server: FaultServer, key: Any, **more: Any) -> Any:
    return Connection(api_key=key, base_url=server.url, **more).settings(pais.PAIS)


def shown(server: FaultServer) -> list[str]:
    return [request.headers["authorization"] for request in server.requests]


@every_way
async def test_a_key_that_is_refused_is_asked_for_anew_and_forced(
    server: FaultServer, ask: Any, aask: Any, reply: Reply
) -> None:
    keys = Keys()
    server.replies(REFUSED, reply, REFUSED, reply)
    with closing(Client(settings(server, keys, max_retries=0))) as client:
        assert ask(client) == "tea"
    other = AsyncClient(settings(server, keys, max_retries=0))
    assert await aask(other) == "tea"
    await other.close()
    assert shown(server) == ["Bearer key-1", "Bearer key-2", "Bearer key-2", "Bearer key-3"]


@every_way
async def test_that_is_done_once(server: FaultServer, ask: Any, aask: Any, reply: Reply) -> None:
    keys = Keys()
    server.replies(REFUSED, REFUSED, reply)
    with (
        closing(Client(settings(server, keys))) as client,
        pytest.raises(errors.AuthenticationError) as caught,
    ):
        ask(client)
    assert (caught.value.attempts, keys.made) == (2, 2)
    server.reset()
    server.replies(REFUSED, REFUSED, reply)
    other = AsyncClient(settings(server, keys))
    with pytest.raises(errors.AuthenticationError):
        await aask(other)
    await other.close()
    assert len(server.requests) == 2


def test_a_plain_key_that_is_refused_is_not_tried_again(server: FaultServer) -> None:
    server.replies(REFUSED)
    with (
        closing(Client(settings(server, "key-of-mine"))) as client,
        pytest.raises(errors.AuthenticationError, match="PAIS_API_KEY"),
    ):
        complete(client)
    assert len(server.requests) == 1


async def test_async_calls_await_the_source_s_own_way(server: FaultServer) -> None:
    class Both(Keys):
        async def acall(self) -> str:
            await asyncio.sleep(0)
            return "key-awaited"

    server.replies(ANSWER)
    client = AsyncClient(settings(server, Both()))
    await acomplete(client)
    await client.close()
    assert shown(server) == ["Bearer key-awaited"]


# Tokens of a provider


def found(provider: FaultServer, **more: Any) -> Reply:
    return json_reply({"issuer": "x", "token_endpoint": f"{provider.url}/token", **more})


def granted(token: str, **more: Any) -> Reply:
    return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": 300, **more})


def token_of(provider: FaultServer, **fields: Any) -> OpenIDToken:
    given = {"client_secret": SECRET, "max_retries": 0, "timeout": 5, **fields}
    return OpenIDToken(provider.url + REALM, "tea-client", **given)


@pytest.fixture(params=["sync", "async"])
def asked(request: pytest.FixtureRequest) -> Callable[[OpenIDToken], Awaitable[str]]:
    """Asks for a token, sync or async."""

    async def ask(token: OpenIDToken) -> str:
        return token() if request.param == "sync" else await token.acall()

    return ask


def forms(provider: FaultServer) -> list[dict[str, str]]:
    return [
        {name: value for name, (value,) in parse_qs(request.body.decode()).items()}
        for request in provider.requests
        if request.method == "POST"
    ]


async def test_a_client_gets_a_token_for_itself(provider: FaultServer, asked: Ask) -> None:
    provider.replies(found(provider), granted("tok-1"))
    token = token_of(provider)
    assert await asked(token) == "tok-1"
    discovery, request = provider.requests
    assert (discovery.method, discovery.path) == (
        "GET",
        f"{REALM}/.well-known/openid-configuration",
    )
    assert (request.method, request.path) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert forms(provider) == [
        {
            "grant_type": "client_credentials",
            "client_id": "tea-client",
            "client_secret": SECRET,
        }
    ]
    await token.aclose()


async def test_a_user_gets_a_token_by_a_password(provider: FaultServer, asked: Ask) -> None:
    provider.replies(granted("tok-1"))
    token = token_of(
        provider,
        client_secret=None,
        username="ann",
        password="p&ss wörd",
        token_url=f"{provider.url}/token",
    )
    assert await asked(token) == "tok-1"
    assert forms(provider) == [
        {
            "grant_type": "password",
            "client_id": "tea-client",
            "username": "ann",
            "password": "p&ss wörd",
            "scope": "openid profile",
        }
    ]
    await token.aclose()


async def test_a_token_is_kept_until_shortly_before_its_end(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(found(provider), granted("tok-1", expires_in=0.2), granted("tok-2"))
    token = token_of(provider)
    assert [await asked(token), await asked(token)] == ["tok-1", "tok-1"]
    await asyncio.sleep(0.2)
    assert [await asked(token), await asked(token)] == ["tok-2", "tok-2"]
    assert len(provider.requests) == 3
    await token.aclose()


@pytest.mark.parametrize("life", [None, "300", "soon"], ids=str)
async def test_a_token_without_a_clear_end_is_kept_too(
    provider: FaultServer, asked: Ask, life: Any
) -> None:
    provider.replies(found(provider), granted("tok-1", expires_in=life))
    token = token_of(provider)
    assert [await asked(token), await asked(token)] == ["tok-1", "tok-1"]
    await token.aclose()


async def test_a_token_that_is_forgotten_is_asked_for_anew(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(found(provider), granted("tok-1"), granted("tok-2"))
    token = token_of(provider)
    assert await asked(token) == "tok-1"
    token.forget()
    assert await asked(token) == "tok-2"
    await token.aclose()


async def test_the_next_token_is_asked_for_with_the_refresh_token_that_came(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(found(provider), granted("tok-1", refresh_token="re-1"), granted("tok-2"))
    token = token_of(provider, username="ann", password="pw")
    await asked(token)
    token.forget()
    assert await asked(token) == "tok-2"
    first, second = forms(provider)
    assert (first["grant_type"], second["grant_type"]) == ("password", "refresh_token")
    assert (second["refresh_token"], "password" in second) == ("re-1", False)
    await token.aclose()


async def test_a_refresh_token_that_has_expired_gives_way_to_the_password(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(
        found(provider),
        granted("tok-1", refresh_token="re-1"),
        json_reply({"error": "invalid_grant", "error_description": "Token is not active"}, 400),
        granted("tok-2"),
    )
    token = token_of(provider, username="ann", password="pw")
    await asked(token)
    token.forget()
    assert await asked(token) == "tok-2"
    assert [form["grant_type"] for form in forms(provider)] == [
        "password",
        "refresh_token",
        "password",
    ]
    await token.aclose()


async def test_with_a_refresh_token_alone_nobody_else_is_asked_for(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(found(provider), json_reply({"error": "invalid_grant"}, 400))
    token = token_of(provider, refresh_token="re-0")
    with pytest.raises(errors.AuthenticationError, match="sign in again"):
        await asked(token)
    assert [form["grant_type"] for form in forms(provider)] == ["refresh_token"]
    await token.aclose()


FAILURES: Mapping[str, tuple[list[Reply], type[errors.ServiceError], str]] = {
    "a wrong secret": (
        [json_reply({"error": "invalid_client"}, 401)],
        errors.AuthenticationError,
        "client_secret",
    ),
    "another grant": (
        [json_reply({"error": "unsupported_grant_type"}, 400)],
        errors.AuthenticationError,
        "does not offer this grant",
    ),
    "no such path": (
        [Reply(status=404, framing="length")],
        errors.NotFoundError,
        "Check the issuer or token_url",
    ),
    "no token": ([json_reply({"id_token": "x"})], errors.MalformedResponseError, "access_token"),
    "broken": ([json_reply({}, 500)], errors.ServerError, "500"),
}


@pytest.mark.parametrize(("replies", "error", "words"), FAILURES.values(), ids=FAILURES.keys())
async def test_a_failure_is_typed_and_says_what_to_do(
    provider: FaultServer,
    asked: Ask,
    replies: list[Reply],
    error: type[errors.ServiceError],
    words: str,
) -> None:
    provider.replies(found(provider), *replies)
    token = token_of(provider)
    with pytest.raises(error, match=words) as caught:
        await asked(token)
    assert caught.value.service == "openid"
    await token.aclose()


async def test_secrets_are_not_shown(provider: FaultServer, asked: Ask) -> None:
    echo = json_reply({"error": f"invalid_client {SECRET} pw-0f-ann"}, 401)
    provider.replies(found(provider), echo, granted("tok-1"))
    token = token_of(provider, username="ann", password="pw-0f-ann")
    with pytest.raises(errors.AuthenticationError) as caught:
        await asked(token)
    await asked(token)
    told = f"{caught.value!r} {vars(caught.value)} {token!r}"
    assert SECRET not in told
    assert "pw-0f-ann" not in told
    assert "tok-1" not in repr(token)
    await token.aclose()


@pytest.mark.parametrize("reply", [json_reply({}, 500), Reply(end="reset", raw=b"HTTP/1.1 2")])
async def test_a_traceback_with_the_values_of_its_frames_shows_no_secrets(
    provider: FaultServer, asked: Ask, reply: Reply
) -> None:
    provider.replies(found(provider), reply)
    token = token_of(provider, username="ann", password="pw-0f-ann")
    with pytest.raises(errors.ServiceError) as caught:
        await asked(token)
    trace = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [f"{frame.locals}" for frame in trace.stack if "/qaip_core/" in frame.filename]
    assert len(ours) > 2
    assert SECRET not in " ".join(ours)
    assert "pw-0f-ann" not in " ".join(ours)
    await token.aclose()


def test_a_body_with_a_token_is_not_shown_where_it_is_of_another_shape(
    provider: FaultServer,
) -> None:
    provider.replies(found(provider), json_reply({"access_token": ["tok-1"]}))
    with (
        closing(token_of(provider)) as token,
        pytest.raises(errors.MalformedResponseError) as caught,
    ):
        token()
    assert "tok-1" not in f"{caught.value!r} {vars(caught.value)}"


WRONG: Mapping[str, tuple[dict[str, Any], str]] = {
    "no client": ({"issuer": "https://id.example"}, "client_id"),
    "no provider": ({"client_id": "c", "client_secret": "s"}, "issuer"),
    "nothing to ask with": ({"issuer": "https://id.example", "client_id": "c"}, "client_secret"),
    "half a user": (
        {"issuer": "https://id.example", "client_id": "c", "username": "ann"},
        "come together",
    ),
    "clear text": (
        {"issuer": "http://id.example", "client_id": "c", "client_secret": "s"},
        "clear text",
    ),
    "a query": (
        {"issuer": "https://id.example?x=1", "client_id": "c", "client_secret": "s"},
        "query",
    ),
    "no time": (
        {"issuer": "https://id.example", "client_id": "c", "client_secret": "s", "timeout": -1},
        "timeout",
    ),
    "no certificates": (
        {"issuer": "https://id.example", "client_id": "c", "client_secret": "s", "verify": "/no"},
        "verify",
    ),
}


@pytest.mark.parametrize(("given", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_work_is_refused_at_once(given: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=words):
        OpenIDToken(**given)


async def test_a_provider_that_names_an_open_address_gets_no_secret(
    provider: FaultServer, asked: Ask
) -> None:
    provider.replies(json_reply({"token_endpoint": "http://id.example/token"}))
    token = token_of(provider)
    with pytest.raises(errors.ConfigurationError, match="clear text"):
        await asked(token)
    await token.aclose()


def test_threads_that_need_a_token_at_once_ask_for_it_once(provider: FaultServer) -> None:
    slow = json_reply({"access_token": "tok-1", "expires_in": 300})
    provider.replies(
        found(provider), Reply(body=slow.body, delay=0.1, content_type="application/json")
    )
    got: list[str] = []
    with closing(token_of(provider)) as token:
        threads = [threading.Thread(target=lambda: got.append(token())) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert got == ["tok-1"] * 4
    assert len(provider.requests) == 2


async def test_tasks_that_need_a_token_at_once_ask_for_it_once(provider: FaultServer) -> None:
    provider.replies(found(provider), granted("tok-1"))
    token = token_of(provider)
    assert await asyncio.gather(*(token.acall() for _ in range(4))) == ["tok-1"] * 4
    assert len(provider.requests) == 2
    await token.aclose()


def test_a_token_serves_several_event_loops(provider: FaultServer) -> None:
    provider.replies(found(provider), granted("tok-1"), granted("tok-2"))
    token = token_of(provider)

    async def ask() -> str:
        token.forget()
        got = await asyncio.gather(token.acall(), token.acall())
        await token.aclose()
        return got[0]

    assert [asyncio.run(ask()), asyncio.run(ask())] == ["tok-1", "tok-2"]


async def test_a_service_that_refuses_a_token_gets_the_next_one(
    server: FaultServer, provider: FaultServer
) -> None:
    provider.replies(found(provider), granted("tok-1"), granted("tok-2"))
    server.replies(REFUSED, ANSWER, STREAM)
    token = token_of(provider)
    with closing(Client(settings(server, token))) as client:
        assert [complete(client), stream(client)] == ["tea", "tea"]
    assert shown(server) == ["Bearer tok-1", "Bearer tok-2", "Bearer tok-2"]
    await token.aclose()


async def test_what_the_provider_refuses_is_told_by_the_call(
    server: FaultServer, provider: FaultServer
) -> None:
    refused = json_reply({"error": "invalid_client"}, 401)
    provider.replies(found(provider), refused, refused)
    token = token_of(provider)
    with (
        closing(Client(settings(server, token))) as client,
        pytest.raises(errors.AuthenticationError, match="client_secret"),
    ):
        complete(client)
    other = AsyncClient(settings(server, token))
    with pytest.raises(errors.AuthenticationError, match="client_secret"):
        await acomplete(other)
    assert server.requests == []
    await other.close()
    await token.aclose()


async def test_a_provider_with_a_private_ca_is_trusted_by_its_file(
    asked: Ask, tmp_path: Any
) -> None:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with FaultServer(context) as private:
        private.replies(found(private), granted("tok-1"))
        token = token_of(private, verify=tmp_path / "ca.pem")
        assert await asked(token) == "tok-1"
        stranger = token_of(private)
        with pytest.raises(errors.ServiceConnectionError, match="verify="):
            await asked(stranger)
        await token.aclose()
        await stranger.aclose()
