"""Dify's chat apps: conversations, their messages, and ratings."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import QUESTION, SENTENCE, chat, complete, events_of, text_of

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def fresh(docs: Path) -> Iterator[httpx.Client]:
    with Sandbox(docs) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
        with httpx.Client(
            verify=False, base_url=sandbox.env["DIFY_BASE_URL"], headers=headers
        ) as client:
            yield client


def test_a_conversation_goes_on_by_its_id(fresh: httpx.Client) -> None:
    first = chat(fresh).json()
    assert first["mode"] == "chat"
    assert first["answer"].startswith(SENTENCE)
    uuid.UUID(first["conversation_id"])
    events = events_of(
        chat(fresh, conversation_id=first["conversation_id"], response_mode="streaming")
    )
    assert {event["conversation_id"] for event in events} == {first["conversation_id"]}
    assert text_of(events) == first["answer"]
    listed = fresh.get(
        "/messages", params={"user": "u", "conversation_id": first["conversation_id"]}
    ).json()
    assert [m["answer"] for m in listed["data"]] == [first["answer"]] * 2
    assert (listed["limit"], listed["has_more"]) == (20, False)


@pytest.mark.parametrize("conversation", [None, ""])
def test_no_id_begins_a_conversation(fresh: httpx.Client, conversation: str | None) -> None:
    ids = {chat(fresh, conversation_id=conversation).json()["conversation_id"] for _ in range(2)}
    assert len(ids) == 2


@pytest.mark.parametrize("of_another", [False, True])
def test_a_conversation_of_nobody_or_another_is_not_found(
    fresh: httpx.Client, of_another: bool
) -> None:
    wanted = chat(fresh, user="v").json()["conversation_id"] if of_another else UNKNOWN
    response = chat(fresh, conversation_id=wanted)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert response.json()["message"].startswith(
        "Conversation Not Exists. You have requested this URI [/v1/chat-messages] but did you mean "
    )


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("0.15", "x is not a valid uuid."),
        ("1.9", "Input payload validation failed"),
        ("1.16", "conversation_id must be a valid UUID"),
    ],
)
def test_an_id_that_is_none_is_refused(dify: httpx.Client, profile: str, message: str) -> None:
    response = chat(dify, {"profile": profile}, conversation_id="x")
    assert response.status_code == 400
    assert message in response.json()["message"]


@pytest.mark.parametrize(("generate", "name"), [(True, QUESTION), (False, "New conversation")])
def test_a_conversation_is_named_and_renamed(
    fresh: httpx.Client, generate: bool, name: str
) -> None:
    started = chat(fresh, auto_generate_name=generate).json()["conversation_id"]
    (only,) = fresh.get("/conversations", params={"user": "u"}).json()["data"]
    assert (only["id"], only["name"]) == (started, name)
    named = fresh.post(f"/conversations/{started}/name", json={"name": "Lamps", "user": "u"})
    assert named.json()["name"] == "Lamps"
    assert fresh.get("/conversations", params={"user": "other"}).json()["data"] == []
    assert (
        fresh.post(f"/conversations/{UNKNOWN}/name", json={"name": "x", "user": "u"}).status_code
        == 404
    )


def test_messages_come_page_by_page_the_latest_page_first(fresh: httpx.Client) -> None:
    started = chat(fresh).json()["conversation_id"]
    for number in range(4):
        chat(fresh, query=f"refund {number}", conversation_id=started)
    params = {"user": "u", "conversation_id": started, "limit": "2"}
    page = fresh.get("/messages", params=params).json()
    assert ([m["query"] for m in page["data"]], page["has_more"]) == (
        ["refund 2", "refund 3"],
        True,
    )
    page = fresh.get("/messages", params={**params, "first_id": page["data"][0]["id"]}).json()
    assert [m["query"] for m in page["data"]] == ["refund 0", "refund 1"]


@pytest.mark.parametrize(
    ("limit", "told"),
    [("9" * 5_000, 100), ("101", 100), ("100", 100), ("1", 1), ("0", 1), ("x", 20), ("-1", 20)],
    ids=lambda value: str(value)[:8],
)
def test_a_page_has_1_to_100_items(fresh: httpx.Client, limit: str, told: int) -> None:
    params = {"user": "u", "conversation_id": chat(fresh).json()["conversation_id"], "limit": limit}
    for path in ("/messages", "/conversations"):
        page = fresh.get(path, params=params).json()
        assert (page["limit"], len(page["data"])) == (told, 1)


@pytest.mark.parametrize("deed", ["chat", "name"])
def test_a_conversation_that_goes_on_becomes_the_latest(
    fresh: httpx.Client, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    first, second = (chat(fresh).json()["conversation_id"] for _ in range(2))
    later = int(time.time()) + 60
    monkeypatch.setattr(time, "time", lambda: later)
    if deed == "chat":
        chat(fresh, conversation_id=first)
    else:
        fresh.post(f"/conversations/{first}/name", json={"name": "x", "user": "u"})
    data = fresh.get("/conversations", params={"user": "u"}).json()["data"]
    assert [one["id"] for one in data] == [first, second]
    assert [one["updated_at"] == later for one in data] == [True, False]
    assert data[0]["created_at"] < later


@pytest.mark.parametrize(
    ("params", "status"),
    [({"conversation_id": UNKNOWN}, 404), ({}, 400), ({"conversation_id": "x"}, 400)],
)
def test_messages_need_a_known_conversation(
    dify: httpx.Client, params: dict[str, str], status: int
) -> None:
    assert dify.get("/messages", params={"user": "u", **params}).status_code == status


def test_an_agent_streams_only_and_in_events_of_its_own(dify: httpx.Client) -> None:
    switches = {"app": "agent-chat"}
    message = chat(dify, switches).json()["message"]
    assert message == "Agent Chat App does not support blocking mode"
    events = events_of(chat(dify, switches, response_mode="streaming"))
    assert {event["event"] for event in events} == {"agent_message", "message_end"}
    assert text_of(events).startswith(SENTENCE)


def test_a_chat_needs_a_query(dify: httpx.Client) -> None:
    body = {"inputs": {}, "user": "u"}
    errors = dify.post("/chat-messages", json=body).json()["errors"]
    assert errors == {"query": "Chat query Missing required parameter in the JSON body"}


def test_a_chat_can_be_stopped_by_its_route(dify: httpx.Client) -> None:
    response = dify.post("/chat-messages/x/stop", json={"user": "u"})
    assert response.json() == {"result": "success"}


def rate(client: httpx.Client, message: str, rating: Any, user: str = "u") -> httpx.Response:
    return client.post(f"/messages/{message}/feedbacks", json={"rating": rating, "user": user})


def test_a_message_is_rated_and_the_rating_taken_back(fresh: httpx.Client) -> None:
    said = chat(fresh).json()
    success = {"result": "success"}
    params = {"user": "u", "conversation_id": said["conversation_id"]}
    assert rate(fresh, said["message_id"], "like").json() == success
    (message,) = fresh.get("/messages", params=params).json()["data"]
    assert message["feedback"] == {"rating": "like"}
    assert rate(fresh, said["message_id"], None).json() == success
    refused = rate(fresh, said["message_id"], None)
    assert refused.json()["message"] == "rating cannot be None when feedback not exists"


@pytest.mark.parametrize("profile", ["0.15", "1.9", "1.16"])
def test_a_rating_is_one_of_two(dify: httpx.Client, profile: str) -> None:
    message = complete(dify).json()["message_id"]
    headers = {"x-sandbox-switches": json.dumps({"profile": profile})}
    body = {"rating": "great", "user": "u"}
    response = dify.post(f"/messages/{message}/feedbacks", json=body, headers=headers)
    assert response.status_code == 400


def test_a_message_of_another_user_is_not_found(dify: httpx.Client) -> None:
    said = complete(dify).json()["message_id"]
    for message in (said, UNKNOWN):
        response = rate(dify, message, "like", user="other")
        assert response.json() == {
            "code": "not_found", "message": "Message Not Exists.", "status": 404,
        }  # fmt: skip
    assert rate(dify, "x", "like").headers["content-type"] == "text/html; charset=utf-8"
