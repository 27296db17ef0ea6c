"""Operations that answer with data keep the same promises as answers: errors, retries, secrets."""

import asyncio
import gc
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import httpx
import pytest

from qaip_core import AsyncClient, Client, ServiceError, errors
from qaip_core.backends import dify, qaip
from qaip_core.backends.dify import app, conversations, datasets, files
from qaip_core.errors import InvalidParameterError
from qaip_core.knowledge import KnowledgeBase
from support.backends import KEY, settings
from support.fault_server import FaultServer, Reply, html_reply, json_reply
from support.faults.handed import NOWHERE
from support.operations import ASKED, UUID, Asked, declared
from support.replay import Played, Replay
from support.right_bodies import changed, places

every = pytest.mark.parametrize("asked", ASKED, ids=repr)
both_lanes = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def right(asked: Asked) -> Reply:
    """The answer that the operation expects."""
    if asked.body is None:
        return Reply(status=204, content_type=None, framing="close")
    return json_reply(asked.body)


async def ask(asked: Asked, server: FaultServer, *, is_async: bool, **fields: Any) -> Any:
    """Ask once, with a client of its own."""
    known = settings(asked.operation, server.url, **fields)
    if is_async:
        client = AsyncClient(known)
        try:
            return await client.fetch(asked.operation, asked.values)
        finally:
            await client.close()
    blocking = Client(known)
    try:
        return await asyncio.to_thread(blocking.fetch, asked.operation, asked.values)
    finally:
        blocking.close()


def test_every_operation_is_asked_here() -> None:
    known = {id(asked.operation) for asked in ASKED}
    assert [repr(o.path) for o in declared() if id(o) not in known] == []


@every
async def test_an_answer_means_the_same_sync_and_async(asked: Asked, server: FaultServer) -> None:
    server.reset()
    server.replies(right(asked))
    found = [await ask(asked, server, is_async=is_async) for is_async in (False, True)]
    assert found[0] == found[1]
    first, second = server.requests
    assert (first.method, first.path) == (second.method, second.path)
    assert first.method == asked.operation.method
    assert "{" not in first.path


