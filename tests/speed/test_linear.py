"""The thousandth event costs what the first one did."""

import json
import time
from collections.abc import Callable, Sequence

import httpx
import pytest

from support.faults import speech
from support.faults.speech import Speech
from support.faults.subjects import Subject
from support.speed.asked import STREAMED, Asked, asked, changing, long_citing, streamed
from support.speed.canned import canned
from support.speed.work import work_of_events

SUBJECTS = {subject.name: subject for subject in STREAMED}
Row = tuple[str, Speech]

CITED = long_citing(speech.PERPLEXITY)
"""A service that repeats all of its sources in every event."""

_COUNTED: Sequence[Row] = [
    ("qaip completions.stream", speech.QAIP_LINES),
    ("qaip completions.stream", speech.QAIP_RUN),
    ("fireworks chat.stream", speech.FIREWORKS_CHAT),
    ("pais chat.stream async", speech.PAIS_CHAT),
    ("perplexity chat.stream", changing(CITED)),
    ("dify completion-messages.stream", speech.DIFY),
    ("ChatPerplexity.stream", CITED),
    ("Perplexity.stream_chat", CITED),
]
_TIMED: Sequence[Row] = [
    ("qaip completions.stream", speech.QAIP_LINES),
    ("fireworks chat.stream async", speech.FIREWORKS_CHAT),
    ("dify completion-messages.stream", speech.DIFY),
    ("ChatPerplexity.stream", changing(speech.PERPLEXITY)),
]


def each(rows: Sequence[Row]) -> pytest.MarkDecorator:
    ids = [f"{name}, {written}" for name, written in rows]
    return pytest.mark.parametrize(
        ("subject", "written"), [(SUBJECTS[n], w) for n, w in rows], ids=ids
    )


@each(_COUNTED)
def test_a_late_event_is_as_much_work_as_an_early_one(subject: Subject, written: Speech) -> None:
    with canned() as server, asked(subject, server) as asking:
        answer = streamed(written, 4010)  # the last events, which end it, are left out
        early, late = work_of_events(asking, answer, (320, 400), (3920, 4000))
    assert late.total == pytest.approx(early.total, rel=0.05), list(late.grown(early, 5))
    assert late.calls == pytest.approx(early.calls, rel=0.05)
    assert late.anywhere == pytest.approx(early.anywhere, rel=0.15)  # it reads what is there


@each(_TIMED)
def test_ten_times_the_events_take_ten_times_the_time(subject: Subject, written: Speech) -> None:
    """Whatever C does too: pieces are long, so that a copy of all text in each would show."""
    with canned() as server, asked(subject, server) as asking:
        short, long = (streamed(written, count, text="tea " * 100) for count in (1000, 10_000))
        ratio = _least(lambda: _seconds(asking, long) / _seconds(asking, short), enough=20)
    assert ratio < 20  # it is 10


def test_an_event_takes_no_more_than_twice_the_time_that_httpx_and_json_take() -> None:
    """For what no counter sees: one call of C that does too much."""
    subject, events = SUBJECTS["fireworks chat.stream"], 2000
    answer = streamed(speech.FIREWORKS_CHAT, events)
    with canned() as server, asked(subject, server) as asking, httpx.Client(verify=False) as http:

        def by_hand() -> float:
            began = time.thread_time()
            with http.stream("POST", server.url, json={}) as response:
                lines = [line for line in response.iter_lines() if line.startswith("data: {")]
                assert len([json.loads(line[6:]) for line in lines]) >= events
            return time.thread_time() - began

        ratio = _least(lambda: _seconds(asking, answer) / by_hand(), enough=2)
    assert ratio < 2  # it is less than 1


def _seconds(asking: Asked, answer: bytes) -> float:
    began = time.thread_time()
    asking.ask(answer)
    return time.thread_time() - began


def _least(measured: Callable[[], float], enough: float) -> float:
    """Measure again, up to three times, while there is too much: others disturb."""
    least = measured()
    for _ in range(2):
        if least >= enough:
            least = min(least, measured())
    return least
