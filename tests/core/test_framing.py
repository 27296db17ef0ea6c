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
        b'{|}|{"a":1}|\xff|da|\xe2\x80\xa8|\x85|\x0b|x|{"|retry:|7|event: |<ht|ml>|<'.split(b"|")
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
            known = [
                (e.name, e.data.decode("utf-8", "replace"), e.id)
                for e in seen
                if e.name != "rest"  # tells of half an event, and is none
            ]
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


FIELDS = st.lists(
    st.sampled_from(
        b"data: a|data: {}|data:b|data: |data:|event: e|id: 7|: ping||data: \x85|"
        b"\xef\xbb\xbfdata: c".split(b"|")
    ),
    min_size=1,
    max_size=4,
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(packets=st.lists(st.tuples(FIELDS, ENDS), max_size=5))
@settings(max_examples=300)
def test_packets_that_end_where_a_line_ends_are_read_as_one_that_does_not(
    packets: list[tuple[list[bytes], bytes]],
) -> None:
    chunks = [b"".join(line + end for line in [*lines, b""]) for lines, end in packets]
    body = b"".join(chunks)
    assert events(SSE(), iter(chunks)) == events(SSE(), (bytes([b]) for b in body))


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: a\rdata: b\n\n"],
        [b"event: error\n", b"data: a\n\n"],
        [b"data: a\r\revent: error\rdata: b\n\n"],
    ],
    ids=["another end", "a name", "both"],
)
def test_a_packet_after_a_blank_line_may_hold_any_line(chunks: list[bytes]) -> None:
    chunks = [b": ping\n\n", *chunks]
    assert events(SSE(), iter(chunks)) == events(SSE(), (bytes([b]) for b in b"".join(chunks)))


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
    ("an end mark before lines", b'[DONE]\n{"a":1}\n', [(b"[DONE]", "line"), (b'{"a":1}', "line")]),
    ("two comments", b": ping\n\n: ping\n\n", []),
    ("a comment alone", b": ping\n", []),
    ("a name alone", b"event: ping", []),
    ("a name before a line", b'event: a\n{"a":1}\n', [(b"event: a", "line"), (b'{"a":1}', "line")]),
    ("an id before prose", b"id: 7\nis mine", [(b"id: 7\nis mine", "text")]),
    ("an id of several words", b"id: 7 is mine", [(b"id: 7 is mine", "text")]),
    ("a name of several words", b"event: dinner at 8\n", [(b"event: dinner at 8\n", "text")]),
    ("a time to retry in words", b"retry: never\n", [(b"retry: never\n", "text")]),
    ("a comment before prose", b":\n\nTea", [(b":\n\nTea", "text")]),
    ("two objects on a line", b'{"a":1}{"b":2}\n', [(b'{"a":1}{"b":2}', "line")]),
    ("an object and more", b'{"a":1}, \n', [(b'{"a":1}, ', "line")]),
    ("an empty object", b"{}\n", [(b"{}", "line")]),
    ("an object over several lines", b'{\r\n"a": 1}\r\n', [(b'{\r\n"a": 1}\r\n', "whole")]),
    ("a brace alone", b"{", [(b"{", "rest")]),
    ("prose", b"Tea is a drink.\nIt is hot.", [(b"Tea is a drink.\nIt is hot.", "text")]),
    ("prose in braces", b"{sic} is Latin\n", [(b"{sic} is Latin\n", "text")]),
    ("a list", b"[1, 2]\n", [(b"[1, 2]\n", "text")]),
    ("prose about data", b"data: the new oil\n", [(b"data: the new oil\n", "text")]),
    ("prose with data", b"data are plural\n", [(b"data are plural\n", "text")]),
    ("one word", b"data", [(b"data", "text")]),
    ("half a word", b"da", [(b"da", "text")]),
    ("a page", b"<!DOCTYPE html>\n<p>\n", [(b"<!DOCTYPE html>\n<p>\n", "whole")]),
    ("a page without its type", b" <html >", [(b" <html >", "whole")]),
    ("a sign", b"< 5 minutes", [(b"< 5 minutes", "text")]),
    ("half a page", b"<ht", [(b"<ht", "text")]),
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


_JSON = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=5), max_size=2).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
_ENDS = st.sampled_from(["\n", "\r", "\r\n"])
_NOISE = st.lists(st.sampled_from([": ping", "event: a", "id: 7", "retry: 9", ""]), max_size=4)


@given(
    mark=st.sampled_from(["", "\ufeff"]),
    noise=_NOISE,
    objects=st.lists(_JSON, min_size=1, max_size=3),
    end=_ENDS,
    cuts=CUTS,
)
def test_events_without_a_label_are_those_of_events_with_one(
    mark: str, noise: list[str], objects: list[str], end: str, cuts: list[int]
) -> None:
    lines = [*noise, *(f"data: {one}{end}" for one in objects)]
    body = (mark + "".join(line + end for line in lines)).encode()
    expected = whole(SSE(), body)
    assert len(expected) == len(objects)
    for lined in (True, False):
        assert events(Sniffer(lines=lined), pieces(body, cuts)) == expected


