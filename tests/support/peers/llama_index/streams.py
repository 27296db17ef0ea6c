"""Rows about streams that end, break, stall or are written oddly."""

from __future__ import annotations

from support.fault_server import FaultServer
from support.peers.asking import Fact, Way, alone, by_way
from support.peers.breaks import (
    broken,
    framed,
    interrupted,
    marked,
    partial_kept,
    pinged,
    sent,
    silent,
    split,
    survives,
    text_on_last,
    told,
    unmixed,
)
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import ASTREAM, STREAM, STREAM_COMPLETE, lanes
from support.peers.replies import Answer, saying
from support.peers.subject import Subject

__all__ = ["GROUP"]

_SEPARATORS = "one\u2028two\u0085three"


def _odd_lines(subject: Subject, server: FaultServer, way: Way) -> None:
    """Unicode's line ends stand unescaped in the JSON, as services write them."""
    events = [
        event.replace("\\u2028", "\u2028").replace("\\u0085", "\u0085")
        for event in subject.wire.events(saying(_SEPARATORS))
    ]
    server.replies(sent(subject, *events))
    found = way.text(subject.chat_model(server))
    assert found == _SEPARATORS, found


def _malformed(subject: Subject, server: FaultServer, way: Way) -> None:
    events: list[str | bytes] = [*subject.wire.events(saying("The lamp was lit."))]
    events.insert(1, framed('{"choices": [{"index": 0, "delta": {"content": "lost'))
    server.replies(sent(subject, *events))
    interrupted(way, subject.chat_model(server))


def _text_cut(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(sent(subject, *subject.text_wire.events(Answer(finish=None))))
    interrupted(way, subject.chat_model(server))


def _line_ends(newline: str) -> Part:
    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        events = subject.wire.events(saying("one"))
        body = [f"data: {event}{newline}{newline}".encode() for event in events]
        server.replies(sent(subject, *body))
        found = way.text(subject.chat_model(server))
        assert found == "one", found

    return alone(fact, STREAM)


def _one(fact: Fact) -> dict[str, Part]:
    return {"": alone(fact, STREAM)}


_NOT_OURS = frozenset({"openai", "fireworks", "perplexity"})
_PERPLEXITY = frozenset({"perplexity"})
_CHAT = frozenset({"n"})

GROUP = Group(
    "Streams",
    (
        Check(
            "error_line",
            "An error in the middle of a stream raises",
            lanes(told("")),
            defect_of=_PERPLEXITY,
            note='`data: {"error": ...}` after a first piece of text; the error must say what '
            "the service said.",
        ),
        Check("error_event", "`event: error` raises", lanes(told("error")), defect_of=_PERPLEXITY),
        Check(
            "error_text",
            "`event: error` with plain text raises",
            lanes(told("error", "engine overloaded")),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "cut",
            "A stream that is cut raises",
            {
                "closed": alone(broken([], "clean"), STREAM),
                "broken off": alone(broken([], "cut"), STREAM),
                "only [DONE]": alone(broken(["[DONE]"], "clean"), STREAM),
            },
            defect_of=_NOT_OURS,
            note="*closed*: the body ends as HTTP demands, but without `finish_reason`; *broken "
            "off*: the connection ends in the middle; *only [DONE]*: the end line without a "
            "`finish_reason`.",
        ),
        Check(
            "text_cut",
            "... that of `stream_complete` too",
            {"": alone(_text_cut, STREAM_COMPLETE)},
            defect_of=_NOT_OURS,
        ),
        Check(
            "partial",
            "The error of a cut stream holds what had arrived",
            _one(partial_kept),
            defect_of=_NOT_OURS,
        ),
        Check("malformed", "A broken chunk raises", lanes(_malformed), defect_of=_PERPLEXITY),
        Check(
            "separators",
            "Unicode's line separators in a text are kept",
            lanes(_odd_lines),
            defect_of=_PERPLEXITY,
            note="U+2028 and U+0085, which end no line of an event stream.",
        ),
        Check("ping_comment", "Survives `: ping` comments", _one(survives(b": ping\n\n", 1))),
        Check("ping_event", "Survives a bare `event: ping`", _one(survives(b"event: ping\n\n", 1))),
        Check(
            "line_ends",
            "Line ends of three kinds",
            {"LF": _line_ends("\n"), "CRLF": _line_ends("\r\n"), "CR": _line_ends("\r")},
        ),
        Check(
            "bom",
            "Keeps the first piece behind a byte order mark",
            lanes(marked),
            defect_of=_NOT_OURS,
        ),
        Check("split", "Bytes may be split anywhere", by_way(split, STREAM, ASTREAM)),
        Check(
            "silence",
            "Silence in a stream ends it",
            lanes(silent),
            note="With the limits for time and, where there is one, for silence set to 0.1 s. "
            "llama-index-llms-fireworks has no parameter for it: there the attribute is set.",
            seconds=2,
        ),
        Check(
            "pings_for_ever",
            "Pings for ever end it too",
            lanes(pinged),
            defect_of=_NOT_OURS,
            note="The same limits; the server sends nothing but comments.",
            seconds=0.7,
        ),
        Check("text_on_last", "Text on the finish chunk is kept", _one(text_on_last), _CHAT),
        Check(
            "n_unmixed",
            "Two answers (`n=2`) never mix",
            _one(unmixed),
            needs=_CHAT,
            defect_of=frozenset({"openai", "fireworks"}),
            note="Or streaming them is refused.",
        ),
    ),
)
