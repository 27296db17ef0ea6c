"""Bytes become the same events whatever the cuts, and nothing that arrives is unbounded."""

import base64
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qaip_core.backend import event_stream
from qaip_core.errors import MalformedResponseError
from qaip_core.framing import SSE, Event, Framing, LineDecoder, Lines, Sniffer, Text, Whole

VECTORS = Path(__file__).resolve().parents[3] / "shared/wire/edge/sse_vectors.json"
FRAMINGS: Mapping[str, Callable[[], Framing]] = {
    "SSE": SSE,
    "Lines": Lines,
    "Text": Text,
    "Whole": Whole,
    "Sniffer of lines": lambda: Sniffer(lines=True),
    "Sniffer of a body": lambda: Sniffer(lines=False),
}
each_framing = pytest.mark.parametrize("framing", FRAMINGS.values(), ids=FRAMINGS)
# Bytes that mean something to a framing come more often than chance would have them.
WIRE = st.lists(
    st.sampled_from(
        b"\n|\r|\r\n|\n\n|\xef\xbb\xbf|\xef|\xbb|:| |data:|data: |event: |id: |id:\0|[DONE]|"
        b'{|}|{"a":1}|\xff|da|\xe2\x80\xa8|\x85|\x0b|x'.split(b"|")
    )
    | st.binary(max_size=4),
    max_size=24,
).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=8)


def pieces(body: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    places = [0, *sorted(min(cut, len(body)) for cut in cuts), len(body)]
    return (body[a:b] for a, b in pairwise(places))


def events(framing: Framing, chunks: Iterator[bytes]) -> list[Event]:
    found = [event for chunk in chunks for event in framing.feed(chunk)]
    return found + list(framing.close())


def whole(framing: Framing, body: bytes) -> list[Event]:
    return events(framing, iter([body]))


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(VECTORS.read_bytes())["vectors"]
    return found


@pytest.mark.skipif(not VECTORS.exists(), reason=f"no vectors at {VECTORS}")
def test_all_vectors_dispatch_the_same_events_at_every_cut() -> None:
    found = vectors()
    assert len(found) == 24
    for vector in found:
        body = base64.b64decode(vector["b64"])
        expected = [(e["event"], e["data"], e["id"]) for e in vector["events"]]
        in_two = [[at] for at in range(len(body) + 1)]
        for cuts in [*in_two, range(len(body))]:
            seen = events(SSE(), pieces(body, cuts))
            known = [(e.name, e.data.decode("utf-8", "replace"), e.id) for e in seen]
            assert known == expected, (vector["name"], cuts)


@each_framing
@given(body=WIRE, cuts=CUTS)
@settings(max_examples=150)
@example(body=b"\xef\xbb\xbfdata: a\r\n\r\n", cuts=[1, 2, 12, 13])
def test_cuts_change_nothing(framing: Callable[[], Framing], body: bytes, cuts: list[int]) -> None:
    cut, uncut = events(framing(), pieces(body, cuts)), whole(framing(), body)
    if {e.name for e in uncut} <= {"text"}:  # raw text comes as it comes
        assert b"".join(e.data for e in cut) == b"".join(e.data for e in uncut)
        assert {e.name for e in cut} <= {"text"}
    else:
        assert cut == uncut


@given(body=WIRE, cuts=CUTS)
def test_lines_are_those_of_the_uncut_bytes(body: bytes, cuts: list[int]) -> None:
    decoder = LineDecoder()
    lines = [line for piece in pieces(body, cuts) for line in decoder.feed(piece)]
    rest = decoder.close()
    expected = body.removeprefix(b"\xef\xbb\xbf").splitlines()
    assert lines + ([rest] if rest else []) == expected


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b'{"a":1}\n{"b":2}\n', [(b'{"a":1}', "line"), (b'{"b":2}', "line")]),
        (b'{"a":1}\r\n\r\n \r{"b":2}\n', [(b'{"a":1}', "line"), (b'{"b":2}', "line")]),
        (b'{"a":1}\n{"b"', [(b'{"a":1}', "line"), (b'{"b"', "rest")]),
        (b'{"a":1}\n  ', [(b'{"a":1}', "line")]),
        (b'\xef\xbb\xbf{"a":1}\n', [(b'{"a":1}', "line")]),
        ('"\u2028\u2029\u0085"\n'.encode(), [('"\u2028\u2029\u0085"'.encode(), "line")]),
        (b'"\x0b\x0c\x1c\x1d\x1e"\n', [(b'"\x0b\x0c\x1c\x1d\x1e"', "line")]),
        (b"\xef\xbb", [(b"\xef\xbb", "rest")]),
        (b"", []),
    ],
)
def test_json_lines(body: bytes, lines: list[tuple[bytes, str]]) -> None:
    assert [(e.data, e.name) for e in whole(Lines(), body)] == lines


def test_text_keeps_every_piece() -> None:
    chunks = [b"\xef\xbb\xbfone\n", b"", b"two"]
    assert [(e.data, e.name) for e in events(Text(), iter(chunks))] == [
        (b"\xef\xbb\xbfone\n", "text"),
        (b"two", "text"),
    ]


