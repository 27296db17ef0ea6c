"""Answers that call themselves a success, and are none, or are one in spite of their looks."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from qaip_core.errors import ServiceConnectionError
from support.fault_server import Reply, html_reply, json_reply
from support.faults.matrix import Expected, Row, incomplete, malformed, raised, reported, whole
from support.faults.speech import QAIP_LINES, QAIP_RUN, Speech

__all__ = ["BODIES", "STATUSES", "STREAMS", "STREAM_BODIES", "WHOLES"]

_PAGE = html_reply(200)
_LINES = QAIP_LINES.name
_QAIP_JSON = {"qaip": malformed()}  # there a body that is called JSON is read as one answer
_OUTPUTS = {"dify workflow": whole("")}  # it holds what the app gives out, and no text
_EMPTY = malformed("", "an empty body")

_PLAIN: Mapping[str, Any] = {"content_type": "text/plain; charset=utf-8"}
_NONE: Mapping[str, Any] = {"content_type": None}
_BYTES: Mapping[str, Any] = {"content_type": "application/octet-stream"}
_AS_JSON: Mapping[str, Any] = {"content_type": "application/json"}
_LATIN: Mapping[str, Any] = {"content_type": "application/json; charset=iso-8859-1"}
_UTF_16: Mapping[str, Any] = {"content_type": "application/json; charset=utf-16"}
_GZIP: Mapping[str, Any] = {"headers": {"content-encoding": "gzip"}}

Replies = Callable[[Speech], Reply | None]


def _body(content: bytes, **more: Any) -> Reply:
    return Reply(**{"body": content, "framing": "length", **more})


def _json(s: Speech, text: str = "tea") -> bytes:
    return json.dumps(s.body(text), ensure_ascii=False).encode()


def _failure(s: Speech) -> Any:
    """An error as a body: a run, which is always a stream, has none of its own."""
    return Speech.failure(s, "kaput") if s is QAIP_RUN else s.failure("kaput")


def _changed(old: str, new: str) -> Replies:
    """A whole answer with a part of it changed; None where there is no such part."""

    def reply(s: Speech) -> Reply | None:
        content = _json(s).decode()
        changed = content.replace(old, new)
        return None if changed == content else _body(changed.encode())

    return reply


def _frames(s: Speech, *texts: str) -> bytes:
    return b"".join(s.said(*texts))


def _packed(reply: Reply, kind: str = "gzip") -> Reply:
    """A reply whose body is compressed as a whole."""
    body = reply.body if isinstance(reply.body, bytes) else b"".join(map(_as_bytes, reply.body))
    pack = gzip.compress if kind == "gzip" else zlib.compress
    return replace(reply, body=pack(body), headers={"content-encoding": kind}, framing="length")


def _as_bytes(piece: bytes | float) -> bytes:
    assert isinstance(piece, bytes)
    return piece


def _half(packed: Reply) -> Reply:
    """A compressed reply of which only the first half comes, and a clean end."""
    body = packed.body
    assert isinstance(body, bytes)
    return replace(packed, body=body[: len(body) // 2])


def _without_body(status: int) -> Reply:
    return Reply(raw=f"HTTP/1.1 {status} None\r\nx-request-id: r1\r\n\r\n".encode())


def _no_json(content: str | bytes, expected: Expected, name: str) -> Row:
    data = content.encode() if isinstance(content, str) else content
    return Row(name, lambda _: _body(data), expected)


BODIES: Sequence[Row] = [
    Row("a page in the place of an answer", lambda _: _PAGE, malformed("", "200 OK")),
    Row("an error in the body", lambda s: json_reply(_failure(s)), reported("", "kaput")),
    Row(
        "an error that is a text, in the body",
        lambda _: json_reply({"error": "kaput"}),
        reported("", "kaput"),
    ),
    Row("an empty body", lambda _: _body(b""), _EMPTY),
]

WHOLES: Sequence[Row] = [
    Row(
        "an error with details, in the body",
        lambda _: json_reply({"detail": "kaput"}),
        reported("", "kaput"),
    ),
    Row("a body that is cut", lambda s: _body(_json(s)[:-9]), malformed()),
    Row("a body of blanks", lambda _: _body(b" \r\n\t\n"), _EMPTY),
    Row(
        "events in the place of a body",
        lambda s: None if s is QAIP_LINES else s.stream(*s.said("te", "a")),
        malformed(),
    ),
    Row("an answer called text/plain", lambda s: _body(_json(s), **_PLAIN), whole("tea")),
    Row(
        "an answer called a page", lambda s: _body(_json(s), content_type="text/html"), whole("tea")
    ),
    Row("an answer called events", lambda s: _body(_json(s), content_type=s.media), whole("tea")),
    Row("an answer of no kind", lambda s: _body(_json(s), content_type=None), whole("tea")),
    Row("an answer in chunks", lambda s: _body(_json(s), framing="chunked"), whole("tea")),
    Row(
        "an answer that ends with its connection",
        lambda s: _body(_json(s), framing="close"),
        whole("tea"),
    ),
    Row("an answer in gzip", lambda s: _packed(json_reply(s.body("tea"))), whole("tea")),
    Row(
        "an answer in deflate",
        lambda s: _packed(json_reply(s.body("tea")), "deflate"),
        whole("tea"),
    ),
    Row("gzip that is none", lambda s: _body(_json(s), **_GZIP), malformed("", "decompressed")),
    Row(
        "gzip that is cut",
        lambda s: _half(_packed(json_reply(s.body("tea")))),
        raised(ServiceConnectionError),
    ),
    Row("UTF-8 called ISO-8859-1", lambda s: _body(_json(s, "té"), **_LATIN), whole("té")),
    Row(
        "ISO-8859-1",
        lambda s: _body(_json(s, "té").decode().encode("latin-1"), **_LATIN),
        malformed(),
    ),
    Row("UTF-16", lambda s: _body(_json(s).decode().encode("utf-16"), **_UTF_16), malformed()),
    Row(
        "a byte order mark before the answer",
        lambda s: _body(b"\xef\xbb\xbf" + _json(s)),
        whole("tea"),
    ),
    Row(
        "blanks around the answer",
        lambda s: _body(b"\n\n  " + _json(s) + b"\r\n\r\n"),
        whole("tea"),
    ),
    _no_json("[]", malformed(), "a list"),
    _no_json('"tea"', malformed(), "a text"),
    _no_json("7", malformed(), "a number"),
    _no_json("true", malformed(), "true"),
    _no_json("null", malformed(), "null"),
    _no_json("{}", malformed(), "an empty object"),
    _no_json('{"choices": []}', malformed(), "no choices"),
    _no_json('{"choices": null}', malformed(), "choices that are null"),
    _no_json('{"choices": {}}', malformed(), "choices of another kind"),
    _no_json('{"choices": [7]}', malformed(), "a choice of another kind"),
    _no_json('{"choices": "tea", "answer": 7}', malformed(), "an answer of another kind"),
    _no_json("[" * 2000 + "]" * 2000, malformed(), "2,000 lists in each other"),
    _no_json('{"a": ' * 2000 + "1" + "}" * 2000, malformed(), "2,000 objects in each other"),
    _no_json("502 Bad Gateway", malformed("", "502 Bad Gateway"), "words"),
    Row("rubbish behind the answer", lambda s: _body(_json(s) + b" }"), malformed()),
    Row("an answer twice", lambda s: _body(_json(s) + _json(s)), malformed()),
    Row("a time that is no number", _changed("1760000000", "NaN"), whole("tea")),
    Row("a text of another kind", _changed('"tea"', '{"a": 1}'), malformed()),
    Row("no text", _changed('"tea"', "null"), whole(""), but={"dify": malformed()}),
    Row("an empty text", lambda s: json_reply(s.body("")), whole("")),
    Row(
        "errors that are none",
        lambda s: _body(_json(s).replace(b"{", b'{"error": null, "detail": "", ', 1)),
        whole("tea"),
    ),
]

STATUSES: Sequence[Row] = [
    Row("status 201", lambda s: json_reply(s.body("tea"), 201), whole("tea")),
    Row("status 202", lambda s: json_reply(s.body("tea"), 202), whole("tea")),
    Row("status 206", lambda s: json_reply(s.body("tea"), 206), whole("tea")),
    Row(
        "status 202 without an answer", lambda _: json_reply({"status": "queued"}, 202), malformed()
    ),
    Row("status 204, which has no body", lambda _: _without_body(204), _EMPTY),
    Row("status 205, which has no body", lambda _: _body(b"", status=205), _EMPTY),
]

STREAM_BODIES: Sequence[Row] = [
    Row("a page in the place of a stream", lambda _: _PAGE, malformed("", "200 OK")),
    Row(
        "an error in the place of a stream",
        lambda s: json_reply(_failure(s)),
        reported("", "kaput"),
    ),
    Row(
        "a whole answer in the place of a stream",
        lambda s: json_reply(s.body("tea")),
        whole("tea"),
        but=_OUTPUTS,
    ),
]

STREAMS: Sequence[Row] = [
    Row(
        "an empty body in the place of a stream",
        lambda _: _body(b""),
        incomplete(),
        but={"qaip": _EMPTY},
    ),
    Row(
        "blanks in the place of a stream",
        lambda _: _body(b" \r\n\r\n"),
        incomplete(),
        but={"qaip": _EMPTY},
    ),
    Row(
        "a stream called text/plain", lambda s: s.stream(*s.said("te", "a"), **_PLAIN), whole("tea")
    ),
    Row("a stream of no kind", lambda s: s.stream(*s.said("te", "a"), **_NONE), whole("tea")),
    Row("a stream of bytes", lambda s: s.stream(*s.said("te", "a"), **_BYTES), whole("tea")),
    Row(
        "a stream called JSON",
        lambda s: s.stream(*s.said("te", "a"), **_AS_JSON),
        whole("tea"),
        but=_QAIP_JSON,
    ),
    Row(
        "a page called a stream of events",
        lambda s: replace(_PAGE, content_type="text/event-stream"),
        incomplete(),
    ),
    Row(
        "an answer called a stream of events",
        lambda s: _body(_json(s), content_type="text/event-stream"),
        incomplete(),
    ),
    Row(
        "an answer called text/plain, for a stream",
        lambda s: _body(_json(s), **_PLAIN),
        whole("tea"),
        but=_OUTPUTS,
    ),
    Row("a stream in gzip", lambda s: _packed(s.stream(*s.said("te", "a"))), whole("tea")),
    Row(
        "a stream in deflate",
        lambda s: _packed(s.stream(*s.said("te", "a")), "deflate"),
        whole("tea"),
    ),
    Row(
        "a stream of gzip that is none",
        lambda s: s.stream(*s.said("te", "a"), **_GZIP),
        malformed("", "decompressed"),
    ),
    Row(
        "a stream in gzip that is cut",
        lambda s: _half(_packed(s.stream(s.piece("tea")))),
        incomplete(),
    ),
    Row(
        "a stream called ISO-8859-1",
        lambda s: s.stream(*s.said("té"), content_type=s.media.replace("utf-8", "iso-8859-1")),
        whole("té"),
    ),
    Row(
        "a stream in ISO-8859-1",
        lambda s: s.stream(s.piece("té").decode().encode("latin-1"), *s.said("x")),
        whole("t\ufffdx"),
    ),
    Row(
        "a stream in UTF-16, called events",
        lambda s: s.stream(
            _frames(s, "tea").decode().encode("utf-16"), content_type="text/event-stream"
        ),
        incomplete(),
    ),
    Row("a list in the place of a stream", lambda _: _body(b"[]"), malformed()),
    Row("a text in the place of a stream", lambda _: _body(b'"tea"'), malformed()),
    Row("a number in the place of a stream", lambda _: _body(b"7"), malformed()),
    Row("true in the place of a stream", lambda _: _body(b"true"), malformed()),
    Row("an empty object in the place of a stream", lambda _: _body(b"{}"), malformed()),
    Row(
        "words in the place of a stream",
        lambda _: _body(b"502 Bad Gateway"),
        malformed("", "502 Bad Gateway"),
    ),
    Row(
        "status 201, with a stream",
        lambda s: s.stream(*s.said("te", "a"), status=201),
        whole("tea"),
    ),
    Row(
        "status 202, with a stream",
        lambda s: s.stream(*s.said("te", "a"), status=202),
        whole("tea"),
    ),
    Row(
        "status 206, with a stream",
        lambda s: s.stream(*s.said("te", "a"), status=206),
        whole("tea"),
    ),
    Row("status 204 in the place of a stream", lambda _: _without_body(204), incomplete()),
]