@given(
    mark=st.sampled_from(["", "\ufeff"]),
    objects=st.lists(_JSON, min_size=1, max_size=4),
    end=_ENDS,
    cuts=CUTS,
)
def test_lines_without_a_label_are_those_of_lines_with_one(
    mark: str, objects: list[str], end: str, cuts: list[int]
) -> None:
    body = (mark + "".join(one + end for one in objects)).encode()
    assert events(Sniffer(lines=True), pieces(body, cuts)) == whole(Lines(), body)


@given(start=st.sampled_from([b"", b"\n", b"\xef\xbb\xbf", b" \r\n"]), body=WIRE, cuts=CUTS)
@pytest.mark.parametrize("lines", [True, False])
def test_what_begins_as_an_object_is_never_text(
    lines: bool, start: bytes, body: bytes, cuts: list[int]
) -> None:
    sniffed = events(Sniffer(lines=lines), pieces(start + b'{"' + body, cuts))
    assert sniffed
    assert {e.name for e in sniffed} <= ({"line", "rest"} if lines else {"whole"})


@given(body=st.text(max_size=30).map(str.encode) | WIRE, cuts=CUTS)
@pytest.mark.parametrize("lines", [True, False])
def test_text_is_handed_on_as_it_is_and_nothing_is_two_things_at_once(
    lines: bool, body: bytes, cuts: list[int]
) -> None:
    sniffed = events(Sniffer(lines=lines), pieces(body, cuts))
    names = {e.name for e in sniffed}
    if "text" in names:
        assert names == {"text"}
        assert b"".join(e.data for e in sniffed) == body
    if "whole" in names:
        assert len(sniffed) == 1
    assert not names & {"line", "rest"} or names <= {"line", "rest"}


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


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n", b""])
def test_a_line_may_be_as_long_as_the_limit_at_every_cut(end: bytes) -> None:
    for at in range(120):
        assert [e.data for e in events(Lines(100), pieces(b"x" * 100 + end, [at]))] == [b"x" * 100]
        with pytest.raises(MalformedResponseError, match="a line of the stream exceeds 100 bytes"):
            events(Lines(100), pieces(b"x\n" + b"x" * 101 + end, [at]))


LIMITED: Mapping[str, Callable[[], Framing]] = {
    "SSE": lambda: SSE(8),
    "Lines": lambda: Lines(8),
    "Whole": lambda: Whole(8),
}


@pytest.mark.parametrize("framing", LIMITED.values(), ids=LIMITED)
@given(body=WIRE, cuts=CUTS)
def test_what_is_refused_is_refused_at_all_cuts(
    framing: Callable[[], Framing], body: bytes, cuts: list[int]
) -> None:
    assert limited(framing(), pieces(body, cuts)) == limited(framing(), iter([body]))


def limited(framing: Framing, chunks: Iterator[bytes]) -> list[Event] | None:
    """The events; None for a refusal."""
    try:
        return events(framing, chunks)
    except MalformedResponseError:
        return None


def test_a_limit_is_for_one_event_not_for_the_stream() -> None:
    framing = SSE(100)
    body = b"data: " + b"x" * 60 + b"\n\n"
    assert sum(len(list(framing.feed(body))) for _ in range(50)) == 50


def test_the_limit_is_the_same_for_an_event_that_comes_by_itself() -> None:
    framing = SSE(100)
    assert list(framing.feed(b": ping\n\n")) == []
    with pytest.raises(MalformedResponseError, match="exceeds 100 bytes"):
        list(framing.feed(b"data: " + b"x" * 100 + b"\n\n"))


def cost(framing: Framing, start: bytes, piece: bytes) -> float:
    """The seconds that 2 MiB in pieces of 64 bytes take; minutes, if they were quadratic."""
    began = time.process_time()
    list(framing.feed(start))
    for _ in range(2 * 1024 * 1024 // len(piece)):
        list(framing.feed(piece))
    list(framing.close())
    return time.process_time() - began


@pytest.mark.parametrize("start", [b"data: {", b"data:", b"id: ", b'{"a":"', b"x"])
@each_framing
def test_a_long_line_costs_no_more_than_its_length(
    framing: Callable[[], Framing], start: bytes
) -> None:
    assert cost(framing(), start, b"x" * 64) < 2.0


@pytest.mark.parametrize("blank", [b" " * 64, b" " * 63 + b"\n", b"\n" + b" " * 63])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf\n", b"id: 7\n", b": ping\r"])
def test_blanks_that_decide_nothing_cost_no_more_than_their_length(
    start: bytes, blank: bytes
) -> None:
    assert cost(Sniffer(lines=True), start, blank) < 2.0
