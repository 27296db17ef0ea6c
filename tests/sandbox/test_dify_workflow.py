"""Dify's workflow apps: their events, their outputs, and how a run ends early."""

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import QUESTION, SENTENCE, events_of

KINDS = ["start", "knowledge-retrieval", "llm", "end"]


def run(
    client: httpx.Client, switches: Mapping[str, Any] | None = None, **fields: Any
) -> httpx.Response:
    body = {"inputs": {"query": QUESTION}, "user": "u", **fields}
    headers = {"x-sandbox-switches": json.dumps(switches or {})}
    return client.post("/workflows/run", json=body, headers=headers)


def streamed(
    client: httpx.Client, switches: Mapping[str, Any] | None = None, **fields: Any
) -> list[dict[str, Any]]:
    return events_of(run(client, switches, response_mode="streaming", **fields))


def test_a_whole_run_gives_out_text_and_sources(dify: httpx.Client) -> None:
    body = run(dify).json()
    data = body["data"]
    assert list(body) == ["workflow_run_id", "task_id", "data"]
    assert (data["status"], data["error"], data["total_steps"]) == ("succeeded", None, 4)
    assert data["outputs"]["text"].startswith(SENTENCE)
    assert data["outputs"]["sources"]
    assert data["id"] == body["workflow_run_id"]


def test_a_stream_tells_of_every_node(dify: httpx.Client) -> None:
    events = streamed(dify)
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("workflow_started", "workflow_finished")
    for name in ("node_started", "node_finished"):
        told = [e["data"]["node_type"] for e in events if e["event"] == name]
        assert told == KINDS
    assert len({event["workflow_run_id"] for event in events}) == 1
    assert len({event["task_id"] for event in events}) == 1


def test_pieces_of_text_make_the_text_of_the_outputs(dify: httpx.Client) -> None:
    events = streamed(dify)
    pieces = [e["data"]["text"] for e in events if e["event"] == "text_chunk"]
    assert len(pieces) > 3
    assert "".join(pieces) == events[-1]["data"]["outputs"]["text"]
    assert events[-1]["data"]["outputs"] == run(dify).json()["data"]["outputs"]


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_failure_is_told_inside_a_success(dify: httpx.Client, mode: str) -> None:
    switches = {"failure": "unavailable", "failure_after": 2}
    response = run(dify, switches, response_mode=mode)
    assert response.status_code == 200
    told = response.json() if mode == "blocking" else events_of(response)[-1]
    assert (told["data"]["status"], told["data"]["outputs"]) == ("failed", {})
    assert "Server Unavailable" in told["data"]["error"]


def test_a_failing_node_is_the_last_one(dify: httpx.Client) -> None:
    events = streamed(dify, {"failure": "unavailable", "failure_after": 2})
    assert [e["event"] for e in events[-4:]] == [
        *["text_chunk"] * 2,
        "node_finished",
        "workflow_finished",
    ]
    assert events[-2]["data"]["status"] == "failed"


@pytest.mark.parametrize("app", ["completion", "chat", "agent-chat", "advanced-chat"])
def test_other_apps_are_no_workflows(dify: httpx.Client, app: str) -> None:
    response = run(dify, {"app": app})
    assert (response.status_code, response.json()["code"]) == (400, "not_workflow_app")
    stop = dify.post(
        "/workflows/tasks/t/stop",
        json={"user": "u"},
        headers={"x-sandbox-switches": json.dumps({"app": app})},
    )
    assert stop.json()["code"] == "not_workflow_app"


@pytest.mark.parametrize("profile", ["0.15", "1.9", "1.16"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"inputs": {}}, "query is required in input form"),
        ({"user": ""}, "Arg user must be provided."),
        ({"response_mode": "psychic"}, ""),
    ],
)
def test_a_bad_call_is_refused(
    dify: httpx.Client, profile: str, fields: dict[str, Any], words: str
) -> None:
    response = run(dify, {"profile": profile}, **fields)
    assert response.status_code == 400
    assert words in response.text


def test_a_workflow_app_shows_its_form(dify: httpx.Client) -> None:
    headers = {"x-sandbox-switches": json.dumps({"app": "workflow"})}
    form = dify.get("/parameters", headers=headers).json()["user_input_form"]
    assert [entry["paragraph"]["variable"] for entry in form] == ["query"]
    assert dify.get("/info", headers=headers).json()["mode"] == "workflow"


@pytest.fixture
def slow(docs: Path) -> Iterator[httpx.Client]:
    with Sandbox(docs, tokens_per_second=20) as sandbox:
        headers = {"Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
        url = sandbox.env["DIFY_BASE_URL"]
        with httpx.Client(verify=False, base_url=url, headers=headers) as client:
            yield client


@pytest.mark.parametrize(("user", "status"), [("u", "stopped"), ("v", "succeeded")])
def test_a_run_is_stopped_by_its_own_user(slow: httpx.Client, user: str, status: str) -> None:
    body = {"inputs": {"query": QUESTION}, "user": "u", "response_mode": "streaming"}
    with slow.stream("POST", "/workflows/run", json=body) as response:
        lines = response.iter_lines()
        first = json.loads(next(lines).removeprefix("data: "))
        path = f"/workflows/tasks/{first['task_id']}/stop"
        asked = threading.Thread(target=slow.post, args=(path,), kwargs={"json": {"user": user}})
        asked.start()
        events = [json.loads(x.removeprefix("data: ")) for x in lines if x.startswith("data: ")]
        asked.join()
    assert events[-1]["event"] == "workflow_finished"
    assert events[-1]["data"]["status"] == status


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_run_over_the_time_limit_fails(slow: httpx.Client, mode: str) -> None:
    response = run(slow, {"max_execution": 0.1}, response_mode=mode)
    told = response.json() if mode == "blocking" else events_of(response)[-1]
    assert told["data"]["status"] == "failed"
    assert "execution time" in told["data"]["error"]


def test_an_unknown_event_lies_among_the_others(dify: httpx.Client) -> None:
    assert "weather" in [e["event"] for e in streamed(dify, {"unknown_event": True})]


def test_a_list_in_place_of_a_run(dify: httpx.Client) -> None:
    assert isinstance(run(dify, {"whole": "list"}).json(), list)
