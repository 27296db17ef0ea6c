"""Runs of Perplexity's agent that are asked for again: in the background, resumed, continued."""

import json
import time
from typing import Any

import httpx
import pytest

QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts.[1] The Solstice lamp draws 4 watts.[2]"
BODY = {"model": "perplexity/sonar", "input": QUESTION, "tools": [{"type": "web_search"}]}
UNKNOWN = "resp_00000000-0000-0000-0000-000000000000"


def begin(perplexity: httpx.Client, switches: Any = None, **fields: Any) -> httpx.Response:
    headers = {"x-sandbox-switches": json.dumps(switches or {})}
    return perplexity.post("/v1/responses", json={**BODY, **fields}, headers=headers)


def again(perplexity: httpx.Client, run_id: str, **options: Any) -> httpx.Response:
    """Ask for a run by the other name of the call."""
    return perplexity.get(f"/v1/agent/{run_id}", **options)


def said(body: Any) -> str:
    return str(body["output"][-1]["content"][0]["text"])


def refusal(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["message"]


def test_a_background_run_is_queued_goes_on_and_is_done(perplexity: httpx.Client) -> None:
    queued = begin(perplexity, {"polls": 2}, background=True, preset="low", model=None).json()
    assert (queued["status"], queued["model"], queued["output"]) == ("queued", "low", [])
    polls = [again(perplexity, queued["id"]).json() for _ in range(4)]
    statuses = ["in_progress", "in_progress", "completed", "completed"]
    assert [poll["status"] for poll in polls] == statuses
    assert (polls[0]["output"], polls[0]["usage"], polls[0]["completed_at"]) == ([], None, None)
    assert said(polls[2]) == TEXT
    assert polls[2]["background"] is True


def test_a_background_run_can_be_done_at_the_first_poll(perplexity: httpx.Client) -> None:
    queued = begin(perplexity, {"polls": 0}, background=True).json()
    assert queued["status"] == "queued"
    assert said(again(perplexity, queued["id"]).json()) == TEXT


def test_a_cancelled_run_keeps_what_it_had_found(perplexity: httpx.Client) -> None:
    run_id = begin(perplexity, background=True).json()["id"]
    cancelled = perplexity.post(f"/v1/agent/{run_id}/cancel").json()
    assert cancelled == {"response_id": run_id, "status": "cancelling"}
    body = again(perplexity, run_id).json()
    assert (body["status"], body["incomplete_details"]) == ("cancelled", {"reason": "cancelled"})
    assert [item["type"] for item in body["output"]] == ["search_results"]
    assert body["usage"] is None


def test_what_has_ended_or_never_was_cannot_be_cancelled(perplexity: httpx.Client) -> None:
    words = (400, "the run is already terminal and cannot be cancelled")
    for run_id in (begin(perplexity).json()["id"], UNKNOWN):
        assert refusal(perplexity.post(f"/v1/agent/{run_id}/cancel")) == words


def test_a_run_can_be_asked_for_again(perplexity: httpx.Client) -> None:
    body = begin(perplexity).json()
    assert again(perplexity, body["id"]).json() == body


def test_a_run_that_is_not_stored_is_only_there_for_what_follows(perplexity: httpx.Client) -> None:
    run_id = begin(perplexity, store=False).json()["id"]
    assert refusal(again(perplexity, run_id)) == (404, "resource not found")
    assert begin(perplexity, previous_response_id=run_id).status_code == 200


def test_ids_are_checked(perplexity: httpx.Client) -> None:
    assert refusal(again(perplexity, UNKNOWN)) == (404, "resource not found")
    assert refusal(again(perplexity, "resp_1")) == (400, "invalid response id")


def test_a_stream_is_resumed_after_a_sequence_number(perplexity: httpx.Client, events: Any) -> None:
    whole = events(begin(perplexity, background=True, stream=True))
    middle = whole[5]["sequence_number"]
    run_id = whole[0]["response"]["id"]
    rest = again(perplexity, run_id, params={"stream": "true", "starting_after": str(middle)})
    kept = [event for event in whole if event["sequence_number"] > middle]
    assert [e["sequence_number"] for e in events(rest)] == [e["sequence_number"] for e in kept]
    assert events(rest) == kept
    assert len(events(again(perplexity, run_id, params={"stream": "true"}))) == len(whole)


def test_who_has_seen_the_end_of_a_stream_need_not_poll(
    perplexity: httpx.Client, events: Any
) -> None:
    whole = events(begin(perplexity, {"polls": 5}, background=True, stream=True))
    assert again(perplexity, whole[0]["response"]["id"]).json()["status"] == "completed"


def test_a_run_outlives_the_stream_that_was_cut(perplexity: httpx.Client, events: Any) -> None:
    perplexity.headers["x-sandbox-fault"] = "truncate; after=3"
    cut = events(begin(perplexity, {"polls": 1}, background=True, stream=True))
    del perplexity.headers["x-sandbox-fault"]
    run_id = cut[0]["response"]["id"]
    assert again(perplexity, run_id).json()["status"] == "in_progress"
    assert again(perplexity, run_id).json()["status"] == "completed"


def test_a_stream_that_is_too_old_cannot_be_resumed(perplexity: httpx.Client) -> None:
    run_id = begin(perplexity).json()["id"]
    params = {"stream": "true", "starting_after": "3"}
    headers = {"x-sandbox-switches": '{"cursor_expired": true}'}
    expired = again(perplexity, run_id, params=params, headers=headers)
    assert refusal(expired) == (400, "the cursor has expired")
    assert said(again(perplexity, run_id, headers=headers).json()) == TEXT
    for first in ({"stream": "true"}, {"stream": "true", "starting_after": "-1"}):
        assert again(perplexity, run_id, params=first, headers=headers).status_code == 200


@pytest.mark.parametrize("after", ["x", "", "--5", "5-", "9" * 5_000, "\u0663"])
def test_a_stream_is_resumed_after_whole_numbers_only(perplexity: httpx.Client, after: str) -> None:
    params = {"stream": "true", "starting_after": after}
    odd = again(perplexity, begin(perplexity).json()["id"], params=params)
    assert refusal(odd) == (400, "invalid starting_after")


def test_a_stream_is_the_same_whenever_it_is_read(perplexity: httpx.Client, events: Any) -> None:
    whole = events(begin(perplexity, background=True, stream=True))
    run_id = whole[0]["response"]["id"]
    assert events(again(perplexity, run_id, params={"stream": "true"})) == whole


def test_a_run_keeps_the_time_of_its_end(
    perplexity: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, now = begin(perplexity).json(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert again(perplexity, body["id"]).json()["completed_at"] == body["completed_at"]
    assert begin(perplexity).json()["completed_at"] == int(now + 100)


def test_a_run_goes_on_where_another_has_ended(perplexity: httpx.Client) -> None:
    first = begin(perplexity, input="Hello", instructions="Be brief.").json()
    second = begin(perplexity, previous_response_id=first["id"], instructions="Be long.").json()
    assert said(second) == TEXT
    assert second["previous_response_id"] == first["id"]
    # "Hello", its answer and the question; the instructions of the first run are gone.
    alone = begin(perplexity, instructions="Be long.").json()["usage"]["input_tokens"]
    more = first["usage"]["output_tokens"] + 1
    assert second["usage"]["input_tokens"] == alone + more


@pytest.mark.parametrize("switches", [{"terminal": "failed"}, {"terminal": "incomplete"}])
def test_nothing_goes_on_from_a_run_that_is_not_completed(
    perplexity: httpx.Client, switches: Any
) -> None:
    run_id = begin(perplexity, switches).json()["id"]
    assert refusal(begin(perplexity, previous_response_id=run_id)) == (400, "invalid request")


def test_nothing_goes_on_from_a_run_that_still_goes_on(perplexity: httpx.Client) -> None:
    run_id = begin(perplexity, background=True).json()["id"]
    assert begin(perplexity, previous_response_id=run_id).status_code == 400


def test_the_oldest_runs_are_forgotten() -> None:
    from qaip_sandbox.protocols.perplexity.agent.request import Request
    from qaip_sandbox.protocols.perplexity.agent.run import Run
    from qaip_sandbox.protocols.perplexity.agent.store import Runs
    from qaip_sandbox.protocols.perplexity.agent.work import Work

    runs, request = Runs(), Request(input="x", preset="low")
    kept = [Run(request, [], Work(), "completed") for _ in range(1_001)]
    for run in kept:
        runs[run.id] = run
    assert runs.stored(kept[0].id) is None
    assert runs.stored(kept[-1].id) is kept[-1]
