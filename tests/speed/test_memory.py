"""A stream keeps its text, and nothing else that grows with it."""

import tracemalloc
from collections import deque
from collections.abc import Callable, Sequence

import pytest

from support.faults import speech
from support.faults.speech import Speech
from support.faults.subjects import Subject
from support.speed.asked import STREAMED, asked, long_citing, streamed
from support.speed.canned import canned
from support.speed.floors import FLOORS

SUBJECTS = {subject.name: subject for subject in STREAMED}
TEXT = "tea " * 25
FEW, MANY = 400, 4000

_CORE: Sequence[tuple[str, Speech]] = [
    ("qaip completions.stream", speech.QAIP_LINES),
    ("fireworks chat.stream", speech.FIREWORKS_CHAT),
    ("fireworks chat.stream async", speech.FIREWORKS_CHAT),
    ("perplexity chat.stream", long_citing(speech.PERPLEXITY)),
    ("dify completion-messages.stream", speech.DIFY),
]
_FRAMEWORKS: Sequence[tuple[str, Speech]] = [
    ("ChatFireworks.stream", speech.FIREWORKS_CHAT),
    ("Fireworks.stream_chat", speech.FIREWORKS_CHAT),
]


def each(rows: Sequence[tuple[str, Speech]]) -> pytest.MarkDecorator:
    ids = [f"{name}, {written}" for name, written in rows]
    return pytest.mark.parametrize(
        ("subject", "written"), [(SUBJECTS[n], w) for n, w in rows], ids=ids
    )


def growth(read: Callable[[int], object]) -> float:
    """Return by how many bytes the peak grows for each further event."""
    peaks = []
    for count in (FEW, MANY):
        tracemalloc.start()
        try:
            read(count)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (MANY - FEW)


def of_ours(subject: Subject, written: Speech) -> float:
    with canned() as server, asked(subject, server) as asking:
        answers = {count: streamed(written, count, TEXT) for count in (FEW, MANY)}
        return growth(lambda count: asking.ask(answers[count]))


@each(_CORE)
def test_the_core_keeps_the_text_alone(subject: Subject, written: Speech) -> None:
    """In pieces until it is asked for as one: twice, and a string's own 60 bytes a piece."""
    assert of_ours(subject, written) < 2 * len(TEXT) + 80


@each(_FRAMEWORKS)
def test_a_framework_s_class_keeps_what_the_framework_does(
    subject: Subject, written: Speech
) -> None:
    floor = FLOORS[subject.layer]
    theirs = growth(lambda count: deque(floor(count, TEXT), maxlen=0))
    assert of_ours(subject, written) < 1.25 * theirs + 2 * len(TEXT) + 80
