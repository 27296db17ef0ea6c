"""How a stream may end: complete, or as an error that hands over all that had come.

A service that writes a mark of its own after the end (``[DONE]``, ``message_end``,
``RUN_FINISHED``) is not read beyond it. Where there is none, the answer is complete when every
choice has its reason to finish. Qaip's lines have no mark: sources may come after the reason, so
there a connection that breaks is always an incomplete answer.
"""

from collections.abc import Sequence
from dataclasses import replace

from qaip_core.errors import ServiceTimeoutError
from support.fault_server import Reply
from support.faults.matrix import Row, incomplete, raised, whole
from support.faults.speech import QAIP_LINES, Speech

__all__ = ["CHUNKS", "CLOSED", "ENDS", "HALF_OPEN", "LEFT_OPEN", "LENGTHS", "MARKS"]

_LINES = QAIP_LINES.name
_MARKED = dict.fromkeys(("dify", "qaip run", "perplexity agent"), whole("te"))
"""Nothing is read beyond their end."""
_UNSURE = {_LINES: incomplete("tea")}


def _other_reason(s: Speech) -> bytes:
    """Another end, with another reason where the service gives one."""
    return s.end().replace(b'"stop"', b'"length"')


def _bare(frame: bytes) -> bytes:
    """A frame, or several, of which the last lacks the end of its line."""
    return frame.rstrip(b"\n")


def _after_done(s: Speech) -> Reply | None:
    done = s.frame("[DONE]")
    return None if s is QAIP_LINES else s.stream(s.piece("te"), s.end("a"), done, s.piece("x"))


def _halved(s: Speech, text: str) -> bytes:
    """The beginning of a frame, up to the middle of the text's first character."""
    frame = s.piece(text)
    return frame[: frame.index(text.encode()) + 1]


def raw(reply: Reply, tail: bytes) -> Reply:
    """A reply in chunks, with another tail than the chunk that ends it."""
    sent = b"".join(p for p in replace(reply, end="cut").pieces() if isinstance(p, bytes))
    return Reply(raw=sent + tail)


def _old(reply: Reply) -> Reply:
    """A reply of the first HTTP, which knows no chunks."""
    sent = b"".join(p for p in replace(reply, framing="close").pieces() if isinstance(p, bytes))
    return Reply(raw=sent.replace(b"HTTP/1.1", b"HTTP/1.0", 1))


ENDS: Sequence[Row] = [
    Row("a complete answer", lambda s: s.stream(*s.said("te", "a")), whole("tea")),
    Row(
        "text on the frame that ends it",
        lambda s: s.stream(s.piece("te"), s.end("a"), s.done),
        whole("tea"),
    ),
    Row("no frames at all", lambda s: s.stream(), incomplete()),
    Row("only pings", lambda s: s.stream(s.ping, s.ping), incomplete()),
    Row("text without an end", lambda s: s.stream(s.piece("te"), s.piece("a")), incomplete("tea")),
    Row(
        "text and the mark, without an end",
        lambda s: s.stream(s.piece("te"), s.piece("a"), s.frame("[DONE]")),
        incomplete("tea"),
    ),
    Row(
        "an end without any text",
        lambda s: s.stream(s.end(), s.usage(), s.done),
        whole(""),
    ),
    Row("a connection cut before the first byte", lambda s: s.stream(end="cut"), incomplete()),
    Row(
        "a connection cut after the end",
        lambda s: s.stream(*s.said("te", "a"), end="cut"),
        whole("tea"),
        but=_UNSURE,
    ),
    Row(
        "a connection reset after some text",
        lambda s: s.stream(s.piece("te"), s.piece("a"), end="reset"),
        incomplete("tea"),
    ),
]

CLOSED: Sequence[Row] = [
    Row("only the mark after the end", lambda s: s.stream(s.frame("[DONE]")), incomplete()),
    Row(
        "the mark after the end is missing",
        lambda s: s.stream(s.piece("tea"), s.end()),
        whole("tea"),
    ),
    Row(
        "a connection cut between two frames",
        lambda s: s.stream(s.piece("te"), s.piece("a"), end="cut"),
        incomplete("tea"),
    ),
    Row("only blank lines", lambda s: s.stream(b"\n\n", b"\n"), incomplete()),
    Row(
        "a frame cut in its middle",
        lambda s: s.stream(s.piece("te"), s.piece("a")[:-4], end="cut"),
        incomplete("te"),
    ),
    Row(
        "half a frame, and a clean end of the body",
        lambda s: s.stream(s.piece("te"), s.piece("a")[:-4]),
        incomplete("te"),
    ),
    Row(
        "a frame cut in the middle of a character",
        lambda s: s.stream(s.piece("te"), _halved(s, "é"), end="cut"),
        incomplete("te"),
    ),
    Row(
        "half a character, and a clean end of the body",
        lambda s: s.stream(s.piece("te"), _halved(s, "é")),
        incomplete("te"),
    ),
    Row(
        "a connection reset before the first byte",
        lambda s: s.stream(end="reset"),
        incomplete(),
    ),
    Row(
        "a connection reset after the end",
        lambda s: s.stream(*s.said("te", "a"), end="reset"),
        whole("tea"),
        but=_UNSURE,
    ),
    Row(
        "a body that ends where the connection does",
        lambda s: s.stream(*s.said("te", "a"), framing="close"),
        whole("tea"),
    ),
    Row(
        "such a body, without an end",
        lambda s: s.stream(s.piece("tea"), framing="close"),
        incomplete("tea"),
    ),
    Row(
        "an answer in the manner of HTTP/1.0",
        lambda s: _old(s.stream(*s.said("te", "a"))),
        whole("tea"),
    ),
    Row(
        "the last frame lacks its blank line",
        lambda s: s.stream(s.piece("te"), s.piece("a"), _bare(s.end())),
        incomplete("tea"),
        but={_LINES: whole("tea")},  # a line is complete where its object is
    ),
    Row(
        "the mark lacks its blank line",
        lambda s: s.stream(s.piece("tea"), s.end(), _bare(s.done)) if s.done else None,
        whole("tea"),
    ),
    Row(
        "the mark is cut",
        lambda s: s.stream(s.piece("tea"), s.end(), s.done[:8], end="cut") if s.done else None,
        whole("tea"),
    ),
]

