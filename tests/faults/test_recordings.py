"""Every class that can meet what a real server sent: whole, written differently, and cut.

What may come of a recording: the recorded answer, the error that it holds, or an incomplete
stream with exactly the text that came before the cut. The judge is a plain reading of the same
bytes (``support.recordings``). The core reads every recording byte by byte, and all choices,
in ``tests/core/test_recordings.py``.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pytest

from qaip_core.errors import (
    MalformedResponseError,
    ServerReportedError,
    ServiceConnectionError,
    ServiceError,
)
from support.fault_server import End, FaultServer, cut
from support.faults.matrix import thinned
from support.faults.playing import Scene, can_meet, play
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, Subject
from support.recordings import (
    RECORDINGS,
    Reading,
    Recording,
    need_recordings,
    read_until,
)
from support.replay import BREAKS, Played, Replay

need_recordings()

T = TypeVar("T")

MOST_EVENTS = 20
MOST_PIECES = 1000
SOCKETS = 40
"""One of so many cuts is made on a real socket too, by sync and async: each another one."""
SOCKET_BYTES = 32 * 1024
"""Beyond that a reset may overtake what was sent."""

FRAMEWORKS = [*LANGCHAIN, *LLAMA_INDEX]
STREAMS = [r for r in RECORDINGS if r.stream and r.status == 200]
BODIES = [r for r in RECORDINGS if not r.stream and r.status == 200]
REFUSALS = [r for r in RECORDINGS if r.status != 200]


def meetings(
    recordings: Sequence[Recording], subjects: Sequence[Subject], *, thin: bool = False
) -> pytest.MarkDecorator:
    """Run a test for each recording and each way of asking that can meet it.

    thin: one way of asking each class, another from recording to recording.
    """
    params = [
        pytest.param(recording, subject, id=f"{recording.name}-{subject.name}")
        for place, recording in enumerate(recordings)
        for able in [[subject for subject in subjects if can_meet(subject, recording)]]
        for subject in (thinned(able, place) if thin else able)
    ]
    return pytest.mark.parametrize(("recording", "subject"), params)


# How it is played


@pytest.fixture(scope="module")
def replay() -> Replay:
    return Replay()


def of_all(recordings: Sequence[Recording], subject: Subject) -> list[Recording]:
    return [recording for recording in recordings if can_meet(subject, recording)]


def each(subjects: Sequence[Subject]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("subject", subjects, ids=repr)


# Whole

EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r)", re.DOTALL)


def as_recorded(recording: Recording) -> bytes:
    return recording.body


def lines_ending(line_end: bytes) -> Callable[[Recording], bytes]:
    return lambda recording: re.sub(rb"\r\n|\r|\n", line_end, recording.body)


def with_pings(recording: Recording) -> bytes:
    ping = b"event: ping\n\n" if recording.is_dify else b": ping\r\n\r\n"
    return EVENT.sub(lambda event: ping + event[0], recording.body) + ping


WRITTEN: Mapping[str, Callable[[Recording], bytes]] = {
    "as recorded": as_recorded,
    "with a keep-alive before each event": with_pings,
    "with CRLF": lines_ending(b"\r\n"),
    "with LF": lines_ending(b"\n"),
    "with CR": lines_ending(b"\r"),
    "with a byte order mark": lambda recording: b"\xef\xbb\xbf" + recording.body,
    "with half an event at the end": lambda recording: recording.body + b'data: {"choices": [',
}


def whole(recording: Recording, how: str = "as recorded", *, pieces: bool = False) -> Scene:
    """All of it: at once, or in pieces of seven bytes (some more in the longest recordings)."""
    body = WRITTEN[how](recording)
    size = max(7, len(body) // MOST_PIECES) if pieces else len(body) or 1
    end: End = "clean" if recording.whole else "cut"
    played = Played(recording.status, recording.headers, cut(body, sizes=size), end)
    return Scene(recording, f"{how}, {size} bytes at a time", played, recording.reading)


@meetings(STREAMS, CORE)
def test_a_stream_written_in_every_way(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    scenes = [whole(recording, how, pieces=True) for how in WRITTEN]
    play(subject, scenes, replay.play, **replay.fields)


@meetings(STREAMS, FRAMEWORKS, thin=True)
def test_a_stream_at_once_and_in_small_pieces(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    """The pieces are written in one of all ways, another with each class and recording."""
    how = in_turn(list(WRITTEN), recording, subject)
    scenes = [whole(recording), whole(recording, how, pieces=True)]
    play(subject, scenes, replay.play, **replay.fields)


def in_turn(items: Sequence[T], recording: Recording, subject: Subject, more: int = 0) -> T:
    turn = STREAMS.index(recording) + FRAMEWORKS.index(subject) + more
    return items[turn % len(items)]


@meetings(BODIES, FRAMEWORKS, thin=True)
def test_a_body_at_once_and_in_small_pieces(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    play(subject, [whole(recording), whole(recording, pieces=True)], replay.play, **replay.fields)


@each(FRAMEWORKS)
def test_refusals(subject: Subject, replay: Replay) -> None:
    """Those of one service, one after the other."""
    if scenes := [whole(recording) for recording in of_all(REFUSALS, subject)]:
        play(subject, scenes, replay.play, **replay.fields)


MORE = b"data: {more}\n\n"
ENDED = (b"data: [DONE]", b'"event": "message_end"', b'"event":"message_end"')
FAULTY = [r for r in STREAMS if r.reading.error in (ServerReportedError, MalformedResponseError)]
OVER = [r for r in STREAMS if r not in FAULTY and any(mark in r.body for mark in ENDED)]


def in_one_piece(recording: Recording) -> Scene:
    pieces = [recording.body + MORE]
    played = Played(200, recording.headers, pieces)
    return Scene(recording, "more, in one piece with the end", played, recording.reading)


def later(recording: Recording) -> Scene:
    pieces = [recording.body, MORE]
    played = Played(200, recording.headers, pieces)
    return Scene(recording, "more, after the end", played, recording.reading)


@meetings(FAULTY, CORE)
def test_what_follows_an_error_is_not_read(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    scenes = [in_one_piece(recording), later(recording)]
    play(subject, scenes, replay.play, **replay.fields)


@meetings(OVER, CORE)
def test_what_follows_the_end_later_is_not_read(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    play(subject, [later(recording)], replay.play, **replay.fields)


@meetings(OVER, CORE)
def test_what_follows_the_end_in_one_piece_is_not_read(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    play(subject, [in_one_piece(recording)], replay.play, **replay.fields)


# Cut


def cut_at(recording: Recording, length: int, end: End) -> Scene:
    """The connection breaks after so many bytes; "clean" is a proxy that hides it."""
    body = recording.body[:length]
    played = Played(recording.status, recording.headers, [body], end)
    is_body = recording.status == 200 and not recording.stream
    error = unusable(body, end) if is_body else None
    reading = Reading(error=error) if error else read_until(recording, length)
    return Scene(recording, f"{length} bytes, {end}", played, reading)


def unusable(body: bytes, end: End) -> type[ServiceError] | None:
    """What comes of a body that is no stream, unless all of it has come."""
    if end != "clean":
        return ServiceConnectionError
    try:
        json.loads(body)
    except ValueError:
        return MalformedResponseError
    return None


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """The first, the last, and evenly spread ones between them."""
    if len(items) <= most:
        return items
    return [items[round(n * (len(items) - 1) / (most - 1))] for n in range(most)]


def cuts_of(recording: Recording) -> list[int]:
    """Before the first event, in the middle of each, after each, in the last blank line."""
    return sorted({*ends_of(recording), *middles_of(recording)})


def ends_of(recording: Recording) -> list[int]:
    return [0, *(after for _, after in events_of(recording))]


def middles_of(recording: Recording) -> list[int]:
    events = events_of(recording)
    last = [after - 1 for _, after in events[-1:]]
    return [*((start + after) // 2 for start, after in events), *last]


def events_of(recording: Recording) -> Sequence[tuple[int, int]]:
    return spread([event.span() for event in EVENT.finditer(recording.body)], MOST_EVENTS)


def eighths_of(recording: Recording) -> list[int]:
    size = len(recording.body)
    return sorted({*(size * n // 8 for n in range(8)), size - 1})


@meetings(STREAMS, CORE)
def test_a_stream_cut_at_every_event(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    """After an event in each way of breaking, in the middle of it in one or another."""
    ends = list(BREAKS)
    after = [cut_at(recording, place, end) for place in ends_of(recording) for end in ends]
    inside = [cut_at(recording, p, ends[n % 3]) for n, p in enumerate(middles_of(recording))]
    play(subject, [*after, *inside], replay.play, **replay.fields)


@meetings(STREAMS, FRAMEWORKS, thin=True)
def test_a_stream_cut_early_in_the_middle_and_late(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    """Each place by another way of breaking, and by yet another for the next class."""
    places = cuts_of(recording)
    chosen = sorted({places[:3][-1], places[len(places) // 2], places[-2:][0]})
    ends = [in_turn(list(BREAKS), recording, subject, more) for more in range(3)]
    scenes = [cut_at(recording, *at) for at in zip(chosen, ends, strict=False)]
    play(subject, scenes, replay.play, **replay.fields)


@meetings(BODIES, CORE)
def test_a_body_cut_at_every_eighth(recording: Recording, subject: Subject, replay: Replay) -> None:
    scenes = [cut_at(recording, place, end) for place in eighths_of(recording) for end in BREAKS]
    play(subject, scenes, replay.play, **replay.fields)


@meetings(BODIES, FRAMEWORKS, thin=True)
def test_a_body_cut_in_the_middle_and_late(
    recording: Recording, subject: Subject, replay: Replay
) -> None:
    middle, last = len(recording.body) // 2, len(recording.body) - 1
    cuts: list[tuple[int, End]] = [(middle, "cut"), (middle, "clean"), (last, "reset")]
    play(subject, [cut_at(recording, *at) for at in cuts], replay.play, **replay.fields)


@each(CORE)
def test_refusals_cut(subject: Subject, replay: Replay) -> None:
    """Their status has come."""
    scenes = [
        cut_at(recording, place, end)
        for recording in of_all(REFUSALS, subject)
        for place in (0, len(recording.body) // 2)
        for end in BREAKS
    ]
    if scenes:
        play(subject, scenes, replay.play, **replay.fields)


# On sockets too


def sampled(recording: Recording, subject: Subject) -> list[Scene]:
    """A part of all cuts, other ones with each recording and way of asking."""
    places = cuts_of(recording) if recording.stream else eighths_of(recording)
    cuts = [(place, end) for place in places for end in BREAKS if place <= SOCKET_BYTES]
    first = (RECORDINGS.index(recording) + SOCKETS // 2 * subject.is_async) % SOCKETS
    return [cut_at(recording, *at) for at in cuts[first::SOCKETS]]


@meetings([*STREAMS, *BODIES], CORE)
def test_the_cuts_on_sockets(recording: Recording, subject: Subject, server: FaultServer) -> None:
    def stage(played: Played) -> None:
        server.reset()
        server.replies(played.reply())

    if scenes := sampled(recording, subject):
        play(subject, scenes, stage, server.url)
