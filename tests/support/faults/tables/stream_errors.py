"""What may go wrong in the middle of a stream: it is raised, with all that had come before it.

An error counts until the answer has ended. Behind the service's own end mark nothing is read;
where a reason to finish has come but not the mark, an error is raised, with the whole text.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from support.fault_server import Reply
from support.faults.matrix import Row, incomplete, malformed, reported, whole
from support.faults.speech import (
    DIFY,
    DIFY_CHAT,
    DIFY_WORKFLOW,
    FIREWORKS_CHAT,
    FIREWORKS_TEXT,
    PAIS_AGENT_CHAT,
    PAIS_AGENT_TEXT,
    PAIS_CHAT,
    PAIS_TEXT,
    PERPLEXITY,
    PERPLEXITY_AGENT,
    QAIP_LINES,
    QAIP_RUN,
    Speech,
)

__all__ = ["ENVELOPES", "ERRORS", "LOOKALIKES", "NOTHINGS", "OTHER_SHAPES", "REPORTS"]

_LINES = QAIP_LINES.name
_PAGE = "<html><head><title>502 Bad Gateway</title></head><body>no</body></html>"
_RUNS = dict.fromkeys(("dify", "qaip run", "perplexity agent"), whole("tea"))
"""Nothing is read beyond their end."""

Frame = Callable[[Speech], bytes | None]


def _between(frame: Frame) -> Callable[[Speech], Reply | None]:
    """A complete answer with something in its middle."""
    return lambda s: _sent(s, frame(s), *s.said("a"))


def _after_text(frame: Frame) -> Callable[[Speech], Reply | None]:
    """Some text, and then this."""
    return lambda s: _sent(s, frame(s))


def _sent(s: Speech, frame: bytes | None, *more: bytes) -> Reply | None:
    return None if frame is None else s.stream(s.piece("te"), frame, *more)


def _failure(s: Speech) -> bytes:
    return s.frame(s.failure("kaput"))


def _named(name: str, data: str) -> Frame:
    """An event with a name of its own; lines have none."""
    return lambda s: None if s is QAIP_LINES else f"event: {name}\ndata: {data}\n\n".encode()


def _with(extra: str, text: str = "x") -> Frame:
    """A piece of an answer with a further field."""
    return lambda s: s.piece(text).replace(b"{", b"{" + extra.encode() + b", ", 1)


def _changed(old: bytes, new: bytes) -> Frame:
    """A piece of an answer with a value changed; None where there is no such value."""

    def frame(s: Speech) -> bytes | None:
        piece = s.piece("x")
        return piece.replace(old, new) if old in piece else None

    return frame


def _only(frame: Frame, *speeches: Speech) -> Frame:
    return lambda s: frame(s) if s in speeches else None


def _except(frame: Frame, *speeches: Speech) -> Frame:
    return lambda s: None if s in speeches else frame(s)


def _choices(value: Any) -> Frame:
    """A frame with this in the place of its choices, for services that write choices."""
    without = (DIFY, DIFY_CHAT, DIFY_WORKFLOW, QAIP_RUN, PERPLEXITY_AGENT)
    return _except(lambda s: s.frame({"id": "answer-1", "choices": value}), *without)


_OF_DIFY = (DIFY, DIFY_CHAT, DIFY_WORKFLOW)

ERRORS: Sequence[Row] = [
    Row(
        "an error before the first text",
        lambda s: s.stream(_failure(s)),
        reported("", "kaput"),
    ),
    Row(
        "an error after some text",
        lambda s: s.stream(s.piece("te"), s.piece("a"), _failure(s)),
        reported("tea", "kaput"),
    ),
    Row(
        "an error in the same packet as some text",
        lambda s: s.stream(s.piece("te") + s.piece("a") + _failure(s)),
        reported("tea", "kaput"),
    ),
]

ENVELOPES: Sequence[Row] = [
    Row(
        "an error before the first text, then the mark",
        lambda s: s.stream(_failure(s), s.frame("[DONE]")),
        reported("", "kaput"),
    ),
    Row(
        "an error after some text, then a cut",
        lambda s: s.stream(s.piece("tea"), _failure(s), end="cut"),
        reported("tea", "kaput"),
    ),
    Row(
        "an error after some text, then the mark",
        lambda s: s.stream(s.piece("tea"), _failure(s), s.frame("[DONE]")),
        reported("tea", "kaput"),
    ),
    Row(
        "an error in the middle, and the answer goes on",
        _between(_failure),
        reported("te", "kaput"),
    ),
    Row(
        "an error after the end, before the mark",
        lambda s: s.stream(s.piece("te"), s.end("a"), _failure(s), s.done),
        reported("tea", "kaput"),
        but=_RUNS,
    ),
    Row(
        "an error that is a text",
        _after_text(lambda s: s.frame({"error": "kaput"})),
        reported("te", "kaput"),
    ),
    Row(
        "an error that is an object",
        _after_text(lambda s: s.frame({"error": {"message": "kaput", "code": 500}})),
        reported("te", "kaput"),
    ),
    Row(
        "an error with its details",
        _after_text(lambda s: s.frame({"detail": "kaput"})),
        reported("te", "kaput"),
    ),
    Row(
        "an error with a list of details",
        _after_text(lambda s: s.frame({"detail": [{"loc": ["body"], "msg": "kaput"}]})),
        reported("te", "body: kaput"),
    ),
    Row(
        "an error beside a piece of text",
        _after_text(_except(_with('"error": {"message": "kaput"}'), *_OF_DIFY)),
        reported("te", "kaput"),
    ),
    Row(
        "an event named error, with an object",
        _after_text(_except(lambda s: b"event: error\n" + _failure(s), QAIP_LINES)),
        reported("te", "kaput"),
    ),
    Row(
        "an event named error, with a text",
        _after_text(_named("error", "kaput")),
        reported("te", "kaput"),
    ),
    Row(
        "an event named error, with an object of any kind",
        _after_text(_named("error", '{"message": "kaput"}')),
        reported("te", "kaput"),
    ),
]

OTHER_SHAPES: Sequence[Row] = [
    Row("JSON that is cut", _between(lambda s: s.frame('{"a": ')), malformed("te")),
    Row("words that are no JSON", _between(lambda s: s.frame("kaput")), malformed("te", "kaput")),
    Row("a list", _between(lambda s: s.frame("[1]")), malformed("te")),
    Row("a number", _between(lambda s: s.frame("7")), malformed("te")),
    Row("a text", _between(lambda s: s.frame('"x"')), malformed("te")),
    Row("true", _between(lambda s: s.frame("true")), malformed("te")),
    Row("text of another kind", _between(_changed(b'"x"', b'{"a": 1}')), malformed("te")),
    Row("a number in the place of text", _between(_changed(b'"x"', b"7")), malformed("te")),
    Row("choices of another kind", _between(_choices("x")), malformed("te")),
    Row("a choice of another kind", _between(_choices([7])), malformed("te")),
    Row(
        "a page in a frame", _between(lambda s: s.frame(_PAGE)), malformed("te", "502 Bad Gateway")
    ),
    Row(
        "a page that breaks in",
        lambda s: s.stream(s.piece("te"), _PAGE.encode() + b"\r\n"),
        incomplete("te"),  # between events, it is a field that means nothing
        but={_LINES: malformed("te", "502 Bad Gateway")},
    ),
    Row(
        "two objects in one frame",
        _between(lambda s: s.frame('{"a": 1} {"b": 2}')),
        malformed("te"),
    ),
    Row("2,000 lists in each other", _between(lambda s: s.frame("[" * 2000)), malformed("te")),
]

NOTHINGS: Sequence[Row] = [
    Row("no text in a piece", _between(_changed(b'"x"', b"null")), whole("tea")),
    Row("no delta in a piece", _between(_changed(b'{"content": "x"}', b"null")), whole("tea")),
    Row("no choices: null", _between(_choices(None)), whole("tea")),
    Row("no choices: an empty list", _between(_choices([])), whole("tea")),
    Row("an empty object", _between(lambda s: s.frame({})), whole("tea")),
    Row("null", _between(lambda s: s.frame("null")), whole("tea")),
    Row("blanks", _between(lambda s: s.frame("  ")), whole("tea")),
    Row(
        "the mark between two lines",
        _between(_only(lambda s: s.frame("[DONE]"), QAIP_LINES)),
        whole("tea"),
    ),
    Row(
        "an event of a kind that is not known",
        _between(lambda s: s.frame({"type": "NEWS", "event": "news", "object": "news"})),
        whole("tea"),
    ),
    Row("an event named ping", _between(_named("ping", '{"type": "ping"}')), whole("tea")),
    Row(
        "an event without data",
        _between(_except(lambda _: b"event: news\nid: 7\nretry: 9\n\n", QAIP_LINES)),
        whole("tea"),
    ),
    Row("a time that is no number", _between(_changed(b"1760000000", b"NaN")), whole("texa")),
    Row("a time that is endless", _between(_changed(b"1760000000", b"1e999")), whole("texa")),
]

_NO_ERRORS: Mapping[str, str] = {
    "errors that are null": '"error": null, "detail": null, "message": null, "code": null',
    "errors that are empty": '"error": {}, "detail": [], "message": "", "code": ""',
    "errors that are false": '"error": false, "detail": false, "status": null, "errors": []',
}
LOOKALIKES: Sequence[Row] = [
    Row(f"a piece of text beside {name}", _between(_with(fields)), whole("texa"))
    for name, fields in _NO_ERRORS.items()
]


def _own(name: str, event: Mapping[str, Any], *speeches: Speech) -> Row:
    """An error as one service writes it."""
    frame = _only(lambda s: s.frame(dict(event)), *speeches)
    return Row(name, _after_text(frame), reported("te", "kaput"))


def _of_dify(name: str, status: int, code: str) -> Row:
    event = {"event": "error", "code": code, "status": status, "message": "kaput"}
    return _own(name, event, *_OF_DIFY)


REPORTS: Sequence[Row] = [
    _own(
        "an engine's error with a number and a type",
        {"error": {"code": 500, "message": "kaput", "type": "server_error"}},
        *(PAIS_CHAT, PAIS_TEXT, FIREWORKS_CHAT, FIREWORKS_TEXT),
    ),
    _own(
        "an engine's error behind an agent of PAIS",
        {"error": {"code": 500, "message": "kaput", "type": "server_error"}},
        *(PAIS_AGENT_CHAT, PAIS_AGENT_TEXT),
    ),
    _own(
        "an error of an agent of PAIS",
        {"detail": [{"error_code": "AGENT_COMPLETION_FAILED", "msg": "kaput"}]},
        *(PAIS_AGENT_CHAT, PAIS_AGENT_TEXT),
    ),
    _own(
        "an error of Perplexity with a status for its code",
        {"error": {"message": "kaput", "type": "too_many_requests", "code": 429}},
        PERPLEXITY,
    ),
    _own(
        "a run of Perplexity's agent that fails",
        {
            "type": "response.failed",
            "sequence_number": 8,
            "error": {"message": "kaput", "type": "internal_error", "code": "upstream_failed"},
        },
        PERPLEXITY_AGENT,
    ),
    _own(
        "a run of Perplexity's agent that is cancelled",
        {
            "type": "response.cancelled",
            "sequence_number": 8,
            "response": {
                "status": "cancelled",
                "output": [],
                "error": {"message": "kaput", "type": "run_cancelled"},
            },
        },
        PERPLEXITY_AGENT,
    ),
    _own(
        "an error of the transport to Perplexity's agent",
        {"type": "error", "error": {"message": "kaput", "code": 502}},
        PERPLEXITY_AGENT,
    ),
    _of_dify("a run of Dify that its model refuses", 400, "completion_request_error"),
    _of_dify("a run of Dify that comes too often", 429, "rate_limit_error"),
    _of_dify("a run of Dify that breaks", 500, "internal_server_error"),
    _own(
        "a run of Qaip that fails",
        {"type": "RUN_ERROR", "message": "kaput", "code": "REDACTION_FAILED"},
        QAIP_RUN,
    ),
    _own(
        "an error of Qaip between two lines",
        {"error": {"message": "kaput", "type": "overloaded"}},
        QAIP_LINES,
    ),
]
