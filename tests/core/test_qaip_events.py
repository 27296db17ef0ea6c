"""Qaip's AG-UI events: what a run says beside its text, and what grounding adds to an answer."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import pytest

from qaip_core import Client, Completion, errors
from qaip_core.backends.qaip import COMPLETIONS
from qaip_core.backends.qaip.retrieved import retrieved
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, json_reply, sse_reply

STARTED = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
TEA = {"type": "TEXT_MESSAGE_CONTENT", "delta": "Tea"}
SOURCE = {"id": "c-1", "url": "https://tea.example", "text": "Leaves.", "page_number": 0}
PAGE = {"title": "Tea today", "url": "https://news.example/tea"}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def custom(name: str, value: Any) -> dict[str, Any]:
    return {"type": "CUSTOM", "name": name, "value": value}


def finished(result: Any = None) -> dict[str, Any]:
    return {"type": "RUN_FINISHED", "threadId": "t", "runId": "r", "result": result}


def streamed(server: FaultServer, *events: Mapping[str, Any]) -> Completion:
    server.replies(sse_reply(*map(json.dumps, events)))
    with closing(Client(settings(COMPLETIONS, server.url))) as client:
        return add_up(list(client.stream(COMPLETIONS, "q", {})))


def whole(server: FaultServer, **choice: Any) -> Completion:
    said = {"message": {"content": "Tea"}, "finish_reason": "stop", **choice}
    server.replies(json_reply({"created": 1, "choices": [said]}))
    with closing(Client(settings(COMPLETIONS, server.url))) as client:
        return client.complete(COMPLETIONS, "q", {})


def shown(answer: Completion) -> Sequence[tuple[str | None, int | None, Any]]:
    return [(c.url, c.rank, c.metadata.get("grounding")) for c in answer.citations]


def test_web_pages_are_sources_after_the_documents(server: FaultServer) -> None:
    answers = [
        whole(server, citations=[SOURCE], web_citations=[PAGE]),
        streamed(server, STARTED, TEA, custom("citations", [SOURCE]),
                 custom("grounding", {"web_citations": [PAGE]}), finished()),
    ]  # fmt: skip
    for answer in answers:
        assert shown(answer) == [
            ("https://tea.example", 1, None),
            ("https://news.example/tea", 2, True),
        ]
        assert answer.citations[1].title == "Tea today"
    assert answers[0].citations[1].id == answers[1].citations[1].id


def test_what_must_be_displayed_is_in_the_metadata_by_its_name(server: FaultServer) -> None:
    answer = streamed(server, STARTED, TEA, custom("search_suggestion", "<b>tea</b>"), finished())
    assert answer.metadata["search_suggestion"] == "<b>tea</b>"


def test_an_event_of_another_name_is_kept_under_it(server: FaultServer) -> None:
    answer = streamed(server, STARTED, TEA, custom("weather", {"rain": 1}), finished())
    assert answer.metadata["weather"] == {"rain": 1}


def test_a_web_page_that_cannot_be_read_is_noted_and_leaves_a_gap(server: FaultServer) -> None:
    answer = whole(server, web_citations=[7, PAGE])
    assert shown(answer) == [("https://news.example/tea", 2, True)]
    assert answer.metadata["malformed"] == ["choices.0.web_citations.0"]


def test_the_result_of_a_run_adds_what_no_event_has_said(server: FaultServer) -> None:
    said = {"message": {"content": "Tea"}, "finish_reason": "stop", "citations": [SOURCE]}
    result = {"created": 5, "choices": [said], "conversation_id": "k", "retrieved": [SOURCE]}
    answer = streamed(server, STARTED, TEA, finished(result))
    assert (answer.text, answer.finish_reason, answer.created) == ("Tea", "stop", 5)
    assert [c.id for c in answer.citations] == ["c-1"]
    assert answer.metadata == {"conversation_id": "k", "retrieved": [SOURCE]}


def test_the_events_win_over_the_result(server: FaultServer) -> None:
    other = {**SOURCE, "id": "c-2"}
    events = STARTED, TEA, custom("retrieved", [SOURCE]), custom("retrieved", [other])
    answer = streamed(server, *events, finished({"retrieved": [SOURCE]}))
    assert answer.metadata["retrieved"] == [SOURCE, other]


def test_a_text_that_comes_in_the_result_alone_is_the_answer(server: FaultServer) -> None:
    answer = streamed(server, STARTED, finished({"choices": [{"message": {"content": "Tea"}}]}))
    assert (answer.text, answer.finish_reason) == ("Tea", None)


@pytest.mark.parametrize("result", [7, "done", [], {"choices": 7}, {"choices": [7]}])
def test_a_result_of_another_shape_costs_nothing_but_itself(
    result: Any, server: FaultServer
) -> None:
    answer = streamed(server, STARTED, TEA, finished(result))
    assert answer.text == "Tea"
    assert answer.metadata["malformed"]


def test_retrieved_passages_are_read_from_the_metadata(server: FaultServer) -> None:
    parts = custom("retrieved", [SOURCE]), custom("retrieved", [7, {**SOURCE, "id": "c-2"}])
    answer = streamed(server, STARTED, TEA, *parts, finished())
    assert [(c.id, c.rank) for c in retrieved(answer.metadata)] == [("c-1", 1), ("c-2", 3)]
    assert retrieved({}) == []


def test_what_must_be_displayed_is_found_among_facts_of_other_names(server: FaultServer) -> None:
    said = {"search_suggestion": "<b>tea</b>", "web_citations": [PAGE], "model": "m"}
    answer = streamed(server, STARTED, TEA, custom("grounding", said), finished())
    assert answer.metadata["search_suggestion"] == "<b>tea</b>"
    assert answer.metadata["grounding"] == {"model": "m"}
    assert shown(answer) == [("https://news.example/tea", 1, True)]


def test_many_parts_of_retrieved_passages_make_one_list(server: FaultServer) -> None:
    parts = [custom("retrieved", [{**SOURCE, "id": str(n)}]) for n in range(40)]
    answer = streamed(server, STARTED, TEA, *parts, finished())
    assert [c.id for c in retrieved(answer.metadata)] == [str(n) for n in range(40)]


@pytest.mark.parametrize("name", ["request_id", "requestId"])
def test_a_run_s_error_has_the_id_of_the_request_that_it_names(
    name: str, server: FaultServer
) -> None:
    error = {"type": "RUN_ERROR", "message": "No.", "code": "REDACTION_FAILED", name: "req-7"}
    with pytest.raises(errors.ServerReportedError) as caught:
        streamed(server, STARTED, TEA, error)
    told = caught.value
    assert (told.request_id, told.code, told.is_retryable) == ("req-7", "REDACTION_FAILED", False)


def test_of_several_answers_in_a_result_the_first_by_its_index_is_taken(
    server: FaultServer,
) -> None:
    other = {"index": 1, "message": {"content": "Coffee"}, "finish_reason": "length"}
    first = {"index": 0, "message": {"content": "Tea"}, "finish_reason": "stop"}
    answer = streamed(server, STARTED, finished({"choices": [other, first]}))
    assert (answer.text, answer.finish_reason) == ("Tea", "stop")


def test_a_web_page_without_title_and_address_is_no_source(server: FaultServer) -> None:
    answer = whole(server, web_citations=[{"title": "", "url": None}, PAGE])
    assert shown(answer) == [("https://news.example/tea", 2, True)]
