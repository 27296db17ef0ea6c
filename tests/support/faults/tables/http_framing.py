"""How HTTP lays out an answer: legal ways change nothing, others are a broken connection.

A head that is no HTTP is an answer that never began; a chunk that is none breaks off a stream
that had begun.
"""

from collections.abc import Callable, Mapping, Sequence

from qaip_core.errors import ServiceConnectionError
from support.fault_server import Reply
from support.faults.matrix import Expected, Row, incomplete, raised, whole
from support.faults.speech import Speech

__all__ = ["CHUNKED", "HEADS", "heads"]

OK = b"HTTP/1.1 200 OK\r\n"
IN_CHUNKS = b"Transfer-Encoding: chunked\r\n"
BROKEN = raised(ServiceConnectionError, "check base_url, the network")
Content = Callable[[Speech], tuple[str, bytes]]
"""What a service sends: the label and the body."""


def streamed(s: Speech) -> tuple[str, bytes]:
    return s.media, b"".join(s.said("te", "a"))


def chunk(data: bytes, head: bytes = b"%x") -> bytes:
    """One chunk; `head` is how its size is written."""
    return head % len(data) + b"\r\n" + data + b"\r\n"


LAST = b"0\r\n\r\n"


def _length(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n" % len(body)


def _chunks(_body: bytes) -> bytes:
    return IN_CHUNKS


def _head(
    start: bytes = OK,
    extra: bytes = b"",
    *,
    framing: Callable[[bytes], bytes] = _chunks,
    sent: Callable[[bytes], bytes] | None = None,
) -> Callable[[str, bytes], Reply]:
    """A reply with this status line and these further headers; the body is one chunk, or `sent`."""

    def reply(media: str, body: bytes) -> Reply:
        label = b"Content-Type: %b\r\n" % media.encode()
        end = b"\r\n" + (sent(body) if sent else chunk(body) + LAST)
        return Reply(raw=start + label + framing(body) + extra + end)

    return reply


def _pieces(media: str, body: bytes) -> Reply:
    """A head that comes bit by bit."""
    raw = _head()(media, body).raw
    assert isinstance(raw, bytes)
    return Reply(raw=[raw[:5], 0.002, raw[5:16], 0.002, raw[16:18], 0.002, raw[18:]])


def _bare_lines(media: str, body: bytes) -> Reply:
    head = b"HTTP/1.1 200 OK\nContent-Type: %b\nContent-Length: %d\n\n"
    return Reply(raw=head % (media.encode(), len(body)) + body)


def _plain(body: bytes) -> bytes:
    return body


def _early(status: bytes, headers: bytes = b"") -> Callable[[str, bytes], Reply]:
    """A reply after another head, which announces it."""
    return _head(b"HTTP/1.1 " + status + b"\r\n" + headers + b"\r\n" + OK)


_GOOD: Mapping[str, Callable[[str, bytes], Reply]] = {
    "an answer in one segment": _head(),
    "a head in pieces": _pieces,
    "a head whose lines end in LF": _bare_lines,
    "a head without a reason": _head(b"HTTP/1.1 200\r\n"),
    "chunks in the manner of HTTP/1.0": _head(b"HTTP/1.0 200 OK\r\n"),
    "a head before it that says 100": _early(b"100 Continue"),
    "a head before it that says 103": _early(b"103 Early Hints", b"Link: </a>\r\n"),
    "two heads before it": _head(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Go\r\n\r\n" + OK),
    "a header in Latin-1": _head(extra=b"X-Note: caf\xe9\r\n"),
    "a header that goes on in another line": _head(extra=b"X-Note: a\r\n  b\r\n"),
    "a header of 60 kB": _head(extra=b"X-Note: %b\r\n" % (b"x" * 60_000)),
    "a hundred headers": _head(extra=b"".join(b"X-%d: 1\r\n" % n for n in range(100))),
    "the same length twice": _head(framing=lambda b: _length(b) * 2, sent=_plain),
    "a length beside chunks": _head(framing=lambda b: IN_CHUNKS + _length(b)),
    "an unknown encoding of the content": _head(extra=b"Content-Encoding: x-none\r\n"),
    "bytes after the answer": _head(sent=lambda b: chunk(b) + LAST + b"HTTP/1.1 500 Oops\r\n\r\n"),
}
_BAD: Mapping[str, Callable[[str, bytes], Reply]] = {
    "a protocol in lower case": _head(b"http/1.1 200 ok\r\n"),
    "a protocol of another kind": _head(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "a status that is no number": _head(b"HTTP/1.1 OK\r\n"),
    "a status of four digits": _head(b"HTTP/1.1 2000 OK\r\n"),
    "a status of 101, to speak something else": _head(b"HTTP/1.1 101 Switching Protocols\r\n"),
    "a protocol of the next version": _head(b"HTTP/2 200\r\n"),
    "a body without a head": lambda _media, body: Reply(raw=body),
    "a head that is cut": lambda _media, _body: Reply(raw=OK + b"Content-Ty"),
    "a header of 200 kB": _head(extra=b"X-Note: %b\r\n" % (b"x" * 200_000)),
    "a header without a colon": _head(extra=b"X-Note\r\n"),
    "a header with a blank in its name": _head(extra=b"X Note: 1\r\n"),
    "a header with a NUL": _head(extra=b"X-Note: a\0b\r\n"),
    "two lengths": _head(framing=lambda b: _length(b) + _length(b + b"x"), sent=_plain),
    "a length below nought": _head(framing=lambda _: b"Content-Length: -5\r\n", sent=_plain),
    "a length that is no number": _head(framing=lambda _: b"Content-Length: x\r\n", sent=_plain),
    "gzip as an encoding of the transfer": _head(
        framing=lambda _: b"Transfer-Encoding: gzip, chunked\r\n"
    ),
}


def heads(content: Content) -> list[Row]:
    """Return the rows about what comes before a body, for what a service sends."""

    def row(name: str, reply: Callable[[str, bytes], Reply], expected: Expected) -> Row:
        return Row(name, lambda s: reply(*content(s)), expected)

    good = [row(name, reply, whole("tea")) for name, reply in _GOOD.items()]
    return good + [row(name, reply, BROKEN) for name, reply in _BAD.items()]


HEADS: Sequence[Row] = heads(streamed)


def _in_chunks(write: Callable[[bytes], bytes]) -> Callable[[Speech], Reply]:
    """A complete stream, each frame written as one chunk."""

    def replies(s: Speech) -> Reply:
        frames = [frame for frame in s.said("te", "a") if frame]
        return _head(sent=lambda _: b"".join(map(write, frames)) + LAST)(s.media, b"")

    return replies


def _broken(rest: bytes) -> Callable[[Speech], Reply]:
    """A stream with one good chunk, and then this."""
    return lambda s: _head(sent=lambda _: chunk(s.piece("te")) + rest)(s.media, b"")


CHUNKED: Sequence[Row] = [
    Row("sizes of chunks in capitals", _in_chunks(lambda f: chunk(f, b"%X")), whole("tea")),
    Row(
        "sizes of chunks with noughts before", _in_chunks(lambda f: chunk(f, b"%08x")), whole("tea")
    ),
    Row(
        "chunks with extensions",
        _in_chunks(lambda f: chunk(f, b'%x;a=1;b="c d"')),
        whole("tea"),
    ),
    Row("a size of a chunk below nought", _broken(b"-5\r\nhello\r\n"), incomplete("te")),
    Row("a size of a chunk like 0x5", _broken(b"0x5\r\nhello\r\n"), incomplete("te")),
    Row("a size of a chunk beyond all memory", _broken(b"f" * 16 + b"\r\nhello"), incomplete("te")),
    Row("a size of a chunk of a thousand digits", _broken(b"1" * 1000), incomplete("te")),
    Row("a chunk longer than its size", _broken(b"2\r\nhello\r\n" + LAST), incomplete("te")),
    Row("no size of a chunk", _broken(b"\r\nhello\r\n"), incomplete("te")),
    Row("an extension without an end", _broken(b"5;" + b"x" * 200_000), incomplete("te")),
    Row("a trailer without an end", _broken(b"0\r\nX: " + b"x" * 200_000), incomplete("te")),
]
