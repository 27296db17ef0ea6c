"""Whatever JSON a service sends, the answer is a completion or one of our errors."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from qaip_core import Completion, ServiceError
from qaip_core.backend import Endpoint
from qaip_core.framing import Event
from support.backends import ENDPOINTS

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


def places(body: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = body.items() if isinstance(body, dict) else enumerate(body)
    found = [(*path, k) for k, _ in pairs]
    pairs = body.items() if isinstance(body, dict) else enumerate(body)
    for k, v in pairs:
        if isinstance(v, dict | list):
            found += places(v, (*path, k))
    return found


@st.composite
def nearly_right(draw: st.DrawFn) -> Any:
    body = json.loads(json.dumps(draw(st.sampled_from(NEARLY))))
    path = draw(st.sampled_from(places(body)))
    inner = body
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = draw(JSON)
    return body


BODIES = nearly_right() | JSON
each_endpoint = pytest.mark.parametrize(
    "endpoint", ENDPOINTS.values(), ids=["/".join(names) for names in ENDPOINTS]
)
many = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


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
    total = Completion([])
    try:
        for body in bodies:
            increment = decoder.feed(Event(on_wire(body), name))
            total = total + increment if increment else total
        closing = decoder.finish(cut=False)
        total = total + closing if closing else total
    except ServiceError:
        pass
    check(total)
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
        for completion in (increment, closing):
            if completion:
                check(completion)


def check(answer: Completion) -> None:
    assert all(isinstance(c.text, str) and isinstance(c.index, int) for c in answer.choices)
    assert all(isinstance(c.id, str) for c in answer.citations)
    assert isinstance(answer.metadata, Mapping)
    assert answer.created is None or isinstance(answer.created, int)


def test_no_event_loop_is_needed_to_decode() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