def test_a_whole_body_is_one_event_without_its_mark() -> None:
    assert whole(Whole(), b"\xef\xbb\xbf{}") == [Event(b"{}", "whole")]


SSE_BODY = b'data: {"a":1}\n\n'
SNIFFED: list[tuple[str, bytes, list[tuple[bytes, str]]]] = [
    ("mislabelled events", SSE_BODY, [(b'{"a":1}', "message")]),
    ("a mark before events", b"\xef\xbb\xbf" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("blank lines before events", b"\n\r\n" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("a comment first", b": ping\n\n" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("a name first", b"event: message\n" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("an id first", b"id: 7\n" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("a retry time first", b"retry: 10\n" + SSE_BODY, [(b'{"a":1}', "message")]),
    ("no space after the colon", b'data:{"a":1}\n\n', [(b'{"a":1}', "message")]),
    ("an end mark as event", b"data: [DONE]\n\n", [(b"[DONE]", "message")]),
    ("lines", b'{"a":1}\n{"b":2}\n', [(b'{"a":1}', "line"), (b'{"b":2}', "line")]),
    ("blank lines before lines", b'\n \n{"a":1}\n', [(b'{"a":1}', "line")]),
    ("a mark before lines", b'\xef\xbb\xbf{"a":1}\n', [(b'{"a":1}', "line")]),
    ("one line without its end", b'{"a":1}', [(b'{"a":1}', "rest")]),
    ("one line, cut", b'{"a":', [(b'{"a":', "rest")]),
    ("an end mark alone", b"[DONE]\n", []),
    ("prose", b"Tea is a drink.\nIt is hot.", [(b"Tea is a drink.\nIt is hot.", "text")]),
    ("prose in braces", b"{sic} is Latin\n", [(b"{sic} is Latin\n", "text")]),
    ("a list", b"[1, 2]\n", [(b"[1, 2]\n", "text")]),
    ("prose about data", b"data: the new oil\n", [(b"data: the new oil\n", "text")]),
    ("prose with data", b"data are plural\n", [(b"data are plural\n", "text")]),
    ("one word", b"data", [(b"data", "text")]),
    ("half a word", b"da", [(b"da", "text")]),
    ("blanks", b" \n \n", []),
    ("nothing", b"", []),
    ("half a mark", b"\xef\xbb", [(b"\xef\xbb", "text")]),
    ("a mark alone", b"\xef\xbb\xbf", []),
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("body", "expected"), [row[1:] for row in SNIFFED], ids=[s[0] for s in SNIFFED]
)
def test_the_first_line_decides(body: bytes, size: int, expected: list[tuple[bytes, str]]) -> None:
    seen = events(Sniffer(lines=True), pieces(body, range(0, len(body), size)))
    if [name for _, name in expected] == ["text"]:
        assert {e.name for e in seen} == {"text"}
        seen = [Event(b"".join(e.data for e in seen), "text")]
    assert [(e.data, e.name) for e in seen] == expected


@pytest.mark.parametrize("body", [b'{"a":\n1}', b"[1]", b' \n{"a":1}\n{"b":2}'])
def test_json_is_one_body_where_lines_are_not_expected(body: bytes) -> None:
    assert whole(Sniffer(lines=False), body) == [Event(body, "whole")]


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("text/event-stream", SSE),
        ("application/json", Sniffer),
        ("text/plain", Sniffer),
        ("", Sniffer),
    ],
)
def test_only_what_is_called_an_event_stream_is_believed(media_type: str, kind: type) -> None:
    assert type(event_stream(media_type)) is kind


@pytest.mark.parametrize(
    ("framing", "line"),
    [
        (SSE(100), b"data: " + b"x" * 20 + b"\n"),
        (SSE(100), b"data:" + b"x" * 20 + b"\n"),
        (SSE(100), b"data\n"),
        (SSE(100), b"x" * 20),
        (Lines(100), b"x" * 20),
        (Whole(100), b"x" * 20),
        (Sniffer(lines=True, limit=100), b'{"a":"' + b"x" * 20),
        (Sniffer(lines=True, limit=100), b" " * 20),
        (Sniffer(lines=False, limit=100), b'{"a":"' + b"x" * 20),
        (Sniffer(lines=True, limit=100), b"data: " + b"x" * 20),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, bytes) else v[:6].decode(),
)
def test_what_never_ends_is_refused(framing: Framing, line: bytes) -> None:
    with pytest.raises(MalformedResponseError, match="exceeds 100 bytes"):
        events(framing, repeat(line, 100))


def test_a_limit_is_for_one_event_not_for_the_stream() -> None:
    framing = SSE(100)
    body = b"data: " + b"x" * 60 + b"\n\n"
    assert sum(len(list(framing.feed(body))) for _ in range(50)) == 50


@pytest.mark.parametrize("start", [b"data: {", b"data:", b"id: ", b'{"a":"', b"x"])
@each_framing
def test_a_long_line_costs_no_more_than_its_length(
    framing: Callable[[], Framing], start: bytes
) -> None:
    piece = b"x" * 64
    used = framing()
    began = time.process_time()
    list(used.feed(start))
    for _ in range(2 * 1024 * 1024 // len(piece)):
        list(used.feed(piece))
    list(used.close())
    assert time.process_time() - began < 1.0  # quadratic: minutes
