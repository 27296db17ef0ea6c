"""What Dify's switches change in an answer."""

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import SENTENCE, chat, complete, end_of, events_of, streamed, text_of

PRESET = "This cannot be answered here."


def names(events: list[dict[str, Any]]) -> set[str]:
    return {event["event"] for event in events}


@pytest.mark.parametrize("replace", ["early", "late"])
@pytest.mark.parametrize("profile", ["0.15", "1.9", "1.16"])
def test_a_replaced_draft_leaves_the_answer(dify: httpx.Client, profile: str, replace: str) -> None:
    events = streamed(dify, {"profile": profile, "replace": replace})
    assert text_of(events) == complete(dify).json()["answer"]
    place = [event["event"] for event in events].index("message_replace")
    assert (place == 1) == (replace == "early")
    assert ("reason" in events[place]) == (profile != "0.15")
    assert "id" not in events[place]


def test_a_refused_question_is_answered_character_by_character(dify: httpx.Client) -> None:
    events = streamed(dify, {"moderation": "input"})
    assert [event["answer"] for event in events[:-1]] == list(PRESET)
    usage = end_of(events)["metadata"]["usage"]
    assert (usage["total_tokens"], usage["prompt_unit_price"]) == (0, "0.0")
    assert end_of(events)["metadata"]["retriever_resources"] == []


@pytest.mark.parametrize(("profile", "times"), [("0.15", 2), ("1.8", 1), ("1.9", 1)])
def test_a_withdrawn_answer_is_replaced_at_its_end(
    dify: httpx.Client, profile: str, times: int
) -> None:
    events = streamed(dify, {"profile": profile, "moderation": "output"})
    *said, end = events
    assert [e["answer"] for e in said if e["event"] == "message_replace"] == [PRESET] * times
    assert end["metadata"]["usage"]["completion_tokens"] == 0
    assert text_of(events) == PRESET


@pytest.mark.parametrize(("profile", "replaced"), [("0.15", True), ("1.9", False)])
def test_only_the_oldest_release_confirms_a_harmless_answer(
    dify: httpx.Client, profile: str, replaced: bool
) -> None:
    events = streamed(dify, {"profile": profile, "moderation": "harmless"})
    assert ("message_replace" in names(events)) == replaced
    assert text_of(events) == complete(dify).json()["answer"]


@pytest.mark.parametrize(
    ("switches", "files"),
    [
        ({"text_event": "message_file"}, False),
        ({"profile": "1.16", "file": True}, True),
    ],
)
def test_text_can_be_labelled_a_file(
    dify: httpx.Client, switches: dict[str, Any], files: bool
) -> None:
    events = streamed(dify, switches)
    assert names(events) == {"message_file", "message_end"}
    assert text_of(events) == complete(dify).json()["answer"]
    assert any("url" in event for event in events) == files


def test_a_picture_comes_as_an_event_and_is_listed_at_the_end(dify: httpx.Client) -> None:
    picture, *_, end = streamed(dify, {"file": True})
    assert (picture["event"], picture["type"], picture["belongs_to"]) == (
        "message_file", "image", "assistant",
    )  # fmt: skip
    assert end["files"][0]["url"] == picture["url"]


@pytest.mark.parametrize("tts", ["before", "after"])
def test_speech_comes_before_or_after_the_end(dify: httpx.Client, tts: str) -> None:
    order = [event["event"] for event in streamed(dify, {"tts": tts})][-3:]
    speech = ["tts_message", "tts_message_end"]
    end = ["message_end"]
    assert order == (speech + end if tts == "before" else end + speech)


def test_thoughts_stand_before_the_answer(dify: httpx.Client) -> None:
    answer = complete(dify, {"think": True}).json()["answer"]
    assert answer.startswith("<think>")
    assert answer.partition("</think>\n\n")[2].startswith(SENTENCE)
    assert text_of(streamed(dify, {"think": True})) == answer


def test_line_separators_are_raw_where_the_stream_is_compact(dify: httpx.Client) -> None:
    for profile, raw in (("1.8", False), ("1.9", True), ("1.16", True)):
        switches = {"profile": profile, "separators": True}
        response = complete(dify, switches, response_mode="streaming")
        assert ("\u2028\u2029\x85" in response.text) == raw
        assert text_of(events_of(response)).endswith("\u2028\u2029\x85")


@pytest.mark.parametrize("usage", ["null", "absent", "zero"])
def test_usage_can_be_missing(dify: httpx.Client, usage: str) -> None:
    for metadata in (
        complete(dify, {"usage": usage}).json()["metadata"],
        end_of(streamed(dify, {"usage": usage}))["metadata"],
    ):
        assert ("usage" in metadata) == (usage != "absent")
        if usage == "zero":
            assert metadata["usage"]["total_tokens"] == 0
            assert Decimal(metadata["usage"]["total_price"]) == 0
        else:
            assert metadata.get("usage") is None


def test_citations_can_be_off(dify: httpx.Client) -> None:
    switches = {"citations": False}
    assert complete(dify, switches).json()["metadata"]["retriever_resources"] == []
    headers = {"x-sandbox-switches": '{"citations": false}'}
    told = dify.get("/parameters", headers=headers).json()
    assert told["retriever_resource"] == {"enabled": False}


def test_another_systems_passages_have_no_ids_and_no_links(dify: httpx.Client) -> None:
    switches = {"knowledge": "external"}
    (source, *_) = complete(dify, switches).json()["metadata"]["retriever_resources"]
    assert (source["data_source_type"], source["segment_id"]) == ("external", None)
    assert source["document_id"] == source["document_name"] == "returns.md"
    assert source["doc_metadata"] is None


