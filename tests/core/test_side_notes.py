"""What accompanies an answer may have any shape: the answer, which is billed, is not lost."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from qaip_core import Completion, errors
from qaip_core.backends import fireworks
from qaip_core.backends.qaip import library, stored
from support.asker import Asker, asking
from support.fault_server import Reply
from support.right_bodies import RIGHT, Json, changed, in_place
from support.side_notes import NAN, ROWS, Row


@pytest.fixture(scope="module")
def ask() -> Iterator[Asker]:
    with asking() as asker:
        yield asker


def known(answer: Completion) -> Json:
    sources = [c for c in answer.citations if not c.metadata.get("grounding")]
    return {
        "id": answer.id,
        "model": answer.model,
        "created": answer.created,
        "usage": answer.usage and (answer.usage.input_tokens, answer.usage.output_tokens),
        "total": answer.usage and answer.usage.total_tokens,
        "cached": answer.usage and answer.usage.cached_tokens,
        "reasoned": answer.usage and answer.usage.reasoning_tokens,
        "counts": answer.usage and answer.usage.counts,
        "reasoning": answer.choice.reasoning,
        "logprobs": answer.choice.logprobs,
        "ranks": [source.rank for source in sources],
        "sources": [source.id for source in sources],
        "urls": [source.url for source in sources],
        "titles": [source.title for source in sources],
        "texts": [source.text for source in sources],
        "pages": [source.page_number for source in sources],
        "dates": [source.date for source in sources],
        "scores": [source.score for source in sources],
        "source": sources[0].metadata if sources else None,
        "malformed": None,
        **answer.metadata,
    }


SERVED = [(row, service) for row in ROWS for service in row.services]
each_row = pytest.mark.parametrize(
    ("row", "service"), SERVED, ids=[f"{row} {service}" for row, service in SERVED]
)


def check(row: Row, answer: Completion) -> None:
    assert (answer.text, answer.finish_reason) == ("Tea [3]", "stop")
    facts = known(answer)
    wanted = {"malformed": None, **row.found}
    assert {name: facts[name] for name in wanted} == wanted
    json.dumps(
        [answer.metadata, answer.raw, [c.as_dict() for c in answer.citations]], allow_nan=False
    )
    usage = (answer.raw or {}).get("usage") or {}
    assert all(type(usage.get(name, 0)) is int for name in ("prompt_tokens", "completion_tokens"))


@each_row
def test_a_strange_note_costs_nothing_but_itself(row: Row, service: str, ask: Asker) -> None:
    right = RIGHT[service]
    if row.whole:
        check(
            row, ask.whole(right, changed(right.whole, in_place(row.path, whole=True), row.value))
        )
    if row.streamed:
        path = in_place(row.path, whole=False)
        check(row, ask.streamed(right, [changed(e, path, row.value) for e in right.events]))


def test_what_was_left_out_is_told_with_the_partial_answer(ask: Asker) -> None:
    first, _ = RIGHT["perplexity"].events
    with pytest.raises(errors.IncompleteStreamError) as caught:
        ask.streamed(RIGHT["perplexity"], [changed(first, ("search_results", 0), 7)])
    partial = caught.value.partial
    assert partial is not None
    assert partial.text == "Tea"
    assert partial.metadata["malformed"] == ["search_results.0"]


def test_each_path_is_told_once_and_in_the_order_of_the_wire(ask: Asker) -> None:
    right = RIGHT["pais chat"]
    first, last = ({**event, "id": {}, "model": []} for event in right.events)
    answer = ask.streamed(right, [first, first, {**last, "usage": 7}])
    assert answer.metadata["malformed"] == ["id", "model", "usage"]


def test_later_sources_that_cannot_be_read_do_not_replace_earlier_ones(ask: Asker) -> None:
    right = RIGHT["perplexity"]
    first, last = right.events
    answer = ask.streamed(right, [first, {**last, "search_results": 7, "citations": []}])
    assert [source.title for source in answer.citations] == ["Leaf 1", "Leaf 2", "Leaf 3"]


@pytest.mark.parametrize(
    ("service", "path"), [("perplexity", "search_results.1"), ("qaip", "choices.0.citations.1")]
)
def test_a_marker_names_the_source_of_its_rank(service: str, path: str, ask: Asker) -> None:
    right = RIGHT[service]
    answer = ask.whole(right, changed(right.whole, in_place(path, whole=True), 7))
    marked = {source.rank: [(s.start, s.end) for s in source.spans] for source in answer.citations}
    assert {rank: spans for rank, spans in marked.items() if rank < 4} == {1: [], 3: [(4, 7)]}


@pytest.mark.parametrize(
    ("call", "name", "call_id", "path"),
    [
        ({"id": 7, "function": {"name": "brew"}}, "brew", "7", None),
        ({"id": {}, "function": {"name": "brew"}}, "brew", None, "id"),
        ({"index": "0", "function": {"name": "brew"}}, "brew", None, None),
        ({"index": "no", "function": {"name": "brew"}}, "brew", None, "index"),
        ({"type": 7, "function": {"name": "brew"}}, "brew", None, None),
    ],
)
def test_the_number_and_the_id_of_a_call_are_side_notes(
    call: Json, name: str, call_id: str | None, path: str | None, ask: Asker
) -> None:
    right = RIGHT["fireworks chat"]
    first, last = right.events
    whole = ask.whole(right, changed(right.whole, ("choices", 0, "message", "tool_calls"), [call]))
    event = changed(first, ("choices", 0, "delta", "tool_calls"), [call])
    streamed = ask.streamed(right, [event, last])
    for answer, said in ((whole, "message"), (streamed, "delta")):
        (found,) = answer.choice.tool_calls
        assert (found.name, found.id, found.index) == (name, call_id, 0)
        noted = [f"choices.0.{said}.tool_calls.0.{path}"] if path else None
        assert answer.metadata.get("malformed") == noted


RUNS: Sequence[tuple[str, Json, Json]] = [
    (
        "ids that are numbers",
        {"type": "RUN_STARTED", "conversationId": 7},
        {"conversation_id": "7"},
    ),
    (
        "ids in a result",
        {"type": "RUN_FINISHED", "result": {"user_message_id": 7}},
        {"user_message_id": "7"},
    ),
    (
        "an id of another kind",
        {"type": "RUN_STARTED", "userMessageId": {}},
        {"malformed": ["userMessageId"]},
    ),
    (
        "an id of another kind in a result",
        {"type": "RUN_STARTED", "result": {"userMessageId": {}}},
        {"malformed": ["result.userMessageId"]},
    ),
    ("a result of another kind", {"type": "RUN_STARTED", "result": 7}, {"malformed": ["result"]}),
    (
        "citations of another kind",
        {"type": "CUSTOM", "name": "citations", "value": 7},
        {"malformed": ["value"]},
    ),
    (
        "a citation of another kind",
        {"type": "CUSTOM", "name": "citations", "value": [7]},
        {"malformed": ["value.0"]},
    ),
    (
        "retrieved sources of another kind",
        {"type": "CUSTOM", "name": "retrieved", "value": 7},
        {"malformed": ["value"]},
    ),
    ("no retrieved sources", {"type": "CUSTOM", "name": "retrieved", "value": None}, {}),
    ("a name of another kind", {"type": "CUSTOM", "name": {}, "value": 7}, {"malformed": ["name"]}),
    ("NaN", {"type": "CUSTOM", "name": "tea", "value": [NAN]}, {"tea": [None]}),
]


@pytest.mark.parametrize(("event", "found"), [r[1:] for r in RUNS], ids=[r[0] for r in RUNS])
def test_what_a_run_says_besides_its_text(event: Json, found: Json, ask: Asker) -> None:
    text = {"type": "TEXT_MESSAGE_CONTENT", "delta": "Tea"}
    events = [text, event, *([] if event["type"] == "RUN_FINISHED" else [{"type": "RUN_FINISHED"}])]
    answer = ask.streamed(RIGHT["qaip run"], events)
    assert answer.text == "Tea"
    assert {"malformed": None, **answer.metadata} == {"malformed": None, **found}


FILES: Sequence[tuple[Json, Any, Any]] = [
    ({"url": 7}, "7", None),
    ({"url": {}}, None, ["url"]),
    ({"url": "https://tea.example", "size": NAN}, "https://tea.example", None),
]


@pytest.mark.parametrize(("fields", "url", "noted"), FILES)
def test_a_file_of_a_run_is_a_side_note(fields: Json, url: Any, noted: Any, ask: Asker) -> None:
    events = [
        {"event": "message_file", **fields},
        {"event": "message", "answer": "Tea"},
        {"event": "message_end"},
    ]
    answer = ask.streamed(RIGHT["dify"], events)
    assert answer.text == "Tea"
    assert answer.metadata.get("malformed") == noted
    assert ("files" in answer.metadata) == (url is not None)
    json.dumps(answer.metadata, allow_nan=False)


def test_of_several_files_those_that_can_be_read_are_kept(ask: Asker) -> None:
    right = RIGHT["dify"]
    answer = ask.streamed(
        right, [*right.events[:-1], {**right.events[-1], "files": [7, {"id": "f"}]}]
    )
    assert answer.metadata["files"] == [{"id": "f"}]
    assert answer.metadata["malformed"] == ["files.0"]


def test_of_two_keys_of_one_name_the_last_counts(ask: Asker) -> None:
    right = RIGHT["pais chat"]
    said = b'{"content":"x","content":"Tea"},"finish_reason":"x","finish_reason":"stop"'
    twice = b'{"id":7,"id":"b","choices":7,"choices":[{"%b":' + said + b"}]}"
    whole = ask.sent(right, Reply(body=twice % b"message"))
    streamed = ask.streamed(right, [twice % b"delta"])
    assert [(a.text, a.id) for a in (whole, streamed)] == [("Tea", "b")] * 2


@pytest.mark.parametrize("number", ["1" + "0" * 30, "1" + "0" * 400, "-1" + "0" * 4000, "1e400"])
def test_no_number_is_too_large_for_a_side_note(number: str, ask: Asker) -> None:
    right = RIGHT["pais chat"]
    choice = '{"index":N,"message":{"content":"Tea"},"finish_reason":"stop"}'
    usage = '{"prompt_tokens":N,"total_tokens":N,"cost":N}'
    body = f'{{"id":N,"created":N,"choices":[{choice}],"usage":{usage}}}'
    answer = ask.sent(right, Reply(body=body.replace("N", number).encode()))
    assert (answer.text, answer.finish_reason) == ("Tea", "stop")


def test_a_model_that_cannot_be_read_hides_no_other(ask: Asker) -> None:
    data = [7, {"id": "a", "created": "12", "context_length": "8k"}, {"created": 1}, {"id": 7}]
    listed = ask.listed(RIGHT["fireworks chat"], fireworks.MODELS, {"data": data})
    found = [(model.id, model.created, model.context_length) for model in listed]
    assert found == [("a", 12, None), ("7", None, None)]


def test_an_entry_that_lacks_what_it_cannot_do_without_is_left_out_as_a_whole(ask: Asker) -> None:
    tags = [{"id": "t", "name": "tea"}, {"id": {}, "name": {}}, {"name": "pot"}, 7]
    listed = ask.listed(RIGHT["qaip"], library.TAGS, {"tags": tags})
    assert [(tag.id, tag.name) for tag in listed] == [("t", "tea")]


def test_a_list_of_what_was_asked_for_is_not_given_out_in_part(ask: Asker) -> None:
    for wrong in ({"title": "Tea"}, {"id": {}}, 7, None):
        body = {"conversations": [{"id": "c"}, wrong]}
        with pytest.raises(errors.MalformedResponseError, match="conversations"):
            ask.listed(RIGHT["qaip"], stored.LIST, body)
