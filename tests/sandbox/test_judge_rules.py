"""Each rule of the judge finds its bad client, planted here, and spares the good one beside it."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import (
    Corrupt,
    Disconnect,
    ErrorEvent,
    Page,
    Physics,
    Sandbox,
    Stall,
    Status,
    Truncate,
)
from qaip_sandbox.judging import Judge, Verdict

from .asking import ANSWER, QUESTION, address, body, key, keyed

SERVED = "Lanternworks accepts returns within 45 days of delivery.[1]"


@pytest.fixture(scope="module")
def _running(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs) as running:
        yield running


@pytest.fixture
def box(_running: Sandbox) -> Iterator[Sandbox]:
    yield _running
    _running.faults.clear()
    _running.physics = Physics()


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(verify=False) as client:
        yield client


@pytest.fixture
def post(box: Sandbox, http: httpx.Client) -> Callable[..., httpx.Response]:
    """Asks Qaip once."""

    def run(service: str = "qaip", *, stream: bool = False, **given: Any) -> httpx.Response:
        headers = keyed(box, service) | given.pop("headers", {})
        wanted = body(service, stream=stream) | given.pop("more", {})
        return http.post(address(box, service), json=wanted, headers=headers, **given)

    return run


def names(verdict: Verdict) -> list[str]:
    return [finding.rule for finding in verdict.faults]


def test_a_good_client_is_acquitted(box: Sandbox, post: Any) -> None:
    with box.judge() as judge, judge.call() as call:
        call.returned(post().json()["choices"][0]["message"]["content"])
    judge.verdict.check()
    assert str(judge.verdict) == "nothing against the client: 1 request in 1 call"


def test_retrying_too_often_is_found(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503, times=4))
    with box.judge(backoff=0) as judge:
        for _ in range(4):
            post()
    assert names(judge.verdict) == ["retried-too-often"]
    (finding,) = judge.verdict.faults
    assert (len(finding.records), "4 attempts" in finding.what) == (4, True)
    assert box.judge(attempts=4).verdict.ok


def test_how_often_is_too_often_is_the_user_s_choice(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503, times=4))
    with box.judge(backoff=0, attempts=4) as judge:
        for _ in range(4):
            post()
    assert judge.verdict.ok


@pytest.mark.parametrize("code", [400, 403, 404, 422])
def test_retrying_what_cannot_pass_is_found(box: Sandbox, post: Any, code: int) -> None:
    box.faults.add(Status(code=code))
    with box.judge() as judge:
        post()
        post()
    assert names(judge.verdict) == ["retried-in-vain"]


def test_a_key_may_be_fetched_anew_once(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=401, times=2))
    with box.judge() as judge:
        post()
        post()
        assert judge.verdict.ok
        post()
    assert names(judge.verdict) == ["retried-in-vain"]


def test_a_changed_request_is_no_retry(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=400))
    with box.judge() as judge:
        post()
        post(stream=True)
    assert judge.verdict.ok


@pytest.mark.parametrize("wait", [30, "Wed, 21 Oct 2099 07:28:00 GMT"])
def test_ignoring_retry_after_is_found(box: Sandbox, post: Any, wait: Any) -> None:
    box.faults.add(Status(code=429, retry_after=wait))
    with box.judge(backoff=0) as judge:
        post()
        post()
    (finding,) = judge.verdict.faults
    assert (finding.rule, finding.seconds is not None) == ("ignored-retry-after", True)


@pytest.mark.parametrize("wait", [0, 0.06, "Wed, 21 Oct 2015 07:28:00 GMT", "soon"])
def test_obeying_retry_after_is_good(box: Sandbox, post: Any, wait: Any) -> None:
    box.faults.add(Status(code=429, retry_after=wait))
    with box.judge() as judge:
        post()
        time.sleep(wait if isinstance(wait, float) else 0.06 * (wait == "soon"))
        post()
    assert judge.verdict.ok


def test_hammering_is_found(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503))
    with box.judge(backoff=5) as judge:
        post()
        post()
    assert names(judge.verdict) == ["hammered"]


def test_waiting_before_a_retry_is_good(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503))
    with box.judge() as judge:
        post()
        time.sleep(0.06)
        post()
    assert judge.verdict.ok


def test_a_kept_connection_that_was_closed_is_replaced_at_once(box: Sandbox, post: Any) -> None:
    with box.judge() as judge:
        post()
        box.faults.add(Disconnect(after=0))
        with pytest.raises(httpx.TransportError):
            post()
        post()
    assert judge.verdict.ok


def test_calls_that_ask_the_same_are_no_retries(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503, times=5))
    with box.judge() as judge:
        for _ in range(5):
            with judge.call() as call:
                post()
                call.failed()
    assert judge.verdict.ok


@pytest.mark.parametrize("fault", [Truncate(), Disconnect(), ErrorEvent(), Page(code=200)])
@pytest.mark.parametrize("text", ["Lanternworks", None])
def test_taking_a_broken_answer_is_found(
    box: Sandbox, post: Any, fault: Any, text: str | None
) -> None:
    box.faults.add(fault)
    text = "<h1>Trouble at the gateway</h1>" if text and fault.kind == "page" else text
    with box.judge() as judge, judge.call() as call:
        with suppress(httpx.TransportError):
            post(stream=True)
        if text:
            call.returned(text)
    assert names(judge.verdict) == ["accepted-a-broken-answer"]


def test_taking_a_part_before_a_stall_is_found(box: Sandbox, post: Any) -> None:
    box.faults.add(Stall())
    with box.judge() as judge, judge.call() as call:
        with pytest.raises(httpx.ReadTimeout):
            post(stream=True, timeout=httpx.Timeout(5, read=0.3))
        call.returned("Lanternworks")
    assert names(judge.verdict) == ["accepted-a-broken-answer"]


REGRET = "Sorry, the service did not answer; please try again later."


@pytest.mark.parametrize(
    "fault", [Truncate(), Disconnect(), ErrorEvent(), Corrupt(), Page(code=200)]
)
@pytest.mark.parametrize("text", [REGRET, f"Nothing is known yet of: {QUESTION}"])
def test_words_of_the_application_s_own_are_no_broken_answer(
    box: Sandbox, post: Any, fault: Any, text: str
) -> None:
    box.faults.add(fault)
    with box.judge() as judge, judge.call() as call:
        with suppress(httpx.TransportError):
            post(stream=True)
        call.returned(text)
    assert judge.verdict.ok


@pytest.mark.parametrize(
    "text",
    [
        f"{SERVED[:30]} (the answer was cut)",  # a part, and more
        SERVED.replace("within", ""),  # a hole in it
        f"He said: {SERVED}",
    ],
)
def test_a_broken_answer_among_other_words_is_found(box: Sandbox, post: Any, text: str) -> None:
    box.faults.add(Truncate())
    with box.judge() as judge, judge.call() as call:
        post(stream=True)
        call.returned(text)
    assert names(judge.verdict) == ["accepted-a-broken-answer"]


def test_giving_up_before_the_first_event_is_a_failure(box: Sandbox, post: Any) -> None:
    box.physics = Physics(first_token=5)
    with box.judge(attempts=1) as judge, judge.call() as call:
        for _ in range(2):
            with pytest.raises(httpx.ReadTimeout):
                post(stream=True, timeout=httpx.Timeout(5, read=0.1))
            time.sleep(0.05)  # until the server has heard of it
        call.failed()
    assert "retried-too-often" in names(judge.verdict)


def test_raising_after_a_broken_answer_is_good(box: Sandbox, post: Any) -> None:
    box.faults.add(Disconnect())
    with box.judge() as judge, pytest.raises(httpx.TransportError), judge.call():
        post(stream=True)
    assert judge.verdict.ok


def test_another_way_to_the_answer_is_good(box: Sandbox, post: Any) -> None:
    box.faults.add(Truncate())
    with box.judge() as judge, judge.call() as call:
        post(stream=True)
        call.returned(post(stream=False).json()["choices"][0]["message"]["content"])
    assert judge.verdict.ok


@pytest.mark.parametrize("fault", [Status(code=500), Status(code=401), Truncate(), Page()])
@pytest.mark.parametrize("text", ["", None, " \n"])
def test_swallowing_an_error_is_found(
    box: Sandbox, post: Any, fault: Any, text: str | None
) -> None:
    box.faults.add(fault)
    with box.judge() as judge, judge.call() as call:
        post()
        call.returned(text)
    assert "swallowed-an-error" in names(judge.verdict)


def test_words_of_regret_are_no_swallowed_error(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=500))
    with box.judge() as judge, judge.call() as call:
        post()
        call.returned("The service is away; please try later.")
    assert judge.verdict.ok


def test_repeating_after_text_is_found(box: Sandbox, post: Any) -> None:
    box.faults.add(Truncate(after=3))
    with box.judge(backoff=0) as judge, judge.call() as call:
        post(stream=True)
        post(stream=True)
        call.returned("Lanternworks accepts" + SERVED)
    assert names(judge.verdict) == ["repeated-after-text"]


def test_repeating_what_nobody_has_seen_is_good(box: Sandbox, post: Any) -> None:
    box.faults.add(Truncate(after=3))
    with box.judge(backoff=0) as judge, judge.call() as call:
        post(stream=True)
        post(stream=True)
        call.returned(SERVED)
    assert judge.verdict.ok


@pytest.mark.parametrize("text", ["", "Lanternworks accepts returns within", "No idea."])
def test_losing_the_answer_is_found(box: Sandbox, post: Any, text: str) -> None:
    with box.judge() as judge, judge.call() as call:
        post()
        call.returned(text)
    assert names(judge.verdict) == ["lost-the-answer"]


def test_an_error_after_a_whole_answer_is_a_lost_answer(box: Sandbox, post: Any) -> None:
    with box.judge() as judge, pytest.raises(KeyError), judge.call():
        post().json()["choice"]
    assert names(judge.verdict) == ["lost-the-answer"]


@pytest.mark.parametrize(
    "text", [SERVED, SERVED.replace("[1]", ""), f"Well: {SERVED} (Returns)", f"{SERVED}\n"]
)
def test_markers_and_more_words_are_no_loss(box: Sandbox, post: Any, text: str) -> None:
    with box.judge() as judge, judge.call() as call:
        post()
        call.returned(text)
    assert judge.verdict.ok


def test_a_part_is_no_loss_where_it_is_meant(box: Sandbox, post: Any) -> None:
    with box.judge() as judge:
        with judge.call() as call:
            post()
            call.returned("Lanternworks accepts", part=True)
        with judge.call() as call:
            text = post("pais", more={"max_tokens": 3}).json()["choices"][0]["message"]["content"]
            call.returned(text)
    assert ANSWER not in text
    assert judge.verdict.ok


def test_leaking_a_stream_is_found(box: Sandbox) -> None:
    box.faults.add(Stall())
    url, given = address(box, "qaip"), body("qaip", stream=True)
    with box.judge(linger=0.05) as judge:
        with httpx.stream("POST", url, json=given, headers=keyed(box, "qaip"), verify=False):
            with judge.call():
                pass
            assert judge.verdict.ok  # it belongs to no call yet: it was made before
            with judge.call() as call:
                call.returned("")
        assert judge.verdict.ok
    box.faults.add(Stall())
    with (
        httpx.Client(verify=False) as client,
        box.judge(linger=0.05) as judge,
        judge.call(),
    ):
        kept = client.send(
            client.build_request("POST", url, json=given, headers=keyed(box, "qaip")), stream=True
        )
        leaked = judge
    (finding,) = leaked.verdict.faults
    assert (finding.rule, finding.seconds is not None) == ("leaked-a-connection", True)
    kept.close()


def test_leaving_a_stream_early_is_good(box: Sandbox) -> None:
    box.physics = Physics(tokens_per_second=20)
    url, given = address(box, "dify"), body("dify", stream=True)
    with box.judge() as judge, judge.call() as call:
        with httpx.stream(
            "POST", url, json=given, headers=keyed(box, "dify"), verify=False
        ) as answer:
            next(answer.iter_raw())
        call.returned("Lantern")
    assert judge.verdict.ok


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"params": {"api_key": "KEY"}}, "the query"),
        ({"headers": {"x-goog-api-key": "KEY"}}, "the header x-goog-api-key"),
        ({"more": {"tags": ["KEY"]}}, "the body"),
    ],
)
def test_a_key_in_the_wrong_place_is_found(
    box: Sandbox, post: Any, given: dict[str, Any], place: str
) -> None:
    secret = key(box, "qaip")
    given = {
        part: {name: secret if value == "KEY" else [secret] for name, value in values.items()}
        for part, values in given.items()
    }
    with box.judge() as judge:
        post(**given)
    (finding,) = judge.verdict.faults
    assert (finding.rule, place in finding.what) == ("misplaced-the-key", True)
    record = box.requests[-1]
    assert secret not in str(record)
    assert secret not in str(judge.verdict)


def test_a_key_in_a_question_is_found_and_not_kept(box: Sandbox, post: Any) -> None:
    secret = key(box, "qaip")
    asked = [{"role": "user", "content": f"Within how many days can {secret} be returned?"}]
    for stream in (False, True):
        with box.judge() as judge, judge.call() as call:
            post(stream=stream, more={"messages": asked})
            call.returned(SERVED + secret)
        assert "misplaced-the-key" in names(judge.verdict)
        record = box.requests[-1]
        assert record.said[0].question == "Within how many days can *** be returned?"
        assert secret not in str(record) + str(judge.verdict)


def test_a_connection_for_each_call_is_noted(box: Sandbox) -> None:
    url, given = address(box, "qaip"), body("qaip", stream=False)
    with box.judge() as judge:
        for _ in range(3):
            httpx.post(url, json=given, headers=keyed(box, "qaip"), verify=False)
    assert judge.verdict.ok
    assert [note.rule for note in judge.verdict.notes] == ["connection-per-call"]


def test_calls_at_the_same_time_are_not_held_against_each_other(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=500))
    with box.judge() as judge, judge.call() as one, judge.call() as other:
        post()
        one.returned("")
        other.returned("")
    assert judge.verdict.ok
    assert [note.rule for note in judge.verdict.notes] == ["calls-overlapped"]


def test_a_cancelled_call_is_no_outcome(box: Sandbox, post: Any) -> None:
    judge: Judge = box.judge()

    def interrupted() -> None:
        post()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), judge.call():
        interrupted()
    assert judge.verdict.ok


def test_a_verdict_reads_well(box: Sandbox, post: Any) -> None:
    box.faults.add(Status(code=503))
    with box.judge(backoff=5) as judge:
        post()
        post()
    with pytest.raises(AssertionError, match="1 fault") as raised:
        judge.verdict.check()
    lines = str(judge.verdict).splitlines()
    assert str(raised.value).splitlines() == lines
    assert lines[0] == "1 fault: 2 requests in 0 calls"
    assert lines[1].startswith("FAULT  hammered: sent again after ")
    assert lines[-1].startswith("       -> Wait before each retry")
    assert max(map(len, lines)) <= 110


def test_what_is_judged_ends_with_the_judge(box: Sandbox, post: Any) -> None:
    with box.judge() as judge:
        post()
    box.faults.add(Status(code=503))
    post()
    post()
    assert (judge.verdict.requests, judge.verdict.ok) == (1, True)


def test_misuse_of_the_judge_is_told(box: Sandbox) -> None:
    with pytest.raises(ValueError, match=r"retries: .* \(there are attempts, backoff, linger\)"):
        box.judge(retries=3)
    with pytest.raises(ValueError, match="attempts"):
        box.judge(attempts=0)
    with pytest.raises(TypeError, match="not a dict"):
        box.judge().call().returned({})  # type: ignore[arg-type]


def test_an_application_elsewhere_is_judged_over_http(
    box: Sandbox, post: Any, http: httpx.Client
) -> None:
    control = f"{box.url}/_sandbox"
    since = http.get(control).json()["requests"]
    box.faults.add(Truncate())
    post(stream=True)
    told = http.post(
        f"{control}/outcomes", json={"since": since, "outcome": "ok", "text": "Lanternworks"}
    )
    assert (told.status_code, told.json()["requests"]) == (201, since + 1)
    verdict = http.get(f"{control}/verdict", params={"since": since}).json()
    assert (verdict["ok"], verdict["requests"], verdict["calls"]) == (False, 1, 1)
    assert verdict["findings"][0]["rule"] == "accepted-a-broken-answer"
    assert verdict["findings"][0]["records"] == [since + 1]


@pytest.mark.parametrize(
    "query", [{"since": "x"}, {"attempts": "0"}, {"linger": "inf"}, {"speed": "1"}]
)
def test_a_verdict_that_cannot_be_is_refused(
    box: Sandbox, http: httpx.Client, query: dict[str, str]
) -> None:
    answer = http.get(f"{box.url}/_sandbox/verdict", params=query)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)


def test_an_outcome_that_cannot_be_is_refused(box: Sandbox, http: httpx.Client) -> None:
    path = f"{box.url}/_sandbox/outcomes"
    assert http.post(path, json={"since": -1, "outcome": "ok"}).status_code == 400
    assert http.post(path, json={"since": 0, "outcome": "fine"}).status_code == 400
    assert http.post(path, json=[]).status_code == 400
    assert http.post(path, content=b"{").status_code == 415