def test_a_question_and_its_answer_are_one_text(dify: httpx.Client) -> None:
    (source, *_) = complete(dify, {"knowledge": "qa"}).json()["metadata"]["retriever_resources"]
    assert source["content"].startswith("question:What is said about Refunds? \nanswer:")
    assert SENTENCE in source["content"]


def test_an_empty_answer_is_an_answer(dify: httpx.Client) -> None:
    assert complete(dify, {"empty": True}).json()["answer"] == ""
    assert text_of(streamed(dify, {"empty": True})) == ""


def test_streams_can_have_a_mark_other_line_ends_and_several_events_at_a_time(
    dify: httpx.Client,
) -> None:
    switches = {"bom": True, "crlf": True, "batch": 4, "unknown_event": True}
    body = {"inputs": {"query": "refund"}, "user": "u", "response_mode": "streaming"}
    headers = {"x-sandbox-switches": json.dumps(switches)}
    with dify.stream("POST", "/completion-messages", json=body, headers=headers) as response:
        chunks = list(response.iter_raw())
    text = b"".join(chunks)
    assert text.startswith(b"\xef\xbb\xbfdata: ")
    assert text.count(b"\n") == text.count(b"\r\n") == 2 * text.count(b"data: ")
    assert "weather" in names(events_of(httpx.Response(200, content=text)))


@pytest.mark.parametrize(("whole", "body"), [("list", list), ("empty", bytes)])
def test_a_blocking_answer_can_be_no_object(dify: httpx.Client, whole: str, body: type) -> None:
    response = complete(dify, {"whole": whole})
    assert response.status_code == 200
    assert isinstance(response.json() if body is list else response.content, body)
    assert body is list or not response.content


FAILURES = {
    "rate_limit": "completion_request_error",
    "unavailable": "completion_request_error",
    "bad_model_key": "completion_request_error",
    "no_credentials": "provider_not_initialize",
    "no_quota": "provider_quota_exceeded",
    "unsupported_model": "model_currently_not_support",
    "crash": "internal_server_error",
}


@pytest.mark.parametrize(("failure", "code"), FAILURES.items())
def test_a_failing_run_is_an_error_or_an_event(dify: httpx.Client, failure: str, code: str) -> None:
    whole = complete(dify, {"failure": failure})
    (event,) = streamed(dify, {"failure": failure})
    assert event["event"] == "error"
    assert (event["code"], event["status"]) == (code, whole.status_code)
    assert whole.json() == {k: event[k] for k in ("code", "message", "status")}
    assert list(event) == ["event", "message_id", "created_at", "code", "status", "message"]


@pytest.mark.parametrize("failure", ["no_provider", "no_model"])
def test_a_wrong_configuration_is_told_before_any_stream(dify: httpx.Client, failure: str) -> None:
    for mode in ("blocking", "streaming"):
        response = complete(dify, {"failure": failure}, response_mode=mode)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_param")


def test_a_run_can_fail_after_some_text_and_without_words(dify: httpx.Client) -> None:
    switches = {"failure": "unavailable", "failure_after": 3, "null_error": True}
    *said, error = streamed(dify, switches)
    assert [event["event"] for event in said] == ["message"] * 3
    assert error["message"] is None


def test_a_model_s_rate_limit_keeps_its_status_in_newer_streams(dify: httpx.Client) -> None:
    switches = {"profile": "1.16", "failure": "rate_limit"}
    (event,) = streamed(dify, switches)
    assert (event["code"], event["status"]) == ("rate_limit_error", 429)
    assert complete(dify, switches).json()["code"] == "completion_request_error"


APIS = {
    "disabled": "The app's API service has been disabled.",
    "deleted": "The app no longer exists.",
    "abnormal": "The app's status is abnormal.",
    "archived": "The workspace's status is archived.",
}


@pytest.mark.parametrize(("api", "message"), APIS.items())
def test_a_closed_app_refuses_every_call_after_the_key(
    dify: httpx.Client, api: str, message: str
) -> None:
    body = {"code": "forbidden", "message": message, "status": 403}
    for response in (complete(dify, {"api": api}, user=""), chat(dify, {"api": api})):
        assert (response.status_code, response.json()) == (403, body)


@pytest.mark.parametrize(
    ("app", "completes", "chats"),
    [
        ("any", None, None),
        ("completion", None, "not_chat_app"),
        ("chat", "app_unavailable", None),
        ("workflow", "app_unavailable", "not_chat_app"),
    ],
)
def test_a_key_opens_the_routes_of_its_app(
    dify: httpx.Client, app: str, completes: str | None, chats: str | None
) -> None:
    assert complete(dify, {"app": app}).json().get("code") == completes
    assert chat(dify, {"app": app}).json().get("code") == chats
    headers = {"x-sandbox-switches": f'{{"app": "{app}"}}'}
    kind = "completion" if app == "any" else app
    assert dify.get("/info", headers=headers).json()["mode"] == kind


def test_the_error_of_a_fault_has_the_words_of_the_profile(
    dify: httpx.Client, sandbox: Sandbox
) -> None:
    headers = {"x-sandbox-fault": "error; after=1", "x-sandbox-switches": '{"null_error": true}'}
    body = {"inputs": {"query": "refund"}, "user": "u", "response_mode": "streaming"}
    *_, error = events_of(dify.post("/completion-messages", json=body, headers=headers))
    assert list(error) == ["event", "message_id", "created_at", "code", "status", "message"]
    assert error["message"] is None
