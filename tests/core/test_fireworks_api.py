"""The old Fireworks client's interface: the same calls and names, over real HTTP."""

import asyncio
import importlib
import inspect
import json
import logging
import pickle
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from qaip_core import ServiceError, fireworks_api
from qaip_core import errors as core
from qaip_core.fireworks_api import (
    BaseCompletion,
    ChatCompletion,
    ChatMessage,
    Completion,
    Model,
    connections,
    errors,
    log,
    models,
)
from support.fault_server import FaultServer, Reply, html_reply, json_reply, sse_reply
from support.wire import WireCase, cases

KEY = "fw_test5f1d0c"
WHOLE = {
    "id": "a1",
    "object": "text_completion",
    "created": 1738900000,
    "model": "m",
    "choices": [{"text": "Hi", "index": 0, "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 1, "total_tokens": 2, "completion_tokens": 1},
}
TURNS = [{"role": "user", "content": "Hi"}]
KINDS: dict[str, type[ServiceError]] = {
    "bad_request": errors.BadRequestError,
    "authentication": errors.AuthenticationError,
    "permission": errors.PermissionError,
    "not_found": errors.NotFoundError,
    "unprocessable": errors.UnprocessableEntityError,
    "rate_limit": errors.RateLimitError,
    "context_length": errors.ContextOverflowError,
    "server": errors.InternalServerError,
    "server_reported_in_stream": errors.ServerReportedError,
    "incomplete": errors.IncompleteStreamError,
    "malformed": errors.MalformedResponseError,
    "payment_required": errors.PaymentRequiredError,
    "precondition": errors.PreconditionFailedError,
}
CLASSES: dict[str, Any] = {"completions": Completion, "chat": ChatCompletion}
CASES = [c for c in cases("fireworks") if c.operation in CLASSES]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
both_classes = pytest.mark.parametrize("kind", [Completion, ChatCompletion])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    monkeypatch.setenv("FIREWORKS_API_KEY", KEY)
    with FaultServer() as started:
        monkeypatch.setenv("FIREWORKS_API_BASE", started.url)
        yield started


@pytest.fixture
def console() -> Iterator[None]:
    level = log.logger.level
    yield
    log.logger.removeHandler(log._console()[0])
    log._console.cache_clear()
    log.logger.setLevel(level)


def chunk(index: int = 0, **choice: Any) -> str:
    """A chunk of a chat, of a text if it has a `text`."""
    body = {**WHOLE, "usage": None, "choices": [{"index": index, "finish_reason": None, **choice}]}
    return json.dumps(body)


def say(text: str, index: int = 0, finish: str | None = None) -> str:
    return chunk(index, text=text, finish_reason=finish)


async def collect(events: Any) -> list[Any]:
    return [event async for event in events]


def ways() -> list[Any]:
    """One call in each of the four ways; each returns the answer, or its events."""

    def create(**kwargs: Any) -> Any:
        return Completion.create("m", "Hi", **kwargs)

    def streamed(**kwargs: Any) -> Any:
        return list(Completion.create("m", "Hi", stream=True, **kwargs))

    def acreate(**kwargs: Any) -> Any:
        return asyncio.run(Completion.acreate("m", "Hi", **kwargs))

    def astreamed(**kwargs: Any) -> Any:
        return asyncio.run(collect(Completion.acreate("m", "Hi", stream=True, **kwargs)))

    return [create, streamed, acreate, astreamed]


every_way = pytest.mark.parametrize("way", ways(), ids=lambda w: w.__name__)


# --- the wire fixtures ---------------------------------------------------------------------


def wire_events(case: WireCase) -> list[Any]:
    lines = case.body.decode().split("\n")
    data = [line[6:] for line in lines if line.startswith("data: ")]
    return [json.loads(d) for d in data if d != "[DONE]"]


def assert_kept(wire: Any, seen: Any) -> None:
    """Whatever the wire says is there, under the wire's name."""
    if isinstance(wire, dict):
        for key, value in wire.items():
            assert_kept(value, seen[key])
    elif isinstance(wire, list):
        for one, other in zip(wire, seen, strict=True):
            assert_kept(one, other)
    else:
        assert seen == wire


def quick(case: WireCase) -> Reply:
    """The case's reply; where it is retried, without a long wait."""
    reply = case.reply(sizes=7)
    return replace(reply, headers={**case.headers, "retry-after": "0.01"})


def arguments(case: WireCase) -> dict[str, Any]:
    return {k: v for k, v in case.request.items() if k != "stream"}


def check_case(case: WireCase, got: list[BaseModel], error: ServiceError | None) -> None:
    failure = case.expected["error"]
    if failure is None:
        assert error is None
        wire = wire_events(case) if case.stream else [json.loads(case.body)]
        for body, seen in zip(wire, got, strict=True):
            assert_kept(body, seen.model_dump())
        return
    assert error is not None
    kind = errors.BadGatewayError if failure["status"] == 502 else KINDS[failure["kind"]]
    assert type(error) is kind, repr(error)
    assert failure["message"] in str(error)
    assert (error.status, error.code) == (failure["status"], failure["code"])
    assert error.service == "fireworks"
    assert error.partial_text == (case.expected["partial"] or "")


@every_case
def test_sync_calls_keep_all_that_the_wire_says(case: WireCase, server: FaultServer) -> None:
    server.replies(quick(case))
    got: list[Any] = []
    error = None
    try:
        answer = CLASSES[case.operation].create(**arguments(case), stream=case.stream)
        got.extend(answer if case.stream else [answer])
    except ServiceError as raised:
        error = raised
    check_case(case, got, error)
    assert server.requests[-1].json() == {"stream": False, **case.request}


@every_case
async def test_async_calls_keep_all_that_the_wire_says(case: WireCase, server: FaultServer) -> None:
    server.replies(quick(case))
    got: list[Any] = []
    error = None
    try:
        answer = CLASSES[case.operation].acreate(**arguments(case), stream=case.stream)
        if case.stream:
            async for event in answer:
                got.append(event)  # noqa: PERF401 -- what came before an error counts
        else:
            got.append(await answer)
    except ServiceError as raised:
        error = raised
    check_case(case, got, error)
    assert server.requests[-1].json() == {"stream": False, **case.request}


# --- requests ------------------------------------------------------------------------------


def test_the_body_is_the_keywords_verbatim(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    odd: dict[str, Any] = {"n": None, "stop": ["\u2028"], "not_known": {"a": [1, None]}}
    odd["extra_body"] = {"x": 1}
    Completion.create("m", "Hi", max_tokens=3, **odd)
    request = server.requests[-1]
    body = {"model": "m", "stream": False, "prompt": "Hi", "max_tokens": 3, **odd}
    assert request.json() == body
    assert (request.method, request.path) == ("POST", "/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept"] == "application/json"


def test_a_stream_asks_for_events(server: FaultServer) -> None:
    server.replies(sse_reply(chunk(delta={"content": "Hi"}, finish_reason="stop"), "[DONE]"))
    list(ChatCompletion.create("m", messages=TURNS, stream=True))
    request = server.requests[-1]
    assert request.json() == {"model": "m", "stream": True, "messages": TURNS}
    assert request.path == "/chat/completions"
    assert request.headers["accept"] == "text/event-stream"


def test_positional_data_wins(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    Completion.create("m", "one", prompt="two")
    asyncio.run(Completion.acreate("m", "one", prompt="two"))
    assert [r.json()["prompt"] for r in server.requests] == ["one", "one"]


def test_data_may_be_a_keyword(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    Completion.create("m", prompt="one")
    Completion.create("m", prompt_or_messages="two")
    asyncio.run(Completion.acreate("m", prompt="three"))
    assert [r.json()["prompt"] for r in server.requests] == ["one", "two", "three"]


def test_messages_may_be_objects_and_answers_can_be_replayed(server: FaultServer) -> None:
    (case,) = [c for c in CASES if c.name == "chat_whole_tool_call"]
    server.replies(case.reply())
    answer = ChatCompletion.create("m", [ChatMessage(role="user", content="Hi")])
    assert server.requests[-1].json()["messages"] == TURNS
    ChatCompletion.create("m", (*TURNS, answer.choices[0].message))
    replayed = server.requests[-1].json()["messages"][1]
    (call,) = replayed["tool_calls"]
    assert call["function"]["name"] == "tide"
    assert not {"index", "name"} & call.keys()
    assert "content" not in replayed


def test_tool_calls_are_objects_and_none_where_there_are_none(server: FaultServer) -> None:
    (case,) = [c for c in CASES if c.name == "chat_whole_tool_call"]
    plain = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
    server.replies(case.reply(), json_reply({**WHOLE, "choices": [plain]}))
    asked, said = (ChatCompletion.create("m", TURNS).choices[0].message for _ in range(2))
    assert asked.tool_calls is not None
    assert asked.tool_calls[0].function is not None
    assert asked.tool_calls[0].function.name == "tide"
    assert said.tool_calls is None
    assert said.reasoning_content is None
    assert "tool_calls" not in said.model_dump()


@both_classes
@pytest.mark.parametrize("stream", [False, True])
def test_missing_data_shows_at_the_call(kind: Any, stream: bool, server: FaultServer) -> None:
    message = f"^{kind.data_key} must be provided$"
    for method in (kind.create, kind.acreate):
        with pytest.raises(AssertionError, match=message):
            method("m", stream=stream)
        with pytest.raises(AssertionError, match=message):
            method("m", None, stream=stream)
    assert not server.requests


def test_an_empty_positional_prompt_counts_for_acreate_only(
    server: FaultServer,
) -> None:
    server.replies(json_reply(WHOLE))
    with pytest.raises(AssertionError, match="prompt must be provided"):
        Completion.create("m", "")
    Completion.create("m", prompt="")
    asyncio.run(Completion.acreate("m", ""))
    assert [r.json()["prompt"] for r in server.requests] == ["", ""]


def test_acreate_takes_data_by_its_own_name_only(server: FaultServer) -> None:
    acreate: Any = Completion.acreate
    with pytest.raises(AssertionError, match="prompt must be provided"):
        acreate("m", prompt_or_messages="Hi")
    with pytest.raises(TypeError, match="model and prompt only"):
        acreate("m", "Hi", 600)


@pytest.mark.parametrize("stream", [None, 1, "true"])
def test_stream_must_be_a_boolean(stream: Any, server: FaultServer) -> None:
    for method in (Completion.create, Completion.acreate):
        with pytest.raises(errors.InvalidRequestError, match="stream value is not a valid bool"):
            method("m", "Hi", stream=stream)
    assert not server.requests


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), "5"])
def test_a_timeout_is_a_number_of_seconds(seconds: Any, server: FaultServer) -> None:
    with pytest.raises(errors.InvalidRequestError, match="request_timeout"):
        Completion.create("m", "Hi", request_timeout=seconds)


@every_way
def test_what_is_no_json_is_named(way: Callable[..., Any], server: FaultServer) -> None:
    with pytest.raises(errors.InvalidRequestError, match="JSON"):
        way(user=object())
    assert not server.requests


# --- answers and streams -------------------------------------------------------------------


def test_an_answer_has_the_documented_attributes(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    answer = Completion.create("m", "Hi")
    assert type(answer) is Completion.response_class is models.CompletionResponse
    assert (answer.id, answer.object, answer.created) == ("a1", "text_completion", 1738900000)
    assert answer.choices[0].text == "Hi"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 2


def test_streams_are_lazy(server: FaultServer) -> None:
    server.replies(sse_reply(say("Hi", finish="stop")))
    stream = Completion.create("m", "Hi", stream=True)
    assert not server.wait_requests(1, timeout=0.1)
    assert [e.choices[0].text for e in stream] == ["Hi"]
    assert inspect.isgenerator(stream)
    assert len(server.requests) == 1


async def test_async_streams_are_lazy_and_not_awaited(server: FaultServer) -> None:
    server.replies(sse_reply(say("Hi", finish="stop")))
    stream = Completion.acreate("m", "Hi", stream=True)
    await asyncio.sleep(0.05)
    assert not server.requests
    assert [e.choices[0].text async for e in stream] == ["Hi"]
    assert inspect.isasyncgen(stream)


async def test_an_answer_is_awaited(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    answer = Completion.acreate("m", "Hi")
    assert inspect.iscoroutine(answer)
    assert type(await answer) is models.CompletionResponse


@both_classes
def test_a_server_that_does_not_stream_gives_one_event(kind: Any, server: FaultServer) -> None:
    choice = {"message": {"role": "assistant", "content": "Hi"}, "text": "Hi", "finish_reason": "x"}
    server.replies(json_reply({**WHOLE, "choices": [choice]}))
    (event,) = kind.create("m", "Hi", stream=True)
    (seen,) = event.choices
    assert type(event) is kind.stream_response_class
    assert (seen.delta.content if kind is ChatCompletion else seen.text) == "Hi"
    assert seen.finish_reason == "x"


def test_events_that_say_nothing_are_left_out(server: FaultServer) -> None:
    quiet = ("", "null", "{}", " [DONE] ", '{"type":"ping"}')
    server.replies(sse_reply(*quiet, say("Hi"), *quiet, say("", finish="stop"), "[DONE]"))
    events = list(Completion.create("m", "Hi", stream=True))
    assert [e.choices[0].text for e in events] == ["Hi", ""]


def test_bytes_that_are_no_utf8_are_replaced(server: FaultServer) -> None:
    event = b"data: " + say("?", finish="stop").encode().replace(b"?", b"\xff") + b"\n\n"
    server.replies(sse_reply(event))
    (seen,) = Completion.create("m", "Hi", stream=True)
    assert seen.choices[0].text == "\ufffd"


@pytest.mark.parametrize(
    "arguments", [{"prompt": ["a", "b"]}, {"prompt": ["a"], "n": 2}, {"prompt": "a", "n": 2}]
)
def test_every_prompt_and_every_n_must_finish(arguments: Any, server: FaultServer) -> None:
    server.replies(sse_reply(say("A", 0), say("B", 1), say("", 0, "stop"), "[DONE]"))
    stream = Completion.create("m", stream=True, **arguments)
    assert [next(stream).choices[0].index for _ in range(3)] == [0, 1, 0]
    with pytest.raises(errors.IncompleteStreamError) as caught:
        next(stream)
    assert caught.value.partial is not None
    assert [c.text for c in caught.value.partial.choices] == ["A", "B"]


@pytest.mark.parametrize("prompt", [[1, 2], ["a"]])
def test_one_prompt_of_tokens_or_texts_is_one_answer(prompt: Any, server: FaultServer) -> None:
    server.replies(sse_reply(say("A"), say("", finish="length")))
    assert len(list(Completion.create("m", prompt, stream=True))) == 2


def test_events_without_content_come_before_it(server: FaultServer) -> None:
    role = chunk(delta={"role": "assistant"})
    end = chunk(delta={}, finish_reason="stop")
    server.replies(sse_reply(role, chunk(delta={"content": "Hi"}), end), sse_reply(role, end))
    events = list(ChatCompletion.create("m", TURNS, stream=True))
    assert [e.choices[0].delta.role for e in events] == ["assistant", None, None]
    assert len(list(ChatCompletion.create("m", TURNS, stream=True))) == 2


def test_a_stream_that_is_repeated_shows_nothing_twice(server: FaultServer) -> None:
    role = chunk(delta={"role": "assistant"})
    busy = json.dumps({"error": {"message": "busy", "code": "503"}})
    rest = (chunk(delta={"content": "Hi"}), chunk(delta={}, finish_reason="stop"))
    server.replies(sse_reply(role, busy), sse_reply(role, *rest))
    events = list(ChatCompletion.create("m", TURNS, stream=True))
    assert len(server.requests) == 2
    assert [e.choices[0].delta.role for e in events] == ["assistant", None, None]


def test_an_event_of_another_shape_is_malformed(server: FaultServer) -> None:
    server.replies(sse_reply(say("Hi"), '{"choices":[{"index":0,"text":"x"}]}', request_id="r"))
    with pytest.raises(errors.MalformedResponseError, match="at id, created, model") as caught:
        list(Completion.create("m", "Hi", stream=True))
    assert caught.value.partial_text == "Hi"
    assert caught.value.attempts == 1


# --- models --------------------------------------------------------------------------------


def test_the_list_of_models(server: FaultServer) -> None:
    one = {"id": "accounts/fireworks/models/x", "created": 1754345600, "supports_tools": True}
    server.replies(json_reply({"object": "list", "data": [{**one, "object": "model"}, one]}))
    listed = Model.list()
    assert type(listed) is models.ListModelsResponse
    assert listed.object == "list"
    assert [type(m) for m in listed.data] == [Model, Model]
    assert [m.object for m in listed.data] == ["model", "model"]
    assert listed.data[0].model_extra == {"supports_tools": True}
    assert (server.requests[-1].method, server.requests[-1].path) == ("GET", "/models")


def test_a_list_of_another_shape_is_malformed(server: FaultServer) -> None:
    server.replies(json_reply({"models": []}))
    with pytest.raises(errors.MalformedResponseError, match=r"\(at data\)") as caught:
        Model.list()
    assert caught.value.service == "fireworks"


def test_the_list_of_models_can_time_out(server: FaultServer) -> None:
    server.replies(json_reply({}, 401), replace(json_reply({}), delay=5))
    with pytest.raises(errors.AuthenticationError):
        Model.list()
    with pytest.raises(errors.APITimeoutError):
        Model.list(request_timeout=0.05)


REQUIRED = {
    "Choice": {"index", "text"},
    "CompletionResponseStreamChoice": {"index", "text"},
    "CompletionResponse": {"id", "object", "created", "model", "choices", "usage"},
    "CompletionStreamResponse": {"id", "object", "created", "model", "choices"},
    "LogProbs": set(),
    "UsageInfo": {"prompt_tokens", "total_tokens"},
    "Model": {"id", "object", "created"},
    "ListModelsResponse": {"object", "data"},
    "ChatMessage": {"role", "content"},
    "ChatCompletionResponseChoice": {"index", "message"},
    "ChatCompletionResponse": {"id", "object", "created", "model", "choices"},
    "DeltaMessage": set(),
    "ChatCompletionResponseStreamChoice": {"index", "delta"},
    "ChatCompletionStreamResponse": {"id", "object", "created", "model", "choices"},
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_class_requires_what_is_documented(name: str) -> None:
    kind = getattr(fireworks_api, name)
    required = {n for n, f in kind.model_fields.items() if f.is_required()}
    assert required == REQUIRED[name]
    if required:
        with pytest.raises(ValidationError):
            kind()


def test_optional_fields_have_their_documented_defaults() -> None:
    choice = models.Choice(index=0, text="a")
    assert (choice.logprobs, choice.finish_reason) == (None, None)
    usage = models.UsageInfo(prompt_tokens=1, total_tokens=1)
    assert usage.completion_tokens is None
    names = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    assert models.LogProbs().model_dump() == {name: [] for name in names}
    assert models.DeltaMessage().model_dump() == {"role": None, "content": None}


def test_log_probabilities_may_have_gaps(server: FaultServer) -> None:
    old = {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": None, "text_offset": [0]}
    new = {"content": [{"token": "a", "logprob": -0.1}]}
    choices = [{"text": "a", "index": i, "logprobs": p} for i, p in enumerate((old, new))]
    server.replies(json_reply({**WHOLE, "choices": choices}))
    first, second = Completion.create("m", "Hi").choices
    assert first.logprobs is not None
    assert second.logprobs is not None
    assert first.logprobs.top_logprobs == []
    assert second.logprobs.model_extra == new


# --- errors --------------------------------------------------------------------------------

STATUSES: list[tuple[int, type[ServiceError], type[ServiceError]]] = [
    (302, errors.InvalidRequestError, core.BadRequestError),
    (400, errors.InvalidRequestError, core.BadRequestError),
    (401, errors.AuthenticationError, core.AuthenticationError),
    (402, errors.PaymentRequiredError, core.PaymentRequiredError),
    (403, errors.PermissionError, core.PermissionDeniedError),
    (404, errors.InvalidRequestError, core.NotFoundError),
    (408, errors.APITimeoutError, core.ServiceTimeoutError),
    (409, errors.InvalidRequestError, core.StatusError),
    (412, errors.PreconditionFailedError, core.PreconditionFailedError),
    (413, errors.InvalidRequestError, core.BadRequestError),
    (422, errors.InvalidRequestError, core.UnprocessableEntityError),
    (429, errors.RateLimitError, core.RateLimitError),
    (500, errors.InternalServerError, core.ServerError),
    (502, errors.BadGatewayError, core.ServerError),
    (503, errors.ServiceUnavailableError, core.ServerError),
    (504, errors.APITimeoutError, core.ServerError),
    (520, errors.InternalServerError, core.ServerError),
]


@pytest.mark.parametrize(("status", "ours", "cores"), STATUSES)
def test_every_status_has_a_class_of_both_trees(
    status: int, ours: Any, cores: Any, server: FaultServer
) -> None:
    body = {"error": {"message": "No.", "code": "NOPE"}}
    server.replies(json_reply(body, status, retry_after="0.01", x_request_id="r-1"))
    with pytest.raises(ours) as caught:
        Completion.create("m", "Hi")
    error = caught.value
    assert isinstance(error, cores)
    assert isinstance(error, errors.FireworksError)
    assert (error.status, error.code, error.request_id) == (status, "NOPE", "r-1")
    assert (error.retry_after, error.body, error.service) == (0.01, body, "fireworks")
    assert error.attempts == (3 if error.is_retryable else 1)


def test_the_client_s_names_are_siblings() -> None:
    names = ["InvalidRequestError", "AuthenticationError", "PermissionError", "RateLimitError"]
    names += ["InternalServerError", "BadGatewayError", "ServiceUnavailableError"]
    for name in [*names, "APITimeoutError"]:
        kind = getattr(fireworks_api, name)
        assert kind.__mro__[1] is fireworks_api.FireworksError
    assert issubclass(fireworks_api.FireworksError, ServiceError)


@every_way
def test_an_error_page_is_an_error(way: Callable[..., Any], server: FaultServer) -> None:
    server.replies(html_reply(502, retry_after="0.01"))
    with pytest.raises(errors.BadGatewayError, match="502 Bad Gateway"):
        way()


@every_way
def test_silence_times_out(way: Callable[..., Any], server: FaultServer) -> None:
    server.replies(replace(json_reply(WHOLE), delay=5))
    with pytest.raises(errors.APITimeoutError) as caught:
        way(request_timeout=0.05)
    assert isinstance(caught.value, TimeoutError)
    assert len(server.requests) == 1  # the service may have run it


@pytest.mark.parametrize("way", ways()[1::2])
def test_a_stream_that_falls_silent_times_out(way: Callable[..., Any], server: FaultServer) -> None:
    server.replies(sse_reply(say("Hi"), end="hang"))
    with pytest.raises(errors.APITimeoutError) as caught:
        way(request_timeout=0.1)
    assert caught.value.partial_text == "Hi"
    assert caught.value.partial is not None
    assert caught.value.partial.raw is None


def test_advice_names_what_there_is_here(server: FaultServer) -> None:
    server.replies(
        json_reply({}, 401),
        json_reply({}, 404),
        replace(json_reply({}), delay=5),
        sse_reply(say("Hi"), end="hang"),
        sse_reply(say("Hi")),
    )
    advice = []
    for way in (*ways()[:1] * 3, *ways()[1:2] * 2):
        with pytest.raises(errors.FireworksError) as caught:
            way(request_timeout=0.1)
        assert str(caught.value).startswith(caught.value.message)
        advice.append(str(caught.value))
    assert "set FIREWORKS_API_KEY" in advice[0]
    assert "Check FIREWORKS_API_BASE" in advice[1]
    assert "raise request_timeout" in advice[2]
    assert "raise request_timeout" in advice[3]
    for argument in ("api_key", "base_url", "idle", "on_incomplete"):
        assert argument not in "".join(advice)


def test_no_limit_can_be_asked_for(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    assert Completion.create("m", "Hi", request_timeout=None).choices[0].text == "Hi"


def test_no_connection_is_an_error(server: FaultServer) -> None:
    server.replies(Reply(raw=b"", end="reset"))
    with pytest.raises(errors.APIConnectionError) as caught:
        Completion.create("m", "Hi")
    assert isinstance(caught.value, core.ServiceConnectionError)
    assert caught.value.__cause__ is not None


@every_way
def test_what_may_pass_is_repeated(way: Callable[..., Any], server: FaultServer) -> None:
    answer = sse_reply(say("Hi", finish="stop")) if "streamed" in way.__name__ else None
    server.replies(json_reply({}, 503, retry_after="0.01"), answer or json_reply(WHOLE))
    assert way()
    assert len(server.requests) == 2


@pytest.mark.parametrize("name", [n for n in errors.__all__ if n.endswith("Error")])
def test_errors_survive_pickling(name: str) -> None:
    error = getattr(errors, name)("No.", status=418, code="c", request_id="r", retry_after=1.0)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.message, again.__dict__) == ("No.", error.__dict__)
    assert str(again) == str(error)


# --- key and address -----------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, ""])
def test_a_missing_key_is_a_value_error(
    key: str | None, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FIREWORKS_API_KEY")
    if key is not None:
        monkeypatch.setenv("FIREWORKS_API_KEY", key)
    for method in (Completion.create, Completion.acreate):
        for stream in (False, True):
            with pytest.raises(ValueError, match="FIREWORKS_API_KEY") as caught:
                method("m", "Hi", stream=stream)
            assert isinstance(caught.value, core.MissingKeyError)
    with pytest.raises(core.MissingKeyError):
        Model.list()


@every_way
def test_an_address_that_cannot_be_used_is_a_value_error(
    way: Callable[..., Any], server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://[::1]:x", "http://example.org", "ftp://127.0.0.1"):
        monkeypatch.setenv("FIREWORKS_API_BASE", url)
        with pytest.raises(ValueError, match="base_url") as caught:
            way()
        assert isinstance(caught.value, core.ConfigurationError)


def test_the_environment_is_read_at_every_call(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(json_reply(WHOLE))
    Completion.create("m", "Hi")
    monkeypatch.setenv("FIREWORKS_API_KEY", "fw_other")
    monkeypatch.setenv("FIREWORKS_API_BASE", server.url + "/inference/v1/chat/completions/")
    Completion.create("m", "Hi")
    keys = [r.headers["authorization"] for r in server.requests]
    assert keys == [f"Bearer {KEY}", "Bearer fw_other"]
    assert server.requests[-1].path == "/inference/v1/completions"


def test_key_and_address_can_be_set_on_the_module(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.replies(json_reply(WHOLE))
    monkeypatch.delenv("FIREWORKS_API_KEY")
    monkeypatch.setenv("FIREWORKS_API_BASE", "http://127.0.0.1:1")
    monkeypatch.setattr(fireworks_api, "api_key", "fw_set", raising=False)
    monkeypatch.setattr(fireworks_api, "base_url", server.url, raising=False)
    Completion.create("m", "Hi")
    assert server.requests[0].headers["authorization"] == "Bearer fw_set"


@every_way
def test_the_key_is_in_no_error_and_no_log(
    way: Callable[..., Any], server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.replies(json_reply({"error": "No."}, 401))
    with pytest.raises(errors.AuthenticationError) as caught:
        way()
    error = caught.value
    shown = [str(error), repr(error), repr(error.__dict__), str(caught.getrepr(style="long"))]
    assert KEY not in "".join([*shown, caplog.text])
    assert KEY.encode() not in pickle.dumps(error)


# --- log -----------------------------------------------------------------------------------


def test_requests_and_failures_are_logged(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="fireworks")
    server.replies(json_reply(WHOLE), json_reply({}, 404, x_request_id="r-1"))
    Completion.create("m\n", "a secret")
    with pytest.raises(errors.NotFoundError):
        Model.list()
    assert [r.getMessage() for r in caplog.records if r.name == "fireworks"] == [
        f"POST {server.url}/completions model='m\\n' stream=False",
        f"GET {server.url}/models",
        "NotFoundError status=404 attempts=1 request=r-1",
    ]


@pytest.mark.usefixtures("console")
@pytest.mark.parametrize("level", log._LEVELS)
def test_the_console_shows_its_level_and_above(
    level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    log.set_console_log_level("DEBUG")
    log.set_console_log_level(level)
    number = logging.getLevelNamesMapping()[level]
    log.logger.log(number - 1, "below")
    log.logger.log(number, "at the level")
    shown = capsys.readouterr().err
    assert "at the level" in shown
    assert "below" not in shown
    assert shown.count("at the level") == 1


@pytest.mark.usefixtures("console")
def test_the_console_leaves_other_handlers_alone(capsys: pytest.CaptureFixture[str]) -> None:
    log.logger.setLevel("DEBUG")
    log.set_console_log_level("ERROR")
    assert log.logger.isEnabledFor(logging.DEBUG)
    log.logger.warning("not for the console")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("level", ["debug", "TRACE", ""])
def test_an_unknown_level_is_refused(level: str) -> None:
    with pytest.raises(ValueError, match=rf"^unrecognized log level {level}\. .*DEBUG"):
        log.set_console_log_level(level)


# --- connections ---------------------------------------------------------------------------


def endless() -> Reply:
    return sse_reply(*[say("word ")] * 50, end="hang")


def test_closing_a_stream_frees_its_socket(server: FaultServer) -> None:
    server.replies(endless())
    stream: Generator[Any, None, None] = Completion.create("m", "Hi", stream=True)
    next(stream)
    assert server.open_connections == 1
    stream.close()
    assert server.wait_closed()


def test_leaving_a_stream_frees_its_socket(server: FaultServer) -> None:
    server.replies(endless())
    for _ in Completion.create("m", "Hi", stream=True):
        break
    assert server.wait_closed()


async def test_closing_an_async_stream_frees_its_socket(server: FaultServer) -> None:
    server.replies(endless())
    stream: AsyncGenerator[Any, None] = Completion.acreate("m", "Hi", stream=True)
    await anext(stream)
    await stream.aclose()
    assert await asyncio.to_thread(server.wait_closed)


async def test_cancelling_an_async_stream_frees_its_socket(server: FaultServer) -> None:
    server.replies(endless())
    task = asyncio.create_task(collect(Completion.acreate("m", "Hi", stream=True)))
    await asyncio.to_thread(server.wait_requests, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.wait_closed)


def test_calls_share_their_connections_whatever_their_timeouts(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    for seconds in (1, 20, None):
        Completion.create("m", "Hi", request_timeout=seconds)
    assert server.open_connections == 1


async def test_async_calls_share_their_connections(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    for seconds in (1, 20, None):
        await Completion.acreate("m", "Hi", request_timeout=seconds)
    assert server.open_connections == 1


def test_a_loop_takes_its_connections_with_it(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    for _ in range(2):
        asyncio.run(Completion.acreate("m", "Hi"))
        assert server.wait_closed()


def test_the_first_calls_may_come_from_many_threads(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "_POOLS", pools := dict[int, Any]())
    server.replies(json_reply(WHOLE))
    start = threading.Barrier(8)

    def call(_: int) -> str:
        start.wait()
        return Completion.create("m", "Hi").choices[0].text

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(call, range(8))) == ["Hi"] * 8
    assert len(pools) == 1
    for pool in pools.values():
        pool.close()


# --- the modules ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["", ".calls", ".completions", ".connections", ".errors", ".log", ".models"]
)
def test_every_public_name_exists_and_is_documented(name: str) -> None:
    module = importlib.import_module(f"qaip_core.fireworks_api{name}")
    assert module.__all__ == sorted(module.__all__)
    for public in module.__all__:
        assert getattr(module, public).__doc__


@both_classes
def test_a_class_declares_its_operation(kind: type[BaseCompletion[Any, Any]]) -> None:
    assert kind.endpoint == {"prompt": "completions", "messages": "chat/completions"}[kind.data_key]
    chat = kind is ChatCompletion
    assert kind.response_class is (
        models.ChatCompletionResponse if chat else models.CompletionResponse
    )
    assert kind.stream_response_class is (
        models.ChatCompletionStreamResponse if chat else models.CompletionStreamResponse
    )


@pytest.mark.parametrize("name", ["api_key", "api_base", "base_url"])
def test_what_belongs_to_the_environment_is_not_sent(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIREWORKS_API_KEY", "known-key-1")
    said: dict[str, Any] = {name: "other-secret"}
    with pytest.raises(errors.InvalidRequestError, match="set FIREWORKS_API_KEY") as caught:
        Completion.create("m", "q", **said)
    assert "other-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["client", "extra_headers"])
def test_arguments_of_later_versions_are_refused_with_what_to_write(name: str) -> None:
    said: dict[str, Any] = {name: {}}
    with pytest.raises(errors.InvalidRequestError, match=f"{name} is no field .*ChatFireworks"):
        Completion.create("m", "q", **said)
