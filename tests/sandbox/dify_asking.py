"""Calls of Dify under switches, for the tests of its emulator."""

import json
from collections.abc import Mapping
from typing import Any

import httpx

__all__ = ["QUESTION", "SENTENCE", "chat", "complete", "end_of", "events_of", "streamed", "text_of"]

QUESTION = "How long does a refund take?"
SENTENCE = "A refund reaches the buyer's account in 5 working days."
_SWITCHES = "x-sandbox-switches"


def complete(
    client: httpx.Client, switches: Mapping[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    body = {"inputs": {"query": QUESTION}, "user": "u", **fields}
    headers = {_SWITCHES: json.dumps(switches or {})}
    return client.post("/completion-messages", json=body, headers=headers)


def chat(
    client: httpx.Client, switches: Mapping[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    body = {"inputs": {}, "query": QUESTION, "user": "u", **fields}
    headers = {_SWITCHES: json.dumps(switches or {})}
    return client.post("/chat-messages", json=body, headers=headers)


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    lines = response.text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    return [json.loads(x.removeprefix("data: ")) for x in lines if x.startswith("data: ")]


def streamed(
    client: httpx.Client, switches: Mapping[str, Any] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    return events_of(complete(client, switches, response_mode="streaming", **fields))


def text_of(events: list[dict[str, Any]]) -> str:
    """Put a stream's text together as its reader has to."""
    text = ""
    for event in events:
        text = ("" if event["event"] == "message_replace" else text) + event.get("answer", "")
    return text


def end_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    return next(event for event in events if event["event"] == "message_end")
