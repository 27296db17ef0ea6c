"""What never ends is refused, what only keeps a stream alive costs nothing."""

import time
import tracemalloc
from collections.abc import Iterator
from itertools import chain, repeat

import pytest

from support.fault_server import cut
from support.faults.handed import NOWHERE, Handed
from support.faults.matrix import check, malformed, whole
from support.faults.speech import DIFY, PAIS_CHAT, PERPLEXITY, QAIP_LINES, QAIP_RUN, Speech
from support.faults.subjects import CORE, Subject

X = b"x" * 65_536
LINE = b"x" * 1_000 + b"\n"
MANY = 65
"""Lines at a time, as a socket would hand them over."""
ENDLESS: list[tuple[str, Speech, bytes, bytes]] = [
    ("a line of an event", PAIS_CHAT, b"data: ", X),
    ("an event of many lines", PAIS_CHAT, b"", (b"data: " + LINE) * MANY),
    ("an event of many lines without a blank", DIFY, b"", (b"data:" + LINE) * MANY),
    ("a comment", PERPLEXITY, b": ", X),
    ("an event's name", QAIP_RUN, b"event: ", X),
    ("an event's id", PAIS_CHAT, b"id: ", X),
    ("a field's name", DIFY, b"", X),
    ("a line of JSON", QAIP_LINES, b'{"a": "', X),
    ("a line of blanks", QAIP_LINES, b"", b" " * 65_536),
]


def streaming(speech: Speech) -> Iterator[Subject]:
    for subject in CORE:
        if subject.streams and speech in subject.speeches:
            yield subject


@pytest.mark.parametrize(
    ("subject", "speech", "first", "more"),
    [
        pytest.param(subject, speech, first, more, id=f"{name}-{subject.name}")
        for name, speech, first, more in ENDLESS
        for subject in streaming(speech)
    ],
)
def test_what_never_ends_is_refused(
    subject: Subject, speech: Speech, first: bytes, more: bytes
) -> None:
    transport = Handed(speech.media, chain([speech.piece("te"), first], repeat(more)))
    outcome = subject.ask(NOWHERE, **transport.fields(subject))
    check(outcome, malformed("te", "exceeds 33554432 bytes"), speech)


BODIES = [("text/plain", b"<html>"), ("application/json", b"{"), ("text/plain", b"")]


@pytest.mark.parametrize(("media", "first"), BODIES)
@pytest.mark.parametrize("subject", [*streaming(QAIP_LINES)], ids=repr)
def test_what_never_begins_is_refused(subject: Subject, media: str, first: bytes) -> None:
    transport = Handed(media, chain([first], repeat(b" " * 65_536)))
    outcome = subject.ask(NOWHERE, **transport.fields(subject))
    check(outcome, malformed("", "exceeds 33554432 bytes"), QAIP_LINES)


@pytest.mark.parametrize("subject", [s for s in CORE if not s.wants_stream], ids=repr)
def test_a_whole_body_that_never_ends_is_refused(subject: Subject) -> None:
    transport = Handed("application/json", chain([b'{"a": "'], repeat(X)))
    outcome = subject.ask(NOWHERE, **transport.fields(subject))
    check(outcome, malformed("", "exceeds 33554432 bytes"), subject.speeches[0])


ALIVE: list[tuple[str, Speech, str, bytes]] = [
    ("comments", PAIS_CHAT, PAIS_CHAT.media, b": " + LINE),
    ("comments, of a stream without a label", PERPLEXITY, "text/plain", b": " + LINE + b"\n"),
    ("events that are pings", DIFY, DIFY.media, b'event: ping\ndata: {"x":"%b"}\n\n' % LINE[:-1]),
    ("fields that nobody knows", QAIP_RUN, QAIP_RUN.media, b"foo: " + LINE),
    ("blank lines", QAIP_LINES, QAIP_LINES.media, b" " * 999 + b"\n"),
]


@pytest.mark.parametrize(
    ("subject", "speech", "media", "ping"),
    [
        pytest.param(subject, speech, media, ping, id=f"{name}-{subject.name}")
        for name, speech, media, ping in ALIVE
        for subject in streaming(speech)
    ],
)
def test_16_mb_of_pings_are_not_kept(
    subject: Subject, speech: Speech, media: str, ping: bytes
) -> None:
    pings = repeat(ping * MANY, 16_000_000 // len(ping * MANY))
    start, *rest = speech.said("te", "a")
    first = [ping, start] if media != speech.media else [start]
    transport = Handed(media, chain(first, pings, rest))
    fields = transport.fields(subject)
    tracemalloc.start()
    try:
        outcome = subject.ask(NOWHERE, **fields)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    check(outcome, whole("tea"), speech)
    assert peak < 3_000_000


@pytest.mark.parametrize("speech", [PAIS_CHAT, QAIP_LINES], ids=repr)
def test_a_frame_of_2_mib_in_pieces_of_64_bytes_costs_its_length(speech: Speech) -> None:
    text = "tea " * (512 * 1024)
    subject, _ = streaming(speech)
    transport = Handed(speech.media, cut(b"".join(speech.said(text)), sizes=64))
    fields = transport.fields(subject)
    began = time.process_time()
    outcome = subject.ask(NOWHERE, **fields)
    assert time.process_time() - began < 3.0  # quadratic: minutes
    check(outcome, whole(text), speech)
