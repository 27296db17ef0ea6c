"""What a completion of Qaip sends, and what is refused before it is sent."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, errors
from qaip_core.backends.qaip import COMPLETIONS
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply

ID = "9d0a7f4e-3c61-4f8b-a2d5-7e1b0c9f8a01"
OTHER = "9d0a7f4e-3c61-4f8b-a2d5-7e1b0c9f8a02"
WHOLE = {"created": 1, "choices": [{"message": {"content": "Tea"}, "finish_reason": "stop"}]}
LATER: dict[str, Any] = {
    "tag_names": ["a"],
    "tag_filter_logic": "AND",
    "source_metadata": {"filters": []},
    "use_postfilter": True,
    "principal_id": "someone",
    "authz_policy": "default",
    "limit": 3,
    "grounding": True,
    "conversation_id": ID,
    "parent_message_id": OTHER,
    "regenerate": True,
    "truncation": "disabled",
    "redaction_policy_id": "policy-1",
    "include_retrieved": True,
    "include_redacted_input": True,
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def test_every_later_field_is_sent_under_its_wire_name(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    Client(settings(COMPLETIONS, server.url)).complete(COMPLETIONS, "q", LATER)
    sent = {("tags" if k == "tag_names" else k): v for k, v in LATER.items()}
    sent["source_metadata"] = {}
    messages = [{"role": "user", "content": "q"}]
    assert server.requests[0].json() == {**sent, "messages": messages}


def test_nothing_is_sent_that_was_not_set(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    Client(settings(COMPLETIONS, server.url)).complete(COMPLETIONS, "q", {})
    assert server.requests[0].json() == {"messages": [{"role": "user", "content": "q"}]}


@pytest.mark.parametrize(
    ("values", "accept"),
    [
        ({}, "text/event-stream"),
        ({"stream_protocol": "events"}, "text/event-stream"),
        ({"stream_protocol": "plain"}, "application/json"),
    ],
)
async def test_the_accept_header_chooses_the_stream(
    values: dict[str, Any], accept: str, server: FaultServer
) -> None:
    line = b'{"choices":[{"message":{"content":"Tea"},"finish_reason":"stop"}]}\n'
    for _ in range(2):
        server.replies(Reply(content_type="text/plain", body=line))
    client = Client(settings(COMPLETIONS, server.url))
    assert "".join(i.text for i in client.stream(COMPLETIONS, "q", values)) == "Tea"
    aclient = AsyncClient(settings(COMPLETIONS, server.url))
    assert "".join([i.text async for i in aclient.stream(COMPLETIONS, "q", values)]) == "Tea"
    assert [r.headers["accept"] for r in server.requests] == [accept] * 2
    for request in server.requests:
        assert request.json() == {"messages": [{"role": "user", "content": "q"}], "stream": True}
    await aclient.close()


def test_a_whole_answer_is_asked_for_as_json(server: FaultServer) -> None:
    server.replies(json_reply(WHOLE))
    client = Client(settings(COMPLETIONS, server.url))
    client.complete(COMPLETIONS, "q", {"stream_protocol": "events"})
    assert server.requests[0].headers["accept"] == "application/json"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"limit": 0}, "limit: .*greater than or equal to 1"),
        ({"conversation_id": "latest"}, "conversation_id: .*not a UUID"),
        ({"conversation_id": ID, "parent_message_id": 7}, "parent_message_id: .*not a UUID"),
        ({"parent_message_id": ID}, "parent_message_id needs conversation_id"),
        ({"regenerate": True, "conversation_id": ID}, "regenerate needs parent_message_id"),
        ({"include_redacted_input": True}, "include_redacted_input needs redaction_policy_id"),
        ({"truncation": "oldest"}, "truncation: "),
        ({"tag_filter_logic": "XOR"}, "tag_filter_logic: "),
        ({"stream_protocol": "sse"}, "stream_protocol: "),
        ({"tags": ["a"]}, "Did you mean 'tag_ids'|Did you mean 'tag_names'"),
    ],
)
def test_what_the_service_would_refuse_is_refused_before_it_is_sent(
    values: dict[str, Any], says: str, server: FaultServer
) -> None:
    with pytest.raises(errors.InvalidParameterError, match=says):
        Client(settings(COMPLETIONS, server.url)).complete(COMPLETIONS, "q", values)
    assert not server.requests


def test_an_id_may_be_a_uuid() -> None:
    checked = COMPLETIONS.check({"conversation_id": uuid.UUID(ID)})
    assert checked == {"conversation_id": ID}


@pytest.mark.parametrize(
    ("status", "code", "kind", "retried"),
    [
        (422, "UNKNOWN_REDACTION_POLICY", errors.UnprocessableEntityError, False),
        (503, "REDACTION_UNAVAILABLE", errors.ServerError, True),
        (503, "REDACTION_FAILED", errors.ServerError, False),
        (409, "THREAD_ADVANCED", errors.ConflictError, False),
        (409, "conflict_error", errors.ConflictError, False),
    ],
)
def test_an_error_of_the_service_s_own_is_repeated_only_where_that_helps(
    status: int, code: str, kind: type[errors.ServiceError], retried: bool, server: FaultServer
) -> None:
    refusal = json_reply({"error": {"code": code, "message": "No."}}, status, retry_after="0")
    server.replies(refusal, json_reply(WHOLE))
    client = Client(settings(COMPLETIONS, server.url, max_retries=1))
    if retried:
        assert client.complete(COMPLETIONS, "q", {}).text == "Tea"
        return
    with pytest.raises(kind) as caught:
        client.complete(COMPLETIONS, "q", {})
    assert (caught.value.code, caught.value.attempts) == (code, 1)


def test_an_unknown_redaction_policy_says_that_nothing_was_answered(server: FaultServer) -> None:
    body = {"error": {"code": "UNKNOWN_REDACTION_POLICY", "message": "No such policy."}}
    server.replies(json_reply(body, 422))
    with pytest.raises(errors.UnprocessableEntityError, match="Check redaction_policy_id"):
        Client(settings(COMPLETIONS, server.url)).complete(
            COMPLETIONS, "q", {"redaction_policy_id": "p"}
        )


def test_a_missing_scope_is_named_for_every_call(server: FaultServer) -> None:
    server.replies(json_reply({"message": "no"}, 403))
    with pytest.raises(errors.PermissionDeniedError, match=r"inference:run .*knowledge:read"):
        Client(settings(COMPLETIONS, server.url)).complete(COMPLETIONS, "q", {})


@pytest.mark.parametrize("name", ["include_retrieved", "include_redacted_input"])
def test_a_plain_stream_is_not_asked_for_what_it_cannot_carry(
    name: str, server: FaultServer
) -> None:
    values = {"stream_protocol": "plain", "redaction_policy_id": "p", name: True}
    client = Client(settings(COMPLETIONS, server.url))
    with pytest.raises(errors.InvalidParameterError, match=f"plain stream .*{name}"):
        list(client.stream(COMPLETIONS, "q", values))
    assert not server.requests
    server.replies(json_reply(WHOLE))
    assert client.complete(COMPLETIONS, "q", values).text == "Tea"
