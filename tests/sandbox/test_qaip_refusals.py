"""How Qaip refuses and fails, and numbers that nobody should send."""

import json
from typing import Any

import httpx
import pytest

MESSAGES = [{"role": "user", "content": "How long does a refund take?"}]
EVENTS = {"Accept": "text/event-stream"}


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, "invalid_request_error", "not valid"),
        (401, "authentication_error", "key"),
        (402, "billing_error", "credits"),
        (403, "permission_error", "scope"),
        (404, "not_found_error", "Not found"),
        (408, "timeout_error", "too long"),
        (409, "conflict_error", "conversation"),
        (413, "invalid_request_error", "too large"),
        (415, "invalid_request_error", "content type"),
        (418, "invalid_request_error", "not valid"),
        (422, "unprocessable_error", "processed"),
        (429, "rate_limit_error", "Too many"),
        (500, "api_error", "Something went wrong"),
        (503, "api_error", "overloaded"),
        (520, "api_error", "gateway"),
        (524, "api_error", "waited too long"),
        (529, "api_error", "overloaded"),
        (599, "api_error", "Something went wrong"),
    ],
)
def test_a_status_has_its_kind_and_its_words(
    qaip: httpx.Client, status: int, kind: str, words: str
) -> None:
    response = qaip.get("/tags", headers={"x-sandbox-fault": f"status; code={status}"})
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (status, kind)
    assert words in error["message"]


@pytest.mark.parametrize("number", [2**63, 10**23])
def test_numbers_beyond_all_bounds_are_numbers(qaip: httpx.Client, number: int) -> None:
    qaip.post("/completions", json={"messages": MESSAGES, "limit": number}).raise_for_status()

    def listed(**query: int) -> list[Any]:
        response = qaip.get("/conversations", params=query)
        assert response.status_code == 200, response.text
        return list(response.json()["conversations"])

    def found(**fields: int) -> list[Any]:
        response = qaip.post("/search", json={"query": "refund", **fields})
        assert response.status_code == 200, response.text
        return list(response.json()["results"])

    assert listed(limit=number)
    assert listed(offset=number) == listed(limit=number, offset=number) == []
    assert found(limit=number)
    assert found(offset=number) == found(limit=number, offset=number) == []
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}}
    body = {"schema": schema, "limit": number, "offset": number}
    assert qaip.post("/extract", json=body).status_code == 200


def test_an_event_stream_fails_in_events_whatever_a_plain_one_would_do(qaip: httpx.Client) -> None:
    qaip.headers.update(EVENTS)
    qaip.headers["x-sandbox-switches"] = json.dumps({"stream": "lines", "line_ending": "crlf"})
    qaip.headers["x-sandbox-fault"] = "error; after=2; message=Lost"
    body = {"messages": MESSAGES, "stream": True}
    content = qaip.post("/completions", json=body).content
    *_, last, end = content.split(b"\r\n\r\n")
    error = {"type": "RUN_ERROR", "message": "Lost", "code": "INTERNAL_ERROR"}
    assert (json.loads(last.removeprefix(b"data: ")), end) == (error, b"")


def test_an_event_stream_is_kept_alive_by_comments(qaip: httpx.Client) -> None:
    body = {"messages": MESSAGES, "stream": True}
    qaip.headers["x-sandbox-switches"] = json.dumps({"stream": "lines", "keep_alive": False})
    qaip.headers["x-sandbox-fault"] = "pings; after=0; seconds=0.02; every=0.01"
    events = qaip.post("/completions", json=body, headers=EVENTS).content
    assert events.startswith(b": keepalive\n\n" * 2 + b"data: {")
    assert qaip.post("/completions", json=body).content.startswith(b'\n\n{"created"')
