"""Whatever JSON a service sends, the answer is a completion or one of our errors."""

import asyncio
import json
from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qaip_core import Choice, Completion, ServiceError
from qaip_core.backend import Endpoint
from qaip_core.backends.dify import COMPLETION
from qaip_core.backends.perplexity.agent import AGENT
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import Event
from qaip_core.types import Increment, add_up
from support.backends import ENDPOINTS
from support.right_bodies import RIGHT, Right, changed, places

NAMES = [
    "answer", "choices", "citations", "code", "completion_tokens_details", "content", "created",
    "created_at", "data", "delta", "detail", "doc_metadata", "error", "event", "files",
    "finish_reason", "function", "id", "index", "logprobs", "message", "message_id", "metadata",
    "model", "name", "position", "prompt_tokens", "prompt_tokens_details", "reasoning_content",
    "result", "retrieved", "retriever_resources", "score", "search_results", "snippet", "status",
    "task_id", "text", "title", "tool_calls", "total_tokens", "type", "url", "usage", "value",
]  # fmt: skip
WORDS = ["", "message", "message_end", "message_file", "message_replace", "error", "ping", "stop"]
WORDS += ["CUSTOM", "RUN_STARTED", "RUN_FINISHED", "RUN_ERROR", "TEXT_MESSAGE_CONTENT"]
WORDS += ["citations", "retrieved", "tea", "\ud800", "7"]
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from([0.5, 1e300, 10**30])
JSON = st.recursive(
    SCALARS | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=10,
)


def chunk(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}], **fields}


# Bodies that are nearly right: a documented one with one place of another shape.
NEARLY: list[Any] = [
    {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}]},
    {
        "choices": [{"delta": {"content": "a"}, "finish_reason": "stop"}],
        "usage": {"total_tokens": 1},
    },
    {"choices": [{"delta": {"tool_calls": [{"function": {"name": "f"}}]}}]},
    {"choices": [{"delta": {"content": "a"}}], "search_results": [{"url": "u", "title": "t"}]},
    {"choices": [{"message": {"content": "a"}, "citations": [{"url": "u", "text": "t"}]}]},
    {
        "choices": [{"message": {"content": "a"}}],
        "usage": {"prompt_tokens_details": {"cached_tokens": 1}},
    },
    {"event": "message", "answer": "a", "created_at": 1, "task_id": "t"},
    {
        "event": "message_end",
        "metadata": {"usage": {"total_tokens": 1}, "retriever_resources": [{}]},
    },
    {
        "event": "message",
        "answer": "a",
        "metadata": {"retriever_resources": [{"doc_metadata": {"url": "u"}}]},
    },
    {"event": "error", "code": "c", "status": 400, "message": "m"},
    {"type": "CUSTOM", "name": "citations", "value": [{"url": "u"}]},
    {"type": "CUSTOM", "name": "retrieved", "value": [{"url": "u"}]},
    {"type": "RUN_FINISHED", "result": {"conversation_id": "c"}},
    {"type": "TEXT_MESSAGE_CONTENT", "delta": "a"},
]


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    body = json.loads(json.dumps(draw(st.sampled_from(NEARLY))))
    path = draw(st.sampled_from(places(body)[1:]))
    return changed(body, path, draw(JSON))


BODIES = nearly_right() | JSON
each_endpoint = pytest.mark.parametrize(
    "endpoint", ENDPOINTS.values(), ids=["/".join(names) for names in ENDPOINTS]
)
many = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def on_wire(body: Any) -> bytes:
    return json.dumps(body).encode()


@each_endpoint
@many
@given(body=BODIES)
@example(body=chunk(created=float("inf")))
@example(body=chunk(created=float("nan")))
@example(body=chunk(search_results=[7]))
@example(body=chunk(citations=7))
@example(body=chunk(usage={"prompt_tokens_details": "x", "completion_tokens_details": [1]}))
def test_a_whole_body(endpoint: Endpoint, body: Any) -> None:
    decoded = json.loads(on_wire(body))
    try:
        answer = endpoint.decode(decoded)
    except ServiceError:
        return
    else:
        check(answer)


@each_endpoint
@many
@given(bodies=st.lists(BODIES, min_size=1, max_size=4), name=st.sampled_from(["message", "line"]))
@example(bodies=[{"type": "CUSTOM", "name": "citations", "value": 7}], name="message")
@example(bodies=[{"type": "CUSTOM", "name": "citations", "value": [7]}], name="message")
@example(bodies=[{"type": "CUSTOM", "name": "retrieved", "value": 7}], name="message")
@example(bodies=[chunk(search_results=[7])], name="message")
@example(bodies=[chunk(search_results=7)], name="message")
@example(bodies=[chunk(created=float("inf"))], name="message")
@example(bodies=[chunk(usage={"prompt_tokens_details": "x"})], name="message")
def test_events(endpoint: Endpoint, bodies: list[Any], name: str) -> None:
    decoder = endpoint.decoder({})
    heard: list[Increment | None] = []
    try:
        for body in bodies:
            heard.append(decoder.feed(Event(on_wire(body), name)))  # noqa: PERF401 -- it may raise
        heard.append(decoder.finish(cut=False))
    except ServiceError:
        pass
    check(add_up(filter(None, heard)))
    check(decoder.rest())


