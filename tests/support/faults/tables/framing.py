"""How the bytes of a stream are laid into events or lines: legal ways change nothing.

Events end at blank lines, lines at LF, CR or CRLF, and nowhere else. A label that does not fit
is looked at, not believed: what comes decides. What begins as a JSON object is one, or an error;
it is never shown as text. Two objects on one line are no line: which of them counts is a guess.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle

from support.fault_server import Reply
from support.faults.matrix import Replies, Row, incomplete, malformed, whole
from support.faults.speech import QAIP_LINES, Speech

__all__ = ["EVENTS", "LABELS", "LINES"]

BOM = b"\xef\xbb\xbf"
SEPARATORS = "t\u2028e\u2029\x85a"  # line ends to Python's str.splitlines(), not to a stream
LONG = "tea " * (512 * 1024)  # 2 MiB
EVERY_END = (b"\n\n", b"\r\n\r\n", b"\r\r", b"\r\n\n", b"\n\r\n", b"\r\n\r")


def _frames(s: Speech) -> list[bytes]:
    """The events of a complete answer, one by one."""
    return [f + b"\n\n" for f in b"".join(s.said("te", "a")).split(b"\n\n") if f]


def _each(change: Callable[[bytes], bytes], first: bytes = b"") -> Replies:
    """A complete answer whose every event is changed."""
    return lambda s: None if s is QAIP_LINES else s.stream(first, *map(change, _frames(s)))


def _before(extra: bytes) -> Replies:
    return _each(lambda frame: extra + frame)


def _within(extra: bytes) -> Replies:
    return _each(lambda frame: frame[:-1] + extra + b"\n")


def _at_first(extra: bytes, media: str | None, end: bytes = b"\n") -> Replies:
    """A complete answer that is labelled as something else, and begins with these bytes."""

    def replies(s: Speech) -> Reply | None:
        frames = [frame.replace(b"\n", end) for frame in _frames(s)]
        return None if s is QAIP_LINES else s.stream(extra, *frames, content_type=media)

    return replies


def _second(extra: bytes) -> Replies:
    """An answer with something before its second text."""
    return lambda s: s.stream(s.piece("te"), extra + s.piece("a"), s.end(), s.done)


def _said(text: str) -> Replies:
    return lambda s: s.stream(*s.said(text))


def _not_utf8(s: Speech) -> Reply:
    return s.stream(*(frame.replace(b"TEA", b"t\xffa") for frame in s.said("TEA")))


def _mixed(s: Speech) -> Reply | None:
    ended = zip(_frames(s), cycle(EVERY_END), strict=False)
    return None if s is QAIP_LINES else s.stream(*(f.rstrip(b"\n") + end for f, end in ended))


def _glued(s: Speech) -> Reply | None:
    return None if s is QAIP_LINES else s.stream(b"".join(s.said("te", "a")))


EVENTS: Sequence[Row] = [
    Row("lines that end in CRLF", _each(lambda f: f.replace(b"\n", b"\r\n")), whole("tea")),
    Row("lines that end in CR", _each(lambda f: f.replace(b"\n", b"\r")), whole("tea")),
    Row("lines that end in LF, CR and CRLF by turns", _mixed, whole("tea")),
    Row("a byte order mark at the start", _each(bytes, first=BOM), whole("tea")),
    Row("a byte order mark before a comment", _before(BOM + b": ping\n\n"), whole("tea")),
    Row(
        "a byte order mark before a later text: by standard, no event",
        lambda s: None if s is QAIP_LINES else _second(BOM)(s),
        whole("te"),
    ),
    Row("no space after the colon", _each(lambda f: f.replace(b": ", b":", 1)), whole("tea")),
    Row("two spaces after the colon", _each(lambda f: f.replace(b": ", b":  ", 1)), whole("tea")),
    Row("a field without a colon", _before(b"data\n"), whole("tea")),
    Row(
        "an object over several data lines",
        _each(lambda f: f.replace(b', "', b',\ndata: "')),
        whole("tea"),
    ),
    Row("a comment before each event", _before(b": ping\n\n"), whole("tea")),
    Row("a comment in each event", _within(b": ping\n:\n"), whole("tea")),
    Row("a comment of 10 kB", _each(bytes, first=b": " + b"x" * 10_000 + b"\n"), whole("tea")),
    Row("an event that is only a name, before each", _before(b"event: ping\n\n"), whole("tea")),
    Row(
        "a name, an id and a time to retry on each event",
        _before(b"event: message\nid: 7\nretry: 10\n"),
        whole("tea"),
    ),
    Row("two ids on each event, one with a NUL", _before(b"id: 7\nid: \0\n"), whole("tea")),
    Row("a time to retry that is no number", _within(b"retry: 1x\n"), whole("tea")),
    Row("fields that nobody knows", _within(b"foo: 1\nbar\n"), whole("tea")),
    Row("events with empty data", _before(b"data:\n\ndata\n\n"), whole("tea")),
    Row("more blank lines than are needed", _before(b"\n\r\n\r\n"), whole("tea")),
    Row("the whole stream in one piece", _glued, whole("tea")),
    Row("characters that split lines of Python", _said(SEPARATORS), whole(SEPARATORS)),
    Row("characters of three and four bytes", _said("茶🍵"), whole("茶🍵")),
    Row("bytes that are no UTF-8", _not_utf8, whole("t\ufffda")),
]


LABELS: Sequence[Row] = [
    Row("events labelled as text", _at_first(b"", "text/plain"), whole("tea")),
    Row("events without a label", _at_first(b"", None), whole("tea")),
    Row("events labelled as lines of JSON", _at_first(b"", "application/x-ndjson"), whole("tea")),
    Row(
        "events labelled as one JSON body",
        _at_first(b"", "application/json"),
        whole("tea"),
        but={"qaip": malformed()},
    ),
    Row("such events after a byte order mark", _at_first(BOM, "text/plain", b"\r"), whole("tea")),
    Row("such events after blank lines", _at_first(b"\n \r\n\n", "text/plain"), whole("tea")),
    Row("such events after a comment", _at_first(b": ping\n\n", "text/plain"), whole("tea")),
    Row("such events after a name", _at_first(b"event: message\n", "text/plain"), whole("tea")),
    Row("such events after an id", _at_first(b"id: 7\r\n", "text/plain", b"\r\n"), whole("tea")),
    Row("such events after a time to retry", _at_first(b"retry: 9\n", "text/plain"), whole("tea")),
]


# Lines of JSON, which Qaip sends


def _lines(change: Callable[[bytes], bytes], first: bytes = b"", last: bytes = b"") -> Replies:
    """A complete answer whose every line is changed."""

    def replies(s: Speech) -> Reply | None:
        return s.stream(first, *map(change, s.said("te", "a")), last) if s is QAIP_LINES else None

    return replies


def _line(extra: bytes) -> Replies:
    """A complete answer with one more line in it."""
    return lambda s: _only_lines(s, s.piece("te"), extra + b"\n", s.piece("a"), s.end())


def _only_lines(s: Speech, *lines: bytes, **more: str | None) -> Reply | None:
    return s.stream(*lines, **more) if s is QAIP_LINES else None


def _labelled(media: str | None) -> Replies:
    return lambda s: _only_lines(s, *s.said("te", "a"), content_type=media)


def _added(line: bytes, field: bytes) -> bytes:
    """A line with a field, as it is written, before all others."""
    return line.replace(b"{", b"{" + field + b", ", 1)


def _twice(line: bytes) -> bytes:
    """A line whose text is given twice: the last one counts."""
    return line.replace(b'"content"', b'"content": "other", "content"')


def _pretty(s: Speech, text: str) -> bytes:
    return json.dumps(s.body(text), indent=2).encode() + b"\n"


def _bare(line: bytes) -> bytes:
    return line.rstrip(b"\n")


def _unended(s: Speech) -> list[bytes]:
    *lines, last = (line for line in s.said("te", "a") if line)
    return [*lines, _bare(last)]


def _together(s: Speech) -> bytes:
    return _bare(s.piece("a")) + s.end()


LINES: Sequence[Row] = [
    Row("lines of JSON that end in CRLF", _lines(lambda f: _bare(f) + b"\r\n"), whole("tea")),
    Row("lines of JSON that end in CR", _lines(lambda f: _bare(f) + b"\r"), whole("tea")),
    Row("blank lines between lines of JSON", _lines(lambda f: f + b"\n\r\n"), whole("tea")),
    Row("lines of blanks", _lines(lambda f: b" \t \n" + f), whole("tea")),
    Row("blanks around an object", _lines(lambda f: b" " + _bare(f) + b" \t\n"), whole("tea")),
    Row("no end of the last line", lambda s: _only_lines(s, *_unended(s)), whole("tea")),
    Row("lines in one piece", lambda s: _only_lines(s, b"".join(s.said("te", "a"))), whole("tea")),
    Row("lines of JSON after a byte order mark", _lines(bytes, first=BOM), whole("tea")),
    Row("a byte order mark in the middle", _line(BOM), malformed("te")),
    Row("a field that is NaN", _lines(partial(_added, field=b'"x": NaN')), whole("tea")),
    Row("a field beyond all numbers", _lines(partial(_added, field=b'"x": 1e999')), whole("tea")),
    Row("a text given twice in one object", _lines(_twice), whole("tea")),
    Row("the mark of other services at the end", _lines(bytes, last=b"[DONE]\n"), whole("tea")),
    Row("the mark of other services at first", _lines(bytes, first=b"[DONE]\n"), whole("tea")),
    Row("a line that is null", _line(b"null"), whole("tea")),
    Row("a line of 2 MiB", lambda s: _only_lines(s, *s.said(LONG)), whole(LONG)),
    Row("lines labelled as such", _labelled("application/x-ndjson"), whole("tea")),
    Row("lines without a label", _labelled(None), whole("tea")),
    Row("lines labelled as one JSON body", _labelled("application/json"), malformed()),
    Row("lines labelled as events", _labelled("text/event-stream"), incomplete()),
    Row("lines within data fields", _lines(lambda f: b"data: " + f + b"\n"), whole("tea")),
    Row("such lines without blank lines", _lines(lambda f: b"data: " + f), incomplete()),
    Row(
        "two objects on the first line",
        lambda s: _only_lines(s, _bare(s.piece("te")) + s.piece("a"), s.end()),
        malformed(),
    ),
    Row(
        "two objects on a line",
        lambda s: _only_lines(s, s.piece("te"), _together(s)),
        malformed("te"),
    ),
    Row(
        "two objects on a last line without an end",
        lambda s: _only_lines(s, s.piece("te"), _bare(_together(s))),
        incomplete("te"),
    ),
    Row(
        "half an object at the end",
        lambda s: _only_lines(s, s.piece("te"), s.piece("a"), s.end()[:40]),
        incomplete("tea"),
    ),
    Row("half an object alone", lambda s: _only_lines(s, s.end("tea")[:40]), incomplete()),
    Row("a brace alone", lambda s: _only_lines(s, b"{"), incomplete()),
    Row(
        "something after the first object",
        lambda s: _only_lines(s, _bare(s.piece("te")) + b" ok\n", s.end()),
        malformed(),
    ),
    Row(
        "something after an object",
        lambda s: _only_lines(s, s.piece("te"), _bare(s.end("a")) + b",\n"),
        malformed("te"),
    ),
    Row(
        "one object over several lines",
        lambda s: _only_lines(s, _pretty(s, "tea")),
        whole("tea"),
    ),
    Row(
        "two objects over several lines",
        lambda s: _only_lines(s, _pretty(s, "te"), _pretty(s, "a")),
        malformed(),
    ),
    Row(
        "half an object over several lines",
        lambda s: _only_lines(s, _pretty(s, "tea")[:80]),
        malformed(),
    ),
    Row(
        "an object over several lines, after a line",
        lambda s: _only_lines(s, s.piece("te"), _pretty(s, "a")),
        malformed("te"),
    ),
    Row("a line that is a string", _line(b'"x"'), malformed("te")),
    Row("a line that is a number", _line(b"7"), malformed("te")),
    Row("a line that is a list", _line(b"[7]"), malformed("te")),
    Row("a line that is no JSON", _line(b"oops"), malformed("te")),
    Row("a line that is an event's name", _line(b"event: message"), malformed("te")),
    Row("an event's name before lines", _lines(bytes, first=b"event: message\n"), malformed()),
]  # fmt: skip