STATUSES: Mapping[int, type[ServiceError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.ServerError,
    503: errors.ServerError,
}


@both_lanes
@every
async def test_a_status_is_a_typed_error_that_tells_where_it_came_from(
    asked: Asked, is_async: bool, server: FaultServer
) -> None:
    for status, kind in STATUSES.items():
        server.reset()
        reply = json_reply({"message": "no tea today"}, status, x_request_id="r-1")
        server.replies(reply)
        with pytest.raises(kind) as caught:
            await ask(asked, server, is_async=is_async)
        error = caught.value
        assert "no tea today" in str(error)
        assert (error.status, error.request_id, error.attempts) == (status, "r-1", 1)
        assert error.service == asked.operation.backend.name


PASSING: Sequence[tuple[str, Reply]] = [
    ("an overload", json_reply({}, 503, retry_after_ms="1")),
    ("a limit", json_reply({}, 429, retry_after_ms="1")),
]


@both_lanes
@every
async def test_what_may_pass_is_asked_again(
    asked: Asked, is_async: bool, server: FaultServer
) -> None:
    for _, reply in PASSING:
        server.reset()
        server.replies(reply, right(asked))
        await ask(asked, server, is_async=is_async, max_retries=1)
        first, second = server.requests
        same = first.body == second.body or b"boundary" in first.headers["content-type"].encode()
        assert same
        assert first.path == second.path


@both_lanes
async def test_only_what_is_safe_is_asked_again_when_no_answer_came(is_async: bool) -> None:
    """All side by side, since each waits."""

    async def asks_again(asked: Asked) -> bool:
        with FaultServer() as own:
            own.replies(Reply(raw=b"", end="reset"), right(asked))
            is_safe = asked.operation.is_safe
            raises = nullcontext() if is_safe else pytest.raises(errors.ServiceConnectionError)
            with raises:
                await ask(asked, own, is_async=is_async, max_retries=1)
            return len(own.requests) == 2

    repeated = await asyncio.gather(*map(asks_again, ASKED))
    assert dict(zip(map(repr, ASKED), repeated, strict=True)) == {
        repr(asked): asked.operation.is_safe for asked in ASKED
    }


WRONG: Mapping[str, Callable[[Any], Reply]] = {
    "a page": lambda _: html_reply(200),
    "half an answer": lambda body: Reply(body=json.dumps(body).encode()[:-2]),
    "a number": lambda _: json_reply(5),
    "a text": lambda _: json_reply("tea"),
}


@both_lanes
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("asked", [a for a in ASKED if a.body is not None], ids=repr)
async def test_a_success_that_is_none_is_malformed(
    asked: Asked, wrong: str, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(WRONG[wrong](asked.body))
    with pytest.raises(errors.MalformedResponseError):
        await ask(asked, server, is_async=is_async)


JSON = [("content-type", "application/json")]
OTHER: Sequence[Any] = (None, "", "x", 5, -1, 0.5, True, [], {}, [None], ["x"], [{}], {"x": None})


@pytest.mark.parametrize("asked", [a for a in ASKED if a.body is not None], ids=repr)
def test_a_body_of_another_shape_is_read_or_a_typed_error(asked: Asked) -> None:
    """Each place in it holds what it never should; over sockets that would take long."""
    replay = Replay()
    client = Client(settings(asked.operation, NOWHERE, **replay.fields))
    for body in (changed(asked.body, at, o) for at in places(asked.body) for o in OTHER):
        replay.play(Played(200, JSON, [json.dumps(body).encode()]))
        with suppress(errors.MalformedResponseError, errors.ServerReportedError):
            client.fetch(asked.operation, asked.values)


@both_lanes
@every
async def test_the_key_is_in_its_header_and_nowhere_else(
    asked: Asked, is_async: bool, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.reset()
    server.replies(json_reply({"error": {"message": f"wrong {KEY}", "list": [KEY]}}, 401))
    with caplog.at_level(logging.DEBUG), pytest.raises(ServiceError) as caught:
        await ask(asked, server, is_async=is_async)
    (request,) = server.requests
    assert sum(KEY in value for value in request.headers.values()) == 1
    assert KEY not in request.path
    assert KEY.encode() not in request.body
    assert KEY not in "".join((str(caught.value), repr(caught.value.body), caplog.text))


@both_lanes
@every
async def test_a_redirect_is_not_followed(
    asked: Asked, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(Reply(status=307, headers={"location": f"{server.url}/elsewhere"}))
    with pytest.raises(ServiceError, match="base_url"):
        await ask(asked, server, is_async=is_async)
    assert len(server.requests) == 1


IN_PATHS = [
    (asked, name)
    for asked in ASKED
    for name in asked.values
    if f"{{{name}}}" in asked.operation.path
]


@pytest.mark.parametrize(("asked", "name"), IN_PATHS, ids=repr)
def test_an_id_leads_to_no_other_path(asked: Asked, name: str, server: FaultServer) -> None:
    server.reset()
    client = Client(settings(asked.operation, server.url))
    try:
        for wrong in ("", ".", "..", None):
            with pytest.raises(InvalidParameterError):
                client.fetch(asked.operation, {**asked.values, name: wrong})
        assert server.requests == []
        server.replies(json_reply({}, 404))
        try:
            client.fetch(asked.operation, {**asked.values, name: "../a/b?c=d#e"})
        except InvalidParameterError:
            return  # it must be a UUID, or the like
        except ServiceError:
            (request,) = server.requests
            assert "%2Fa%2Fb%3Fc%3Dd%23e" in request.path
    finally:
        client.close()


@both_lanes
@pytest.mark.parametrize("asked", [a for a in ASKED if a.operation is not files.UPLOAD], ids=repr)
async def test_what_is_not_modelled_yet_is_sent(
    asked: Asked, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(right(asked))
    later = replace(asked, values={**asked.values, "extra_body": {"later": "at last"}})
    await ask(later, server, is_async=is_async)
    (request,) = server.requests
    if asked.operation.method in ("GET", "DELETE"):
        assert "later=at+last" in request.path
        assert request.body == b""
    else:
        assert request.json()["later"] == "at last"


IN_URLS = [
    *((asked, name) for asked, name in IN_PATHS if asked.operation.backend is not qaip.QAIP),
    *((Asked(conversations.CONVERSATIONS, {}), name) for name in ("last_id", "user")),
]


@pytest.mark.parametrize(("asked", "name"), IN_URLS, ids=repr)
def test_half_of_a_character_cannot_stand_in_a_url(asked: Asked, name: str) -> None:
    client = Client(settings(asked.operation, NOWHERE))
    with pytest.raises(InvalidParameterError, match=r"character|unicode"):
        client.fetch(asked.operation, {**asked.values, name: "\ud800"})


def test_the_ids_in_urls_are_not_kept(server: FaultServer) -> None:
    """Requests are made like earlier ones: of a thousand rated messages none must stay."""
    server.reset()
    server.replies(*[json_reply({})] * 40)
    client = Client(settings(app.FEEDBACK, server.url))
    try:
        for number in range(40):
            client.fetch(app.FEEDBACK, {"message_id": f"m-{number}", "rating": "like"})
        gc.collect()
        known = [o for o in gc.get_objects() if isinstance(o, httpx.Request)]
        assert len([request for request in known if "/feedbacks" in str(request.url)]) < 20
    finally:
        client.close()


@pytest.mark.parametrize("wrong", [5, "x", [1]], ids=repr)
def test_what_is_not_modelled_yet_comes_as_a_dict(wrong: Any) -> None:
    known: dict[str, Any] = {"api_key": KEY, "base_url": NOWHERE}
    base = KnowledgeBase(knowledge_base_id="k", index_id="i", **known)
    client = Client(settings(app.INFO, NOWHERE))
    with pytest.raises(InvalidParameterError, match="extra_body"):
        base.search("q", extra_body=wrong)
    with pytest.raises(InvalidParameterError, match="extra_body"):
        client.fetch(app.INFO, {"extra_body": wrong})
    with pytest.raises(InvalidParameterError, match="extra_body"):
        client.complete(dify.COMPLETION, "q", {"extra_body": wrong})


@pytest.mark.parametrize("name", ["temperature", "stop", "model"])
def test_a_parameter_of_models_is_none_of_a_search(name: str) -> None:
    client = Client(settings(datasets.RETRIEVE, NOWHERE))
    with pytest.raises(InvalidParameterError, match="has no parameter") as caught:
        client.fetch(datasets.RETRIEVE, {"dataset_id": UUID, "query": "q", name: "x"})
    assert "temperature," not in str(caught.value)