@each_endpoint
@many
@given(data=st.binary(max_size=20), name=st.sampled_from(["message", "line", "rest", "error"]))
@example(data=b'{"type":"RUN_ERROR","message":"\xff"}', name="message")
@example(data=b'{"type":"RUN_STARTED","threadId":"\xff"}', name="message")
@example(data=b'{"event":"error","message":"\xff"}', name="message")
@example(data=b'{"error":"\xff"}', name="message")
@example(data=b'{"choices":[{"finish_reason":"stop","text":"\xff"}]}', name="message")
def test_events_of_any_bytes(endpoint: Endpoint, data: bytes, name: str) -> None:
    decoder = endpoint.decoder({})
    try:
        increment = decoder.feed(Event(data, name))
        closing = decoder.finish(cut=True)
    except ServiceError:
        return
    else:
        check(add_up(filter(None, (increment, closing))))


# A right answer with one place of another shape: either the answer is the same, or what carries
# it was changed, and the error names the place.

STRANGE = [None, True, -1, 0.5, float("nan"), "12", "s3cret", ["s3cret"], {"a": 7}]
each_right = pytest.mark.parametrize("name", RIGHT)


def whole(right: Right, body: Any) -> Completion:
    return right.endpoint.decode(json.loads(on_wire(body)))


def streamed(right: Right, events: list[bytes]) -> Completion:
    decoder = right.endpoint.decoder({})
    increments = [decoder.feed(Event(event, "message")) for event in events]
    closing = decoder.finish(cut=False)
    if closing is None:
        raise MalformedResponseError("another shape: the answer is not complete")
    return add_up([*filter(None, increments), closing])


def check_place(right: Right, path: tuple[Any, ...], read: Any) -> None:
    """Read an answer that was changed in one place."""
    path = path[1:] if path[:1] == ("response",) else path  # a run's own places, told of as such
    place = ".".join("*" if isinstance(step, int) else step for step in path)
    if place not in right.carries | right.reports:
        answer = read()
        assert (answer.text, answer.finish_reason) == ("Tea [3]", right.finish)
        check(answer)
        return
    try:
        check(read())
    except MalformedResponseError as error:
        shown = error.message
        named = ".".join(map(str, path))
        assert f"another shape than documented: {named}" in shown or shown in NOTHING
        assert "s3cret" not in shown
    except ServerReportedError:
        assert place in right.reports | {"", "type", "event"}


NOTHING = {
    "the body holds no choices",
    "the body holds no answer",
    "the body holds no output",
    "the body holds no run",
    "another shape: the answer is not complete",
}


@each_right
@many
@given(data=st.data())
def test_a_right_answer_with_one_strange_place(name: str, data: st.DataObject) -> None:
    right = RIGHT[name]
    n = data.draw(st.integers(0, len(right.events) - 1))
    path = data.draw(st.sampled_from(places(right.events[n])))
    value = data.draw(JSON.filter(lambda value: "\\ud800" not in json.dumps(value)))
    events = [*map(on_wire, right.events)]
    events[n] = on_wire(changed(right.events[n], path, value))
    check_place(right, path, lambda: streamed(right, events))


@each_right
def test_every_place_of_a_stream_with_every_strange_value(name: str) -> None:
    right = RIGHT[name]
    for n, event in enumerate(right.events):
        events = [*map(on_wire, right.events)]
        for path, value in product(places(event), STRANGE):
            events[n] = on_wire(changed(event, path, value))
            check_place(right, path, lambda events=events: streamed(right, events))


@pytest.mark.parametrize("name", [name for name, right in RIGHT.items() if right.whole])
def test_every_place_of_a_body_with_every_strange_value(name: str) -> None:
    right = RIGHT[name]
    for path, value in product(places(right.whole), STRANGE):
        body = changed(right.whole, path, value)
        check_place(right, path, lambda body=body: whole(right, body))


def check(answer: Completion) -> None:
    assert all(isinstance(c.text, str) and isinstance(c.index, int) for c in answer.choices)
    assert all(isinstance(c.id, str) for c in answer.citations)
    assert isinstance(answer.metadata, Mapping)
    assert answer.created is None or isinstance(answer.created, int)
    known = [answer.metadata, answer.raw, [c.as_dict() for c in answer.citations]]
    json.dumps(known, allow_nan=False)
    for choice in answer.choices:
        json.dumps(choice.logprobs, allow_nan=False)
    if answer.usage:
        counts = answer.usage.as_counts().values()
        assert all(type(count) is int and count >= 0 for count in counts)


@pytest.mark.parametrize(
    "endpoint",
    [e for e in ENDPOINTS.values() if e.backend is not COMPLETION.backend and e != AGENT],
)
def test_an_empty_finish_reason_is_none(endpoint: Endpoint) -> None:
    said = {"content": "tea"}
    choice = {"message": said, "delta": said, "text": "tea", "finish_reason": ""}
    whole, decoder = endpoint.decode({"choices": [choice]}), endpoint.decoder({})
    first = decoder.feed(Event(on_wire({"choices": [{**choice, "message": None}]})))
    assert (whole.text, whole.finish_reason) == ("tea", None)
    assert first == Completion([Choice("tea")])
    assert decoder.finish(cut=False) is None


def test_no_event_loop_is_needed_to_decode() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