CHUNKS: Sequence[Row] = [
    Row(
        "a chunk that is cut",
        lambda s: s.stream(s.piece("te"), s.piece("a"), end="cut", wrong_chunk_size=True),
        incomplete("tea"),
    ),
    Row(
        "a chunk of a wrong size",
        lambda s: s.stream(s.piece("te"), s.piece("a"), wrong_chunk_size=True),
        incomplete("tea"),
    ),
    Row(
        "a chunk of a wrong size after the end",
        lambda s: s.stream(*s.said("te", "a"), wrong_chunk_size=True),
        whole("tea"),
        but=_UNSURE,
    ),
    Row(
        "a size of a chunk that is no number",
        lambda s: raw(s.stream(s.piece("te")), b"zz\r\nx\r\n0\r\n\r\n"),
        incomplete("te"),
    ),
    Row(
        "a size of a chunk that is cut",
        lambda s: raw(s.stream(s.piece("te")), b"1"),
        incomplete("te"),
    ),
    Row(
        "a trailer after the last chunk",
        lambda s: raw(s.stream(*s.said("te", "a")), b"0\r\nx-check: 1\r\n\r\n"),
        whole("tea"),
    ),
    Row(
        "a last chunk without its blank line",
        lambda s: raw(s.stream(*s.said("te", "a")), b"0\r\n"),
        whole("tea"),
        but=_UNSURE,
    ),
]

LENGTHS: Sequence[Row] = [
    Row(
        "a body of the length that was announced",
        lambda s: s.stream(*s.said("te", "a"), framing="length"),
        whole("tea"),
    ),
    Row(
        "a body shorter than announced, without an end",
        lambda s: s.stream(s.piece("tea"), framing="length", end="cut"),
        incomplete("tea"),
    ),
    Row(
        "a body shorter than announced, after the end",
        lambda s: s.stream(*s.said("te", "a"), framing="length", end="cut"),
        whole("tea"),
        but=_UNSURE,
    ),
    Row(
        "a body longer than announced",
        lambda s: s.stream(
            s.piece("te"),
            *s.said("a"),
            framing="length",
            content_length=len(s.piece("te")),
        ),
        incomplete("te"),
    ),
    Row(
        "a body announced as empty",
        lambda s: s.stream(*s.said("tea"), framing="length", content_length=0),
        incomplete(),
    ),
]

MARKS: Sequence[Row] = [
    Row(
        "the end comes twice",
        lambda s: s.stream(s.piece("tea"), s.end(), s.end(), s.done),
        whole("tea"),
    ),
    Row(
        "the end comes twice, with two reasons",
        lambda s: s.stream(s.piece("tea"), s.end(), _other_reason(s), s.done),
        whole("tea"),
    ),
    Row(
        "the mark comes twice",
        lambda s: s.stream(*s.said("te", "a"), s.done),
        whole("tea"),
    ),
    Row(
        "text after the end",
        lambda s: s.stream(s.piece("te"), s.end(), s.piece("a"), s.done),
        whole("tea"),
        but=_MARKED,
    ),
    Row("text after the mark", _after_done, whole("tea")),
    Row(
        "the token counts in a last frame of their own",
        lambda s: s.stream(s.piece("tea"), s.end(), s.usage()) if s.usage() else None,
        whole("tea"),
    ),
    Row(
        "pings after the end",
        lambda s: s.stream(s.piece("tea"), s.end(), s.ping, s.done, s.ping),
        whole("tea"),
    ),
    Row(
        "an empty frame before the first text",
        lambda s: s.stream(s.piece(""), *s.said("te", "a")),
        whole("tea"),
    ),
]

HALF_OPEN: Sequence[Row] = [
    Row(
        "a service that stops sending, but listens",
        lambda s: s.stream(s.piece("tea"), end="cut"),
        incomplete("tea"),
    ),
    Row(
        "a service that stops sending after the end, but listens",
        lambda s: s.stream(*s.said("te", "a"), end="cut"),
        whole("tea"),
        but=_UNSURE,
    ),
]

LEFT_OPEN: Sequence[Row] = [
    Row(
        "a connection that is left open after the end",
        lambda s: s.stream(*s.said("te", "a"), end="hang"),
        whole("tea"),
        but={_LINES: raised(ServiceTimeoutError, "stream_idle_timeout", "tea")},
        fields={"stream_idle_timeout": 0.1},
    ),
]
