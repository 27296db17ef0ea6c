"""What Dify's runs do: who stops them, how many there may be, and when they end by themselves."""

import gc
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import QUESTION, complete, end_of, events_of, streamed, text_of

LIMIT = {"concurrency": 1}


@pytest.fixture(scope="module")
def slow(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs, tokens_per_second=20, first_token=0.05, ping_every=0.02) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def mute(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs, first_token=60, ping_every=0.02) as sandbox:
        yield sandbox


def client_of(sandbox: Sandbox) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.env['DIFY_API_KEY']}"}
    return httpx.Client(verify=False, base_url=sandbox.env["DIFY_BASE_URL"], headers=headers)


def run(client: httpx.Client, switches: Any, fault: str = "", **more: Any) -> Any:
    body = {"inputs": {"query": QUESTION}, "user": "u", "response_mode": "streaming"}
    headers = {"x-sandbox-switches": json.dumps(switches)}
    headers |= {"x-sandbox-fault": fault} if fault else {}
    return client.stream("POST", "/completion-messages", json=body, headers=headers, **more)


def test_a_run_beyond_the_limit_is_refused(slow: Sandbox) -> None:
    with client_of(slow) as client, run(client, LIMIT):
        refused = complete(client, LIMIT).json()
    assert refused["code"] == "invalid_param"
    assert refused["message"].startswith("Too many requests. Please try again later. ")
    assert refused["message"].endswith(" is 1.")


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("fault", ["", "stall; after=1"], ids=["plain", "stalled"])
def test_a_client_that_hangs_up_leaves_its_place_at_once(slow: Sandbox, fault: str) -> None:
    with client_of(slow) as client:
        free_place(client)
        with run(client, LIMIT, fault=fault) as response:
            next(response.iter_bytes())
        assert free_place(client) < 0.5


@pytest.mark.usefixtures("uncollected")
def test_a_client_that_hangs_up_before_the_first_event_leaves_its_place_too(docs: Path) -> None:
    impatient = httpx.Timeout(5, read=0.01)
    with Sandbox(docs, first_token=0.1) as sandbox, client_of(sandbox) as client:
        with pytest.raises(httpx.ReadTimeout), run(client, LIMIT, timeout=impatient):
            pass
        assert free_place(client) < 0.5


def free_place(client: httpx.Client) -> float:
    """Return after how many seconds a run is let in."""
    started = time.monotonic()
    while time.monotonic() < started + 5:
        if complete(client, {**LIMIT, "empty": True}).status_code == 200:
            return time.monotonic() - started
        time.sleep(0.02)
    raise AssertionError("no place is ever free")


@pytest.mark.parametrize("mode", ["blocking", "streaming"])
def test_a_run_that_has_ended_or_failed_takes_no_place(dify: httpx.Client, mode: str) -> None:
    for switches in (LIMIT, {**LIMIT, "failure": "unavailable"}, {**LIMIT, "failure": "no_model"}):
        assert complete(dify, switches, response_mode=mode).status_code in (200, 400)
    assert complete(dify, LIMIT, inputs={}).json()["message"] == "query is required in input form"
    assert complete(dify, LIMIT, response_mode=mode).status_code == 200


def test_the_limit_is_told_before_files_and_inputs_are_looked_at(slow: Sandbox) -> None:
    with client_of(slow) as client, run(client, LIMIT):
        assert complete(client, LIMIT, inputs={}).json()["message"].startswith("Too many requests")


@pytest.mark.parametrize(
    ("profile", "counted"), [("0.15", True), ("1.8", False), ("1.9", False), ("1.16", False)]
)
def test_a_stopped_run_reports_no_tokens_but_where_it_estimates(
    slow: Sandbox, profile: str, counted: bool
) -> None:
    with client_of(slow) as client, run(client, {"profile": profile}) as response:
        text = ""
        for piece in response.iter_text():
            if "data: " in piece and "data: " not in text:
                first = next(x for x in piece.split("\n") if x.startswith("data: "))
                task = json.loads(first.removeprefix("data: "))["task_id"]
                client.post(f"/completion-messages/{task}/stop", json={"user": "u"})
            text += piece
    events = events_of(httpx.Response(200, text=text))
    usage = end_of(events)["metadata"]["usage"]
    assert (usage["completion_tokens"] > 0) == (usage["prompt_tokens"] > 0) == counted
    assert len(events) < 6


