"""The streams of Qaip: lines of several kinds, raw text, and AG-UI events."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

QUESTION = "How long does a refund take?"
MESSAGES = [{"role": "user", "content": QUESTION}]
ABSENT = "absent"


def stream(client: httpx.Client, accept: str = "*/*", **switches: Any) -> httpx.Response:
    fields = switches.pop("fields", {})
    return client.post(
        "/completions",
        json={"messages": MESSAGES, "stream": True, **fields},
        headers={"Accept": accept, "x-sandbox-switches": json.dumps(switches)},
    )


def written(response: httpx.Response) -> bytes:
    """The body, without the one thing that differs from request to request."""
    return re.sub(rb'"created":\d+', b'"created":0', response.content)


def choices(response: httpx.Response) -> list[Any]:
    assert response.status_code == 200, response.text
    return [json.loads(line)["choices"][0] for line in response.content.split(b"\n") if line]


@pytest.fixture
def text(qaip: httpx.Client) -> str:
    body = qaip.post("/completions", json={"messages": MESSAGES}).json()
    return str(body["choices"][0]["message"]["content"])


def test_cumulative_lines_hold_all_the_text_so_far(qaip: httpx.Client, text: str) -> None:
    found = [c["message"]["content"] for c in choices(stream(qaip, stream="cumulative"))]
    assert found[-1] == text
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(found))


def test_delta_lines_begin_with_the_role(qaip: httpx.Client, text: str) -> None:
    found = [c["delta"] for c in choices(stream(qaip, stream="delta"))]
    assert "".join(delta["content"] for delta in found) == text
    assert ["role" in delta for delta in found] == [True] + [False] * (len(found) - 1)


def test_a_recap_is_a_last_line_with_the_whole_text(qaip: httpx.Client, text: str) -> None:
    *pieces, recap = choices(stream(qaip, stream="recap"))
    assert "".join(c["message"]["content"] for c in pieces) == text
    assert (recap["message"]["content"], recap["finish_reason"]) == (text, "stop")


def test_raw_text_has_neither_json_nor_citations(qaip: httpx.Client, text: str) -> None:
    response = stream(qaip, stream="text")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.text == text


@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_a_stream_can_be_ignored(qaip: httpx.Client, text: str, accept: str) -> None:
    response = stream(qaip, accept, stream="ignored")
    assert response.headers["content-type"] == "application/json"
    assert response.json()["choices"][0]["message"]["content"] == text


@pytest.mark.parametrize(
    ("citations", "places"),
    [("last", [-1]), ("first", [0]), ("every", [0, 1, -1]), ("own", [-1]), ("none", [])],
)
def test_citations_come_on_chosen_lines(
    qaip: httpx.Client, citations: str, places: list[int]
) -> None:
    found = choices(stream(qaip, citations=citations))
    chosen = range(len(found)) if citations == "every" else [p % len(found) for p in places]
    assert ["citations" in c for c in found] == [n in chosen for n in range(len(found))]


def test_citations_on_a_line_of_their_own_come_after_the_end(qaip: httpx.Client) -> None:
    *_, end, own = choices(stream(qaip, citations="own"))
    assert end["finish_reason"] == "stop"
    assert own["message"]["content"] == ""
    assert own["citations"]


@pytest.mark.parametrize(
    ("finish_reason", "before", "end"),
    [
        ("last", ABSENT, "stop"),
        ("never", ABSENT, ABSENT),
        ("null_then_stop", None, "stop"),
        ("empty", "", "stop"),
    ],
)
def test_the_finish_reason_comes_in_four_ways(
    qaip: httpx.Client, finish_reason: str, before: Any, end: Any
) -> None:
    found = choices(stream(qaip, finish_reason=finish_reason))
    reasons = [c.get("finish_reason", ABSENT) for c in found]
    assert reasons == [before] * (len(found) - 1) + [end]


def test_lines_can_be_written_in_odd_ways(qaip: httpx.Client) -> None:
    plain = written(stream(qaip))
    assert written(stream(qaip, line_ending="crlf")) == plain.replace(b"\n", b"\r\n")
    assert written(stream(qaip, final_newline=False)) == plain.removesuffix(b"\n")
    assert written(stream(qaip, byte_order_mark=True)) == b"\xef\xbb\xbf" + plain
    spread = written(stream(qaip, blank_lines=True))
    assert spread.replace(b"\n\n", b"\n").removeprefix(b"\n") == plain
    assert spread.count(b"\n") == 2 * plain.count(b"\n")


def test_the_charset_parameter_can_be_wrong(qaip: httpx.Client) -> None:
    response = stream(qaip, charset="iso-8859-1")
    assert response.headers["content-type"] == "text/plain; charset=iso-8859-1"
    assert written(response) == written(stream(qaip))


def test_two_choices_take_turns_and_none_is_an_empty_stream(qaip: httpx.Client) -> None:
    two = choices(stream(qaip, choices=2))
    assert [c["index"] for c in two[:4]] == [0, 1, 0, 1]
    assert stream(qaip, choices=0).content == b""


def test_unicode_line_separators_stay_raw(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("A refund\u2028takes 5\u0085days.", "utf-8")
    with Sandbox(tmp_path) as sandbox:
        headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
        with httpx.Client(
            base_url=sandbox.env["QAIP_BASE_URL"], headers=headers, verify=False
        ) as client:
            assert "\u2028".encode() in stream(client).content


def test_an_event_stream_begins_with_a_keep_alive(qaip: httpx.Client) -> None:
    assert stream(qaip, "text/event-stream").content.startswith(b": keepalive\n\ndata: {")
    assert stream(qaip, "text/event-stream", keep_alive=False).content.startswith(b"data: {")
    assert stream(qaip, stream="events", line_ending="crlf").content.startswith(
        b": keepalive\r\n\r\ndata: {"
    )


def test_the_seed_knows_no_event_streams(qaip: httpx.Client) -> None:
    response = stream(qaip, "text/event-stream", profile="seed")
    assert response.headers["content-type"].startswith("text/plain")
    assert "x-conversation-id" not in response.headers


def test_a_message_can_be_marked_in_an_event_stream(qaip: httpx.Client, events: Any) -> None:
    kinds = [event["type"] for event in events(stream(qaip, stream="events", message_events=True))]
    assert kinds[:3] == ["RUN_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
    assert kinds[-3:] == ["TEXT_MESSAGE_END", "CUSTOM", "RUN_FINISHED"]


def test_long_lists_are_split_over_events(qaip: httpx.Client, events: Any) -> None:
    fields = {
        "messages": [{"role": "user", "content": "Which lamp draws how many watts?"}],
        "include_retrieved": True,
    }
    whole = events(stream(qaip, stream="events", fields=fields))
    split = events(stream(qaip, stream="events", fields=fields, event_bytes=1))
    for name in ("citations", "retrieved"):
        (value,) = [e["value"] for e in whole if e.get("name") == name]
        parts = [e["value"] for e in split if e.get("name") == name]
        assert [len(part) for part in parts] == [1] * len(value)
        assert [item for part in parts for item in part] == value


def test_grounding_is_an_event_too(qaip: httpx.Client, events: Any) -> None:
    found = events(stream(qaip, stream="events", grounding=True, fields={"grounding": True}))
    (value,) = [e["value"] for e in found if e.get("name") == "grounding"]
    assert value["web_citations"]


def test_a_failed_redaction_ends_an_event_stream(qaip: httpx.Client, events: Any) -> None:
    fields = {"redaction_policy_id": "x"}
    response = stream(qaip, "text/event-stream", redaction="failed", fields=fields)
    (failed,) = events(response)
    assert (failed["type"], failed["code"]) == ("RUN_ERROR", "REDACTION_FAILED")


def test_an_error_in_a_stream_has_the_form_of_the_stream(qaip: httpx.Client) -> None:
    qaip.headers["x-sandbox-fault"] = "error; after=2"
    last = stream(qaip).content.rstrip().split(b"\n")[-1]
    assert json.loads(last)["error"]["type"] == "api_error"
    event = stream(qaip, stream="events").content.rstrip().split(b"\n")[-1]
    assert json.loads(event.removeprefix(b"data: "))["type"] == "RUN_ERROR"
