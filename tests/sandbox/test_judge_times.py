"""What the judge makes of times, from records written by hand: no clock is involved."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from qaip_sandbox import Limits, Record, Verdict
from qaip_sandbox.journal import Journal
from qaip_sandbox.judging.case import Deed
from qaip_sandbox.judging.judge import verdict

NOON = "Sun, 22 Nov 2026 12:00:00"
AT = 1795348800.0 - 100  # so that noon is in second 100


def sent(start: float, end: float, status: int = 503, **given: Any) -> dict[str, Any]:
    """Return what is known of a request from second `start` to second `end`."""
    state = "complete" if status >= 400 else "aborted"
    return {
        "status": status, "state": state, "at": AT + start, "started": start, "first_byte": end,
        "ended": end, "streamed": status < 400, **given,
    }  # fmt: skip


def judged(*requests: dict[str, Any], **limits: float) -> Verdict:
    """Return the verdict on these requests of one call."""
    journal = Journal()
    for number, given in enumerate(requests, 1):
        journal.records.append(Record(number, "pais", "POST", "/v1", {}, {"input": "x"}, **given))
    deeds = [Deed(0, len(requests), 200.0, "error")]
    numbers = range(1, len(requests) + 1)
    checked = Limits.checked(limits)
    return verdict(journal, numbers, deeds, limits=checked, keys=(), ended=200.0)


def rules(found: Verdict) -> set[str]:
    return {finding.rule for finding in found.faults}


def test_streams_that_were_left_before_their_first_event_have_failed() -> None:
    attempts = [sent(second, second + 0.9, 200) for second in range(6)]
    found = judged(*attempts)
    assert rules(found) == {"retried-too-often"}
    assert "6 attempts" in found.faults[0].what


def test_streams_that_were_left_after_some_events_may_have_been_enough() -> None:
    assert judged(*(sent(second, second + 0.9, 200, frames=1) for second in range(6))).ok


def test_the_server_may_hear_of_a_client_that_has_gone_a_moment_later() -> None:
    late = [sent(second, second + 1.01, 200) for second in range(4)]
    assert "retried-too-often" in rules(judged(*late))
    assert judged(*(sent(second, second + 1.1, 200) for second in range(4))).ok


def test_equal_requests_at_the_same_time_repeat_none_of_each_other() -> None:
    # The third begins after the first has failed, but while the second runs.
    batch = [sent(1, 2), sent(1.5, 3), sent(2.01, 3.5)]
    assert judged(*batch).ok
    assert judged(*(one | {"status": 404} for one in batch)).ok


def test_a_batch_that_is_repeated_at_once_is_hammering() -> None:
    found = judged(sent(1, 2), sent(1.5, 2.01), sent(2.02, 4), sent(2.03, 5))
    assert [(fault.rule, fault.records) for fault in found.faults] == [
        ("hammered", (1, 3)),
        ("hammered", (2, 4)),
    ]


def test_a_batch_that_is_repeated_too_often_is_found() -> None:
    rounds = [sent(second + part, second + 0.5) for second in range(4) for part in (0, 0.1)]
    found = judged(*rounds)
    assert [finding.rule for finding in found.faults] == ["retried-too-often"] * 2


@pytest.fixture
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
@pytest.mark.parametrize("zone", ["GMT", "-0000", "+0000"])
def test_a_date_without_a_zone_is_in_utc(zone: str) -> None:
    asked: dict[str, Any] = {"retry_after": f"{NOON} {zone}"}
    assert judged(sent(40, 41, **asked), sent(100.1, 101, 200, frames=1)).ok
    early = judged(sent(40, 41, **asked), sent(70, 71, 200, frames=1))
    assert rules(early) == {"ignored-retry-after"}


def test_up_to_a_second_of_a_date_is_lost_when_it_is_written() -> None:
    asked: dict[str, Any] = {"retry_after": f"{NOON} GMT"}
    assert judged(sent(98, 98, **asked), sent(99.1, 101, 200, frames=1)).ok
    assert not judged(sent(98, 98, **asked), sent(98.9, 101, 200, frames=1)).ok