def test_time_ends_a_run_in_the_middle_of_a_wait(mute: Sandbox) -> None:
    started = time.monotonic()
    with client_of(mute) as client:
        (end,) = streamed(client, {"max_execution": 0.05})
    assert end["event"] == "message_end"
    assert end["metadata"]["usage"]["total_price"] == "0E-7"
    assert time.monotonic() - started < 10


def test_a_stop_ends_a_run_in_the_middle_of_a_wait(docs: Path) -> None:
    started = time.monotonic()
    with (
        Sandbox(docs, tokens_per_second=0.01) as sandbox,
        client_of(sandbox) as client,
        run(client, {}) as response,
    ):
        pieces = response.iter_text()
        task = json.loads(next(pieces).removeprefix("data: "))["task_id"]
        client.post(f"/completion-messages/{task}/stop", json={"user": "other"})
        client.post(f"/completion-messages/{task}/stop", json={"user": "u"})
        (end,) = events_of(httpx.Response(200, text="".join(pieces)))
    assert end["event"] == "message_end"
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("batch", [1, 4])
def test_the_journal_holds_no_more_than_was_said(slow: Sandbox, batch: int) -> None:
    with client_of(slow) as client:
        events = streamed(client, {"max_execution": 0.12, "batch": batch})
        assert slow.requests[-1].said[-1].text == text_of(events)
        complete(client, {"max_execution": 0.01})
        assert slow.requests[-1].said[-1].text == ""


@pytest.mark.parametrize("after", [0, 2, 1_000])
def test_the_journal_holds_what_a_failing_run_has_said(sandbox: Sandbox, after: int) -> None:
    switches = {"failure": "unavailable", "failure_after": after, "think": True}
    with client_of(sandbox) as client:
        events = streamed(client, switches)
        (said,) = sandbox.requests[-1].said
    assert (said.question, said.text) == (QUESTION, text_of(events))
    assert said.text.startswith("<think>" if after else "")


def test_a_stop_behind_the_end_of_the_answer_changes_nothing(docs: Path) -> None:
    with (
        Sandbox(docs, tokens_per_second=10) as sandbox,
        client_of(sandbox) as client,
        run(client, {"empty": True, "tts": "after"}) as response,
    ):
        text = ""
        for piece in response.iter_text():
            text += piece
            if "message_end" in piece:
                task = json.loads(piece.removeprefix("data: "))["task_id"]
                client.post(f"/completion-messages/{task}/stop", json={"user": "u"})
    names = [event["event"] for event in events_of(httpx.Response(200, text=text))]
    assert names == ["message", "message_end", "tts_message", "tts_message_end"]


def test_time_that_is_up_before_the_last_event_still_ends_the_stream(docs: Path) -> None:
    switches = {"max_execution": 0.05, "empty": True}
    with Sandbox(docs, tokens_per_second=1) as sandbox, client_of(sandbox) as client:
        events = streamed(client, switches)
    assert [event["event"] for event in events] == ["message", "message_end"]
    assert events[-1]["metadata"]["usage"]["total_tokens"] == 0


def test_a_blocking_run_over_its_time_has_no_text_and_cost_nothing(mute: Sandbox) -> None:
    with client_of(mute) as client:
        body = complete(client, {"max_execution": 0.05}).json()
    assert body["answer"] == ""
    assert body["metadata"]["usage"]["total_tokens"] == 0
    assert body["metadata"]["usage"]["total_price"] == "0.0000000"


def test_the_proxy_of_the_cloud_cuts_blocking_calls_but_no_streams(mute: Sandbox) -> None:
    switches = {"profile": "cloud", "cut_after": 0.05}
    with client_of(mute) as client:
        response = complete(client, switches)
        events = streamed(client, switches | {"max_execution": 0.1})
    assert (response.status_code, response.text) == (524, "error code: 524")
    assert "x-version" not in response.headers
    assert events[-1]["event"] == "message_end"


def test_no_header_comes_before_the_first_event_or_ping(slow: Sandbox, mute: Sandbox) -> None:
    with client_of(mute) as client:
        started = time.monotonic()
        with run(client, {}) as response:
            assert time.monotonic() - started >= 0.02
            assert next(response.iter_bytes()) == b"event: ping\n\n"


def test_a_run_within_its_time_is_whole(dify: httpx.Client) -> None:
    whole = complete(dify).json()["answer"]
    assert text_of(streamed(dify, {"max_execution": 60})) == whole
