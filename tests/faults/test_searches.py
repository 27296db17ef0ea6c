"""What asks for data keeps the promises of what asks for words, in both frameworks.

Retrievers, embeddings, rerankers, extractors, tools, workflows, lists: by their public methods.
"""

import asyncio
import json
import logging
import pickle
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.load import dumpd, dumps
from pydantic_core import PydanticSerializationError

import langchain_qaip.errors
from qaip_core import ServiceError, errors
from qaip_core.errors import ConfigurationError
from support.backends import KEY
from support.fault_server import FaultServer, Recorded, Reply, html_reply, json_reply
from support.faults.leaving import AWAITING, in_own_loop, nothing_left
from support.faults.secrets import ECHO, HEADER, SHOWN, Show, forms, holds, with_values
from support.operations import ASKED
from support.searches import CALLS, ONE_OF_EACH, Call, right_reply

T = TypeVar("T")

pytestmark = pytest.mark.usefixtures("_spared")

both_lanes = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def each(calls: Sequence[Call]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", calls, ids=repr)


every = each(CALLS)
one_of_each = each(ONE_OF_EACH)
WITH_BODIES = [c for c in CALLS if right_reply(c).status == 200]


def core_kind(error: BaseException) -> type[BaseException]:
    """The core's class of an error."""
    return next(c for c in type(error).__mro__ if c.__module__ == errors.__name__)


def failed(call: Call, url: str, *, is_async: bool, **fields: Any) -> ServiceError:
    """The error of a call that fails."""
    with pytest.raises(ServiceError) as caught:
        call.ask(url, is_async=is_async, **fields)
    assert isinstance(caught.value, ModelError) is (call.layer == "langchain")
    return caught.value


def key_of(request: Recorded) -> str:
    """The key that a request bears."""
    headers = request.headers
    return headers.get("authorization", headers.get("x-api-key", "")).removeprefix("Bearer ")


def in_turn(items: Iterable[T], count: int, call: Call, *, is_async: bool) -> Sequence[T]:
    """Some of the items, others with each call, so that all of them have their turn."""
    listed = [*items]
    first = CALLS.index(call) + is_async
    return [listed[(first * count + n) % len(listed)] for n in range(count)]


# Answers


@pytest.mark.parametrize("layer", ["langchain", "llama_index"])
def test_every_operation_is_reached_by_both_frameworks(layer: str) -> None:
    reached = {id(call.operation) for call in CALLS if call.layer == layer}
    published = {"langchain": "", "llama_index": " as sent"}[layer]  # for LangChain's only
    missing = [repr(a) for a in ASKED if id(a.operation) not in reached]
    assert [name for name in missing if not published or not name.endswith(published)] == []


@every
def test_a_call_means_the_same_sync_and_async(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(right_reply(call))
    found = [call.ask(server.url, is_async=is_async) for is_async in (False, True)]
    assert found[0] == found[1]
    first, second = server.requests
    assert (first.method, first.path) == (second.method, second.path)
    assert key_of(first) == key_of(second) == KEY


# Refusals

STATUSES: Mapping[int, type[ServiceError]] = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    500: errors.ServerError,
}


@both_lanes
@every
def test_a_refusal_is_an_error_of_the_framework(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    for status, kind in in_turn(STATUSES.items(), 2, call, is_async=is_async):
        server.reset()
        server.replies(json_reply({"message": "no tea today"}, status, x_request_id="r-1"))
        error = failed(call, server.url, is_async=is_async)
        assert core_kind(error) is kind
        assert "no tea today" in str(error)
        assert (error.status, error.request_id, error.attempts) == (status, "r-1", 1)
        assert error.service == call.service
        assert len(server.requests) == 1


def test_every_error_of_the_core_has_its_class_for_langchain() -> None:
    for kind in STATUSES.values():
        assert issubclass(getattr(langchain_qaip.errors, kind.__name__), kind)


# Failures that pass, and such that do not

BUSY: Mapping[str, Reply] = {
    "an overload": json_reply({}, 503, retry_after_ms="1"),
    "a limit": json_reply({}, 429, retry_after_ms="1"),
    "a page of a proxy": html_reply(502, retry_after_ms="1"),
}


@both_lanes
@every
def test_what_may_pass_is_asked_again(call: Call, is_async: bool, server: FaultServer) -> None:
    server.reset()
    server.replies(*BUSY.values(), right_reply(call))
    call.ask(server.url, is_async=is_async, max_retries=3)
    assert len(server.requests) == 4
    assert len({(request.method, request.path) for request in server.requests}) == 1


@both_lanes
@every
def test_a_connection_that_breaks_is_an_error(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(Reply(raw=b"", end="reset"))
    error = failed(call, server.url, is_async=is_async)
    assert core_kind(error) is errors.ServiceConnectionError
    assert len(server.requests) == 1


@both_lanes
@one_of_each
def test_a_service_that_is_not_there_is_named(call: Call, is_async: bool) -> None:
    error = failed(call, "http://127.0.0.1:1", is_async=is_async)
    assert core_kind(error) is errors.ServiceConnectionError
    assert "base_url" in str(error)


@both_lanes
def test_silence_ends_in_time(is_async: bool, server: FaultServer) -> None:
    """All side by side, since each waits."""
    server.reset()
    server.replies(Reply(delay=9))

    def late(call: Call) -> type[BaseException]:
        return core_kind(
            failed(call, server.url, is_async=is_async, timeout={"read": 0.3, "connect": 9})
        )

    with ThreadPoolExecutor(len(CALLS)) as threads:
        kinds = [*threads.map(late, CALLS)]
    assert [
        c for c, k in zip(CALLS, kinds, strict=True) if k is not errors.ServiceTimeoutError
    ] == []


# Successes that are none


def half(call: Call) -> Reply:
    """A right answer of which the end is missing, behind a proxy that hides it."""
    body = right_reply(call).body
    return Reply(body=body[:-2] if isinstance(body, bytes) else body[:-1])


NONE: Mapping[str, tuple[Callable[[Call], Reply], tuple[type[ServiceError], ...]]] = {
    "a page": (lambda _: html_reply(200), (errors.MalformedResponseError,)),
    "half an answer": (half, (errors.MalformedResponseError, errors.IncompleteStreamError)),
    "a number": (lambda _: json_reply(5), (errors.MalformedResponseError,)),
    "nothing": (
        lambda _: json_reply({}),
        (errors.MalformedResponseError, errors.ServerReportedError),
    ),
}
READS_NOTHING = (
    "library.tags",
    "info",
    "parameters",
    "cancel",
    "active_indexing",
    "library.content",
)
"""They are complete without any of their fields, or say so themselves."""


@both_lanes
@each(WITH_BODIES)
def test_a_success_that_is_none_is_malformed(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    for none in in_turn(NONE, 2, call, is_async=is_async):
        if none == "nothing" and call.method in READS_NOTHING:
            continue
        reply, kinds = NONE[none]
        server.reset()
        server.replies(reply(call))
        error = failed(call, server.url, is_async=is_async)
        assert core_kind(error) in kinds
        assert error.service == call.service


# Connections


async def asked_twice(call: Call, url: str) -> None:
    async with call.make(url) as made:
        for _ in range(2):
            await call.aask_of(made)


@both_lanes
@each([c for c in ONE_OF_EACH if c in WITH_BODIES])
def test_an_object_keeps_its_connection_until_it_is_closed(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(right_reply(call))
    with nothing_left(server):
        if is_async:
            in_own_loop(asked_twice(call, server.url))
        else:
            with call.make(server.url) as made:
                for _ in range(2):
                    call.ask_of(made)
    assert len({request.connection for request in server.requests}) == 1


@one_of_each
def test_a_closed_object_can_be_used_again(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(right_reply(call))
    made = call.make(server.url)
    with nothing_left(server):
        for _ in range(2):
            call.ask_of(made)
            made.close()
    assert len(server.requests) == 2


@one_of_each
def test_closing_an_object_ends_its_calls_in_other_threads(call: Call, server: FaultServer) -> None:
    """What is safe may be asked again, but not by an object that was closed."""
    answer = right_reply(call)
    server.reset()
    server.replies(replace(answer, delay=9), answer)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            call.ask_of(made)
        except ServiceError as error:
            caught.append(error)

    with nothing_left(server), call.make(server.url) as made:
        reader = threading.Thread(target=ask)
        reader.start()
        assert server.wait_requests(1, 2)
        made.close()
        reader.join(0.5)
        assert not reader.is_alive()
        assert [core_kind(error) for error in caught] == [errors.ServiceConnectionError]
        call.ask_of(made)


@one_of_each
def test_closing_an_object_ends_its_calls_in_other_tasks(call: Call, server: FaultServer) -> None:
    answer = right_reply(call)
    server.reset()
    server.replies(replace(answer, delay=9), answer)

    async def close() -> None:
        async with call.make(server.url) as made:
            reader = asyncio.create_task(call.aask_of(made))
            assert await asyncio.to_thread(server.wait_requests, 1, 2)
            await made.aclose()
            with pytest.raises(ServiceError) as caught:
                await asyncio.wait_for(reader, 0.5)
            assert core_kind(caught.value) is errors.ServiceConnectionError
            await call.aask_of(made)

    with nothing_left(server):
        in_own_loop(close())


@every
def test_who_stops_waiting_frees_the_connection(call: Call, server: FaultServer) -> None:
    (manner,) = in_turn(AWAITING, 1, call, is_async=True)
    answer = right_reply(call)
    server.reset()
    server.replies(replace(answer, delay=9))

    async def leave() -> None:
        async with call.make(server.url) as made:
            asked = asyncio.to_thread(server.wait_requests, 1)
            await AWAITING[manner](call.aask_of(made), asked)
            assert await asyncio.to_thread(server.wait_closed)
            assert len(server.requests) == 1
            server.replies(answer)
            await call.aask_of(made)

    with nothing_left(server):
        in_own_loop(leave())


@one_of_each
def test_an_object_serves_one_event_loop_after_another(call: Call, server: FaultServer) -> None:
    """It is closed in none of them."""
    server.reset()
    server.replies(right_reply(call))
    made = call.make(server.url)

    async def ask() -> None:
        await call.aask_of(made)

    with nothing_left(server):
        for _ in range(2):
            in_own_loop(ask())
            assert server.wait_closed()
    assert len(server.requests) == 2


@both_lanes
@one_of_each
def test_a_client_that_is_handed_in_is_used_and_left_open(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    httpx = pytest.importorskip("httpx")
    server.reset()
    server.replies(right_reply(call))

    async def ask() -> None:
        async with httpx.AsyncClient(verify=False, headers={"x-mine": "1"}) as http:
            async with call.make(server.url, http_async_client=http) as made:
                await call.aask_of(made)
            assert not http.is_closed

    if is_async:
        asyncio.run(ask())
    else:
        with httpx.Client(verify=False, headers={"x-mine": "1"}) as http:
            with call.make(server.url, http_client=http) as made:
                call.ask_of(made)
            assert not http.is_closed
    assert server.requests[0].headers["x-mine"] == "1"


# Keys


def keys(*names: str) -> Callable[[], str]:
    left = iter(names)
    return lambda: next(left)


@both_lanes
@one_of_each
def test_a_key_that_is_called_for_is_asked_anew_for_each_call(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(right_reply(call), json_reply({}, 401), right_reply(call))
    fields = {"api_key": keys("key-1", "key-2", "key-3")}

    async def ask() -> None:
        async with call.make(server.url, **fields) as made:
            for _ in range(2):
                await call.aask_of(made)

    if is_async:
        asyncio.run(ask())
    else:
        with call.make(server.url, **fields) as made:
            for _ in range(2):
                call.ask_of(made)
    sent = [key_of(request) for request in server.requests]
    assert sent == ["key-1", "key-2", "key-3"]  # the second had expired


@one_of_each
def test_a_key_may_come_from_a_coroutine(call: Call, server: FaultServer) -> None:
    async def fresh() -> str:
        return "key-1"

    server.reset()
    server.replies(right_reply(call))
    call.ask(server.url, is_async=True, api_key=fresh)
    assert key_of(server.requests[0]) == "key-1"


# Secrets

FOR_LAYER: Mapping[str, Mapping[str, Show]] = {
    "langchain": {"dumps": dumps, "dumpd": dumpd},
    "llama_index": {"to_dict": lambda m: m.to_dict() if hasattr(m, "to_dict") else None},
}


@pytest.mark.parametrize("source", ["a string", "a callable"])
@one_of_each
def test_no_form_of_an_object_shows_the_key(call: Call, source: str, server: FaultServer) -> None:
    key: Any = KEY if source == "a string" else lambda: KEY
    server.reset()
    server.replies(right_reply(call))
    with call.make(server.url, api_key=key, default_headers={"x-gate": HEADER}) as made:
        call.ask_of(made)  # now it has clients too
        shown = {**SHOWN, **FOR_LAYER[call.layer]}
        assert [name for name, show in shown.items() if holds(_shown(show, made))] == []


def _shown(show: Show, made: Any) -> object:
    try:
        return show(made)
    except PydanticSerializationError as error:  # a class, such as that of a tool, is no JSON
        return str(error)


ECHOES: Mapping[str, Reply] = {
    "in a body": json_reply(ECHO, 401),
    "in a header": json_reply({}, 403, x_echo=KEY, authorization=f"Bearer {KEY}"),
    "in a text": Reply(status=400, body=f"no {KEY}".encode(), content_type="text/plain"),
    "in the place of an answer": json_reply({"error": f"no {KEY}", "status": KEY, "data": KEY}),
    "in no JSON": Reply(body=f"no json {KEY}".encode()),
    "nowhere: it resets": Reply(raw=b"", end="reset"),
}


@both_lanes
@each(WITH_BODIES)
def test_no_error_shows_the_key(call: Call, is_async: bool, server: FaultServer) -> None:
    for reply in in_turn(ECHOES.values(), 2, call, is_async=is_async):
        error = ended(call, reply, server, is_async=is_async)
        if error is None:
            assert call.method in READS_NOTHING
        else:
            assert [name for name, form in forms(error).items() if holds(form)] == []


def ended(
    call: Call, reply: Reply, server: FaultServer, *, is_async: bool, **fields: Any
) -> ServiceError | None:
    """The error of a call, if it fails."""
    server.reset()
    server.replies(reply)
    try:
        call.ask(server.url, is_async=is_async, default_headers={"x-gate": HEADER}, **fields)
    except ServiceError as error:
        return error
    return None


SILENT: Sequence[Reply] = (
    json_reply({}, 401),
    Reply(raw=b"", end="reset"),
    Reply(body=b"{"),
    Reply(delay=1),
)


@both_lanes
@every
def test_no_frame_of_an_error_shows_the_key(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    """Reporters show the values of each."""
    for reply in in_turn(SILENT, 1, call, is_async=is_async):
        error = ended(call, reply, server, is_async=is_async, timeout=0.05)
        assert error is None or KEY not in with_values(error)


@both_lanes
@every
def test_no_log_shows_the_key(
    call: Call, is_async: bool, server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.reset()
    server.replies(json_reply(ECHO, 401), right_reply(call))
    fields = {"default_headers": {"x-gate": HEADER}}
    failed(call, server.url, is_async=is_async, **fields)
    call.ask(server.url, is_async=is_async, **fields)
    assert caplog.records
    assert not any(holds(f"{r.getMessage()} {vars(r)}") for r in caplog.records)


@one_of_each
def test_a_refused_constructor_shows_no_key(call: Call) -> None:
    for wrong in ({"max_retries": -1}, {"timeout": KEY}, {"api_kee": KEY}):
        with pytest.raises(ConfigurationError) as caught:
            call.make("http://127.0.0.1:1", **wrong)
        assert [name for name, form in forms(caught.value).items() if holds(form)] == []


@one_of_each
def test_an_error_travels(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(json_reply({"message": "slowly"}, 429, retry_after="7", set_cookie="a=secret"))
    error = failed(call, server.url, is_async=False)
    travelled = pickle.loads(pickle.dumps(error))
    assert (type(travelled), str(travelled)) == (type(error), str(error))
    assert (travelled.status, travelled.retry_after) == (429, 7)
    assert "secret" not in json.dumps(vars(travelled), default=repr)


# Ids


@one_of_each
def test_a_redirect_is_not_followed(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(Reply(status=307, headers={"location": f"{server.url}/elsewhere"}))
    assert "base_url" in str(failed(call, server.url, is_async=False))
    assert len(server.requests) == 1


# Runs of workflows, which stream

RUNS = [c for c in CALLS if c.operation is None]
STREAMED_RUNS = [c for c in RUNS if c.method in ("stream", "events")]


def begun(call: Call) -> Reply:
    """The beginning of a run, after which nothing comes."""
    body = right_reply(call).body
    assert not isinstance(body, bytes)
    return replace(right_reply(call), body=body[:3], end="hang")


STOPPED = json_reply({"result": "success"})


@each(STREAMED_RUNS)
def test_a_reader_who_leaves_a_run_stops_it(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(begun(call), STOPPED, right_reply(call))
    with nothing_left(server), call.make(server.url, output_key="leaf") as made:
        pieces = getattr(made, call.method)(*call.arguments)
        next(pieces)
        pieces.close()
        assert [request.path for request in server.requests] == [
            "/workflows/run",
            "/workflows/tasks/t-1/stop",
        ]
        call.ask_of(made)


@each(STREAMED_RUNS)
def test_an_async_reader_who_leaves_a_run_stops_it(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(begun(call), STOPPED, right_reply(call))

    async def leave() -> None:
        async with call.make(server.url, output_key="leaf") as made:
            pieces = getattr(made, f"a{call.method}")(*call.arguments)
            await anext(pieces)
            await pieces.aclose()
            assert len(server.requests) == 2
            await call.aask_of(made)

    with nothing_left(server):
        in_own_loop(leave())


@each(STREAMED_RUNS)
def test_an_event_loop_that_ends_frees_a_run_that_is_open(call: Call, server: FaultServer) -> None:
    server.reset()
    server.replies(begun(call), STOPPED)
    held: list[Any] = []

    async def begin() -> None:
        made = call.make(server.url, output_key="leaf")
        pieces = getattr(made, f"a{call.method}")(*call.arguments)
        held.extend([made, pieces])
        await anext(pieces)

    # LangChain's own generators read each other, of which the loop complains in its log
    run = asyncio.run if repr(call) == "langchain DifyWorkflow.stream" else in_own_loop
    with nothing_left(server):
        run(begin())
    assert len(server.requests) == 2


@both_lanes
@each(RUNS)
def test_a_run_that_breaks_off_is_incomplete(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(replace(begun(call), end="cut"))
    error = failed(call, server.url, is_async=is_async)
    assert core_kind(error) is errors.IncompleteStreamError
    assert error.partial_text == "dried"


@both_lanes
@each(RUNS)
def test_a_run_that_falls_silent_ends_in_time_and_is_stopped(
    call: Call, is_async: bool, server: FaultServer
) -> None:
    server.reset()
    server.replies(begun(call), STOPPED)
    error = failed(call, server.url, is_async=is_async, stream_idle_timeout=0.1)
    assert core_kind(error) is errors.ServiceTimeoutError
    assert error.partial_text == "dried"
    assert server.requests[-1].path == "/workflows/tasks/t-1/stop"
