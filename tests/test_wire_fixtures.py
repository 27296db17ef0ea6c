"""The raw wire fixtures are well-formed: a broken fixture must not look like a broken decoder."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import get_args, get_type_hints

import httpx

from support import wire
from support.fault_server import FaultServer
from support.wire import ROOT, WireCase, cases

SERVICES = ["dify", "fireworks", "pais", "perplexity", "qaip"]
OPERATIONS = {
    "agent",
    "agent-chat",
    "agent-completions",
    "chat",
    "chat-messages",
    "completion-messages",
    "completions",
    "contents",
    "retrieve",
    "search",
}
SUFFIX_OF = {
    "application/json": ".json",
    "text/event-stream": ".sse",
    "text/html": ".txt",
    "text/plain": ".txt",
    "": ".txt",
}
KEY_LIKE = re.compile(
    r"\b(?:app-|dataset-|pplx-|sk-|fw_)[A-Za-z0-9]{10,}|Bearer [\w-]{12,}|\beyJ\w{10,}|-----BEGIN"
)
CASES = cases()


def each_case(check: Callable[[WireCase], None]) -> Callable[[], None]:
    """Make a check of one case a test of all, which names every case that fails."""

    def test() -> None:
        faults: list[Exception] = []
        for case in CASES:
            try:
                check(case)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told with its case
                error.add_note(f"in tests/wire/{case.id}")
                faults.append(error)
        if faults:
            raise ExceptionGroup(check.__name__, faults)

    test.__name__ = check.__name__
    return test


def folder(case: WireCase) -> Path:
    return ROOT / case.service / case.name


def test_every_service_has_whole_streamed_and_failing_answers() -> None:
    assert sorted(path.name for path in ROOT.iterdir()) == SERVICES
    for service in SERVICES:
        of_service = cases(service)
        assert {case.stream for case in of_service} == {True, False}
        assert {case.expected["error"] is None for case in of_service} == {True, False}


def test_every_kind_of_error_has_a_fixture() -> None:
    errors = [case.expected["error"] for case in CASES]
    assert {error["kind"] for error in errors if error} == set(get_args(wire.Kind))


@each_case
def test_a_case_is_three_files(case: WireCase) -> None:
    content_type = case.headers.get("content-type", "").split(";")[0]
    body = "body" + SUFFIX_OF[content_type]
    assert {path.name for path in folder(case).iterdir()} == {"case.json", "expected.json", body}


@each_case
def test_a_case_says_what_it_fixes(case: WireCase) -> None:
    assert re.fullmatch(r"[^\n]{15,160}\.", case.why)
    assert case.operation in OPERATIONS
    asked = case.request.get("stream", case.request.get("response_mode") == "streaming")
    assert asked == case.stream
    assert all(name == name.lower() for name in case.headers)


@each_case
def test_an_expectation_has_the_documented_keys(case: WireCase) -> None:
    optional = wire.Expected.__optional_keys__
    assert set(case.expected) - optional == set(get_type_hints(wire.Expected)) - optional
    for citation in case.expected["citations"]:
        assert set(citation) <= set(get_type_hints(wire.Citation))
        assert all(value not in (None, "", 0) for value in citation.values())
    if usage := case.expected["usage"]:
        assert set(usage) <= set(get_type_hints(wire.Usage))
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


@each_case
def test_an_error_and_a_partial_text_come_together(case: WireCase) -> None:
    error = case.expected["error"]
    assert (error is None) == (case.expected["partial"] is None)
    assert case.name.startswith("err_") == (error is not None)
    if error is None:
        assert case.status == 200
        return
    assert set(error) <= set(get_type_hints(wire.Failure))
    assert error["status"] == (None if case.status == 200 else case.status)


@each_case
def test_texts_are_given_for_more_than_one_choice_only(case: WireCase) -> None:
    texts = case.expected.get("texts")
    assert texts is None or (len(texts) > 1 and texts["0"] == case.expected["text"])


@each_case
def test_a_json_body_is_json(case: WireCase) -> None:
    if case.headers.get("content-type", "").startswith("application/json") and case.body:
        json.loads(case.body)


@each_case
def test_nothing_looks_like_a_key(case: WireCase) -> None:
    for path in folder(case).iterdir():
        assert not KEY_LIKE.search(path.read_text("utf-8"))
    assert not {"authorization", "cookie", "set-cookie", "x-api-key"} & set(case.headers)


def test_a_fault_server_serves_a_case_byte_for_byte() -> None:
    (case,) = (case for case in CASES if case.id == "qaip/stream_unicode_separators")
    with FaultServer() as server:
        server.replies(case.reply(sizes=1))
        answer = httpx.post(server.url, json=case.request, trust_env=False)
    assert answer.content == case.body
    assert answer.headers["content-type"] == case.headers["content-type"]
