"""What carries an answer is read strictly: another shape is an error that names its place."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from qaip_core import errors
from support.asker import Asker, asking
from support.right_bodies import RIGHT, Json, changed, in_place

CHATS = ("fireworks chat", "pais chat", "pais agent", "perplexity")
COMPLETIONS = (*CHATS, "fireworks text", "pais text", "pais agent text")
DIFYS = ("dify", "dify chat")


@pytest.fixture(scope="module")
def ask() -> Iterator[Asker]:
    with asking() as asker:
        yield asker


# A place, what stands there, and where in it the fault is.
STRICT: Sequence[tuple[Sequence[str], str, Any, str]] = [
    (COMPLETIONS, "choices", {"0": {}}, ""),
    (COMPLETIONS, "choices", "secret", ""),
    (COMPLETIONS, "choices", [{"finish_reason": "stop"}, "secret"], ".1"),
    (COMPLETIONS, "choices.0", None, ""),
    (COMPLETIONS, "choices.0.SAID", "secret", ""),
    (COMPLETIONS, "choices.0.SAID", ["secret"], ""),
    (COMPLETIONS, "choices.0.SAID", {"content": {"text": "secret"}}, ".content"),
    (COMPLETIONS, "choices.0.text", 7, ""),
    (COMPLETIONS, "choices.0.finish_reason", 1, ""),
    (COMPLETIONS, "choices.0.finish_reason", ["stop"], ""),
    (CHATS, "choices.0.SAID.content", 7, ""),
    (CHATS, "choices.0.SAID.content", True, ""),
    (CHATS, "choices.0.SAID.content", {"type": "text", "text": "secret"}, ""),
    (CHATS, "choices.0.SAID.content", ["secret"], ""),
    (CHATS, "choices.0.SAID.content", [{"type": "text", "text": 7}], ""),
    (CHATS, "choices.0.SAID.content", [{"type": "image_url", "image_url": "secret"}], ""),
    (CHATS, "choices.0.SAID.tool_calls", {"name": "secret"}, ""),
    (CHATS, "choices.0.SAID.tool_calls", ["secret"], ".0"),
    (CHATS, "choices.0.SAID.tool_calls", [{"function": "secret"}], ".0.function"),
    (CHATS, "choices.0.SAID.tool_calls", [{"function": {"name": 7}}], ".0.function.name"),
    (
        CHATS,
        "choices.0.SAID.tool_calls",
        [{"function": {"arguments": {"a": "secret"}}}],
        ".0.function.arguments",
    ),
    (["qaip"], "choices", "secret", ""),
    (["qaip"], "choices.0", "secret", ""),
    (["qaip"], "choices.0.message", "secret", ""),
    (["qaip"], "choices.0.message.content", 7, ""),
    (["qaip"], "choices.0.finish_reason", {"a": "secret"}, ""),
    (["qaip"], "type", 7, ""),
    (DIFYS, "answer", 7, ""),
    (DIFYS, "answer", [{"type": "text", "text": "secret"}], ""),
    (DIFYS, "event", ["secret"], ""),
]
each_fault = pytest.mark.parametrize(
    ("service", "path", "value", "inner"),
    [(service, *fault) for services, *fault in STRICT for service in services],
)


def check(error: errors.ServiceError, what: str, place: str, body: Any) -> None:
    assert str(error).startswith(f"{what} of another shape than documented: {place}: ")
    assert "secret" not in str(error)
    assert error.body == body


@each_fault
def test_what_carries_a_whole_answer_is_named(
    service: str, path: str, value: Any, inner: str, ask: Asker
) -> None:
    right = RIGHT[service]
    body = changed(right.whole, in_place(path, whole=True), value)
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.whole(right, body)
    check(caught.value, "a body", path.replace("SAID", "message") + inner, body)


@each_fault
def test_what_carries_a_streamed_answer_is_named(
    service: str, path: str, value: Any, inner: str, ask: Asker
) -> None:
    right = RIGHT[service]
    event = changed(right.events[0], in_place(path, whole=False), value)
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.streamed(right, [right.events[0], event, *right.events[1:]])
    check(caught.value, "an event", path.replace("SAID", "delta") + inner, event)
    assert caught.value.partial_text == "Tea"


@pytest.mark.parametrize("body", [[], "secret", 7, True, [{"choices": []}]])
@pytest.mark.parametrize(
    "service", ["pais chat", "pais agent", "perplexity", "perplexity agent", "qaip", *DIFYS]
)
def test_a_body_that_is_no_object_is_named_so(service: str, body: Any, ask: Asker) -> None:
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.whole(RIGHT[service], body)
    check(caught.value, "a body", "body", body)


def test_a_message_names_a_few_places_of_many(ask: Asker) -> None:
    right = RIGHT["pais chat"]
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.whole(right, {"choices": [7] * 1000})
    assert "choices.2: " in str(caught.value)
    assert caught.value.message.endswith("; and 997 more")


def test_side_notes_are_not_blamed_for_an_answer_of_another_shape(ask: Asker) -> None:
    right = RIGHT["pais chat"]
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.whole(right, {"id": {}, "choices": 7, "usage": []})
    assert "choices: " in str(caught.value)
    assert "usage" not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [b'{"choices":[{"delta":{"content":"secret', b'[{"secret": 1', b'{"choices": [{}] "secret"}'],
)
def test_json_that_is_cut_shows_nothing_of_itself(data: bytes, ask: Asker) -> None:
    right = RIGHT["pais chat"]
    with pytest.raises(errors.MalformedResponseError, match="another shape") as caught:
        ask.streamed(right, [right.events[0], data])
    assert "secret" not in str(caught.value)
    assert caught.value.body == data.decode()
    assert caught.value.partial_text == "Tea"


# Content in parts


def parts(*texts: str) -> list[Json]:
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize("service", [*CHATS, "qaip"])
def test_parts_of_text_are_joined(service: str, ask: Asker) -> None:
    right = RIGHT[service]
    said = "message" if right.lines else "delta"
    path = ("choices", 0, "message", "content")
    whole = ask.whole(right, changed(right.whole, path, parts("Tea", " ", "[3]")))
    first, last = right.events
    path = ("choices", 0, said, "content")
    events = [changed(first, path, parts("T", "ea")), changed(last, path, parts(" [3]"))]
    streamed = ask.streamed(right, events)
    assert whole.text == streamed.text == "Tea [3]"
    assert "malformed" not in whole.metadata.keys() | streamed.metadata.keys()


def test_no_parts_are_no_text(ask: Asker) -> None:
    right = RIGHT["pais chat"]
    answer = ask.whole(right, changed(right.whole, ("choices", 0, "message", "content"), []))
    assert (answer.text, answer.finish_reason) == ("", "stop")


# Several answers


def several(*indices: Any) -> list[Json]:
    said = [{"content": text} for text in "ab"]
    return [
        {"index": index, "message": s, "delta": s, "finish_reason": "stop"}
        for index, s in zip(indices, said, strict=True)
    ]


@pytest.mark.parametrize(
    "indices", [(0, 1), ("0", "1"), (0.0, 1.0), (None, None), ("one", "two"), ({}, [])]
)
def test_several_whole_answers_are_told_apart_by_their_order(
    indices: tuple[Any, Any], ask: Asker
) -> None:
    for service in ("fireworks chat", "qaip"):
        answer = ask.whole(RIGHT[service], {"choices": several(*indices)})
        assert [(c.index, c.text) for c in answer.choices] == [(0, "a"), (1, "b")]


def test_several_streamed_answers_are_told_apart_by_their_index(ask: Asker) -> None:
    events = [{"choices": [choice]} for choice in several("1", 0.0)]
    answer = ask.streamed(RIGHT["fireworks chat"], events, n=2)
    assert {c.index: c.text for c in answer.choices} == {1: "a", 0: "b"}


@pytest.mark.parametrize("index", ["one", {}, True, 0.5])
def test_an_index_that_cannot_be_read_would_mix_several_streamed_answers(
    index: Any, ask: Asker
) -> None:
    events = [{"choices": [choice]} for choice in several(0, index)]
    with pytest.raises(errors.MalformedResponseError, match=r"choices\.0\.index: ") as caught:
        ask.streamed(RIGHT["fireworks chat"], events, n=2)
    assert caught.value.partial_text == "a"


# Errors beside answers


@pytest.mark.parametrize("service", [*COMPLETIONS, "qaip"])
@pytest.mark.parametrize("choices", ["right", 7, [7], [{"delta": 7, "message": 7, "text": 7}]])
def test_an_error_wins_over_the_choices_beside_it(service: str, choices: Any, ask: Asker) -> None:
    right = RIGHT[service]
    error = {"error": {"message": "kaput", "code": "e1"}}
    more = {} if choices == "right" else {"choices": choices}
    with pytest.raises(errors.ServerReportedError, match="kaput") as whole:
        ask.whole(right, {**(right.whole or {}), **more, **error})
    with pytest.raises(errors.ServerReportedError, match="kaput") as streamed:
        ask.streamed(right, [right.events[0], {**right.events[1], **more, **error}])
    assert whole.value.code == streamed.value.code == "e1"
    assert streamed.value.partial_text == "Tea"


@pytest.mark.parametrize("nothing", [None, False, {}, "", [], 0])
@pytest.mark.parametrize("service", [*COMPLETIONS, "qaip"])
def test_an_error_that_says_nothing_is_none(service: str, nothing: Any, ask: Asker) -> None:
    right = RIGHT[service]
    assert ask.whole(right, {**(right.whole or {}), "error": nothing}).text == "Tea [3]"
    events = [{**event, "error": nothing} for event in right.events]
    assert ask.streamed(right, events).text == "Tea [3]"


@pytest.mark.parametrize("service", [*DIFYS, "qaip", "qaip run", "perplexity agent"])
@pytest.mark.parametrize(
    "body", [{"error": "kaput"}, {"error": {"message": "kaput"}}, {"detail": "kaput"}]
)
def test_an_error_of_a_gateway_before_the_service_is_one(
    service: str, body: Json, ask: Asker
) -> None:
    right = RIGHT[service]
    with pytest.raises(errors.ServerReportedError, match="kaput"):
        ask.streamed(right, [*right.events[:2], body])
    if right.whole:
        with pytest.raises(errors.ServerReportedError, match="kaput"):
            ask.whole(right, body)


@pytest.mark.parametrize(
    "service", ["pais chat", "pais agent", "perplexity", "perplexity agent", "qaip run", *DIFYS]
)
@pytest.mark.parametrize("data", [b"kaput", b'"kaput"', b'{"message":"kaput"}'])
def test_an_event_named_error_is_one_whatever_it_holds(
    service: str, data: bytes, ask: Asker
) -> None:
    right = RIGHT[service]
    named = data + b"\nevent: error"  # the name may stand behind the data
    with pytest.raises(errors.ServerReportedError, match="kaput") as caught:
        ask.streamed(right, [*right.events[:-1], named])
    assert caught.value.partial_text.startswith("Tea")


# What one kind of event means, another does not


@pytest.mark.parametrize("kind", ["STATE_DELTA", "ACTIVITY_DELTA", "NEWS"])
@pytest.mark.parametrize("delta", [[{"op": "add"}], {"a": 1}, 7])
def test_only_the_delta_of_a_text_is_text(kind: str, delta: Any, ask: Asker) -> None:
    right = RIGHT["qaip run"]
    first, *rest = right.events
    answer = ask.streamed(right, [first, {"type": kind, "delta": delta}, *rest])
    assert answer.text == "Tea [3]"


def test_a_piece_of_a_run_must_be_text(ask: Asker) -> None:
    right = RIGHT["qaip run"]
    event = {"type": "TEXT_MESSAGE_CONTENT", "delta": ["secret"]}
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.streamed(right, [*right.events[:2], event])
    check(caught.value, "an event", "delta", event)
    assert caught.value.partial_text == "Tea"


@pytest.mark.parametrize("kind", ["agent_thought", "news", "", None])
def test_only_the_answer_of_a_message_is_text(kind: str | None, ask: Asker) -> None:
    right = RIGHT["dify"]
    first, *rest = right.events
    answer = ask.streamed(right, [first, {"event": kind, "answer": {"a": 1}}, *rest])
    assert answer.text == "Tea [3]"


# The run of an agent: its pieces, and the response that ends it


STRICT_OF_RUNS: Sequence[tuple[str, Any, str]] = [
    ("output", "secret", ""),
    ("output", {"0": {}}, ""),
    ("output.1.content", "secret", ""),
    ("output.1.content.0", "secret", ""),
    ("output.1.content.0.text", {"a": "secret"}, ""),
    ("output.1.content.0.type", {"a": "secret"}, ""),
    ("status", {"a": "secret"}, ""),
]


@pytest.mark.parametrize(("path", "value", "inner"), STRICT_OF_RUNS)
def test_what_carries_the_answer_of_a_run_is_named(
    path: str, value: Any, inner: str, ask: Asker
) -> None:
    right = RIGHT["perplexity agent"]
    body = changed(right.whole, in_place(path, whole=True), value)
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.whole(right, body)
    assert f"of another shape than documented: {path}{inner}: " in str(caught.value)
    assert "secret" not in str(caught.value)
    *events, last = right.events
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.streamed(right, [*events, {**last, "response": body}])
    assert f"of another shape than documented: {path}{inner}: " in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.partial_text == "Tea [3]"


@pytest.mark.parametrize("delta", [7, True, ["secret"], {"text": "secret"}])
def test_a_piece_of_an_agent_must_be_text(delta: Any, ask: Asker) -> None:
    right = RIGHT["perplexity agent"]
    event = {**right.events[2], "delta": delta}
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.streamed(right, [*right.events[:3], event, *right.events[3:]])
    check(caught.value, "an event", "delta", event)
    assert caught.value.partial_text == "Tea"


@pytest.mark.parametrize("kind", ["response.reasoning.delta", "response.news", "NEWS"])
def test_only_the_delta_of_an_agents_text_is_text(kind: str, ask: Asker) -> None:
    right = RIGHT["perplexity agent"]
    first, *rest = right.events
    answer = ask.streamed(right, [first, {"type": kind, "delta": {"a": 1}}, *rest])
    assert answer.text == "Tea [3]"


@pytest.mark.parametrize("data", ["secret", ["secret"], {"text": ["secret"]}, {"text": 7}])
def test_a_piece_of_a_workflow_must_be_text(data: Any, ask: Asker) -> None:
    right = RIGHT["dify workflow"]
    event = {**right.events[1], "data": data}
    with pytest.raises(errors.MalformedResponseError) as caught:
        ask.streamed(right, [*right.events[:2], event, *right.events[2:]])
    check(caught.value, "an event", "data.text" if isinstance(data, dict) else "data", event)
    assert caught.value.partial_text == "Tea"


def test_an_answer_of_items_that_cannot_be_read_is_none(ask: Asker) -> None:
    right = RIGHT["perplexity agent"]
    assert right.whole is not None
    for item in (None, "secret", {"type": 7}):
        body = {**right.whole, "output": [right.whole["output"][0], item]}
        with pytest.raises(errors.MalformedResponseError, match=r"output\.1") as caught:
            ask.whole(right, body)
        assert "secret" not in str(caught.value)
        first, found, *_, last = right.events
        with pytest.raises(errors.MalformedResponseError, match=r"output\.1"):
            ask.streamed(right, [first, found, {**last, "response": body}])


def test_an_answer_that_has_come_piece_by_piece_needs_no_item(ask: Asker) -> None:
    right = RIGHT["perplexity agent"]
    assert right.whole is not None
    *events, last = right.events
    for output in (None, [], [None], ["a word"]):
        answer = ask.streamed(
            right, [*events, {**last, "response": {**right.whole, "output": output}}]
        )
        assert answer.text == "Tea [3]"
