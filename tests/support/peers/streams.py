"""Rows about streams that end, break, stall or are written oddly."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import Any

from support.fault_server import End, FaultServer, Reply, cut, sse_reply
from support.peers.asking import STREAM, WAYS, Way, error_of, lanes, over, said
from support.peers.check import Check, Group, Part
from support.peers.replies import Answer, ChatCompletions, saying
from support.peers.subjects import Subject

__all__ = ["GROUP"]

_TEXT = Answer().text
_FAILURE = {"error": {"message": "engine overloaded", "code": 503, "type": "overloaded"}}


def _sent(subject: Subject, *events: str | bytes, end: End = "clean") -> Reply:
    return sse_reply(*events, newline=subject.wire.newline, end=end)


def _begun(subject: Subject) -> list[str]:
    """The events of a stream before anything that ends it."""
    return subject.wire.events(Answer(finish=None))


def _framed(data: str, event: str = "") -> bytes:
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data}\n\n".encode()


def _told(subject: Subject, server: FaultServer, way: Way, *, event: str) -> None:
    server.replies(_sent(subject, *_begun(subject), _framed(json.dumps(_FAILURE), event)))
    error = error_of(lambda: way.ask(subject.chat_model(server)))
    assert "engine overloaded" in str(error), f"the error does not say so: {error!r}"


def _bare_text(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(_sent(subject, *_begun(subject), _framed("engine overloaded", "error")))
    error = error_of(lambda: way.ask(subject.chat_model(server)))
    assert "engine overloaded" in str(error), f"the error does not say so: {error!r}"


def _broken(subject: Subject, server: FaultServer, tail: list[str], end: End) -> None:
    server.replies(_sent(subject, *_begun(subject), *tail, end=end))
    error_of(lambda: STREAM.ask(subject.chat_model(server)))


def _partial(subject: Subject, server: FaultServer) -> None:
    server.replies(_sent(subject, *_begun(subject)))
    error = error_of(lambda: STREAM.ask(subject.chat_model(server)))
    assert _TEXT in repr(vars(error)), "the error does not hold the text that had arrived"


def _survives(extra: bytes, place: int) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        events: list[str | bytes] = [*subject.wire.events(Answer())]
        events.insert(place, extra)
        server.replies(_sent(subject, *events))
        assert STREAM.ask(subject.chat_model(server)).text == _TEXT

    return part


def _byte_order_mark(subject: Subject, server: FaultServer, way: Way) -> None:
    wire = ChatCompletions(role=False) if isinstance(subject.wire, ChatCompletions) else None
    first, *rest = (wire or subject.wire).events(Answer())
    mark = b"\xef\xbb\xbf" + _framed(first)
    server.replies(_sent(subject, mark, *rest))
    text = way.ask(subject.chat_model(server)).text
    assert text == _TEXT, f"{text!r} is left of {_TEXT!r}"


def _split(subject: Subject, server: FaultServer) -> None:
    answer = saying("Fyrtårnet på Østersøen ⚓ 灯台")
    body = b"".join(
        f"data: {event}{subject.wire.newline * 2}".encode() for event in subject.wire.events(answer)
    )
    server.replies(Reply(content_type="text/event-stream", body=cut(body, sizes=7)))
    assert STREAM.ask(subject.chat_model(server)).text == answer.text


def _silent(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(_sent(subject, *_begun(subject), end="hang"))
    limits = {"timeout": 0.1, **subject.by("idle", 0.1)}
    error_of(lambda: way.ask(subject.chat_model(server, **limits)))


def _pinged(subject: Subject, server: FaultServer, way: Way) -> None:
    body: list[Any] = [_framed(event) for event in _begun(subject)]
    for _ in range(200):
        body += [b": ping\n\n", 0.05]
    server.replies(Reply(content_type="text/event-stream", body=body))
    limits = {"timeout": 0.1, **subject.by("idle", 0.1)}
    error_of(lambda: way.ask(subject.chat_model(server, **limits)))


def _unmixed(subject: Subject, server: FaultServer) -> None:
    wire, answer = ChatCompletions(), Answer()
    letters = [("Am", 0), ("Bl", 1), ("ber", 0), ("ue", 1)]
    chunks = [wire.chunk(answer, {"content": text}, index) for text, index in letters]
    chunks += [wire.chunk(answer, {}, index, "stop") for index in (0, 1)]
    server.replies(sse_reply(*map(json.dumps, chunks), "[DONE]"))
    model = subject.chat_model(server, n=2)
    with suppress(ValueError):  # a refusal is as good
        text = STREAM.ask(model).text
        assert text in ("Amber", "Blue"), f"two answers became {text!r}"


def _text_on_last(subject: Subject, server: FaultServer) -> None:
    wire, answer = ChatCompletions(), Answer()
    last = wire.chunk(answer, {"content": answer.pieces[-1]}, finish="stop")
    chunks = [wire.chunk(answer, {"content": piece}) for piece in answer.pieces[:-1]]
    server.replies(sse_reply(*map(json.dumps, [*chunks, last]), "[DONE]"))
    assert STREAM.ask(subject.chat_model(server)).text == _TEXT


def _no_choices(subject: Subject, server: FaultServer) -> None:
    *events, trailing, done = ChatCompletions(usage="trailing").events(Answer())
    bare = {key: value for key, value in json.loads(trailing).items() if key != "choices"}
    server.replies(sse_reply(*events, json.dumps(bare), done))
    message = STREAM.ask(subject.chat_model(server))
    assert message.usage_metadata["input_tokens"] == 11


def _counted(subject: Subject, server: FaultServer, way: Way) -> None:
    usage = said(subject, server, way).usage_metadata
    found = (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
    assert found == (11, 7, 18), found


def _counted_twice(subject: Subject, server: FaultServer) -> None:
    server.replies(ChatCompletions(usage="both").stream())
    usage = STREAM.ask(subject.chat_model(server)).usage_metadata
    found = (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"])
    assert found == (11, 7, 18), found


_ALL = frozenset({"openai", "fireworks", "perplexity"})
_CHAT = frozenset({"n"})

GROUP = Group(
    "Streams",
    (
        Check(
            "error_line",
            "An error in the middle of a stream raises",
            lanes(partial(_told, event="")),
            defect_of=frozenset({"fireworks", "perplexity"}),
            note='`data: {"error": ...}` after a first piece of text; the error must say what '
            "the service said.",
        ),
        Check(
            "error_event",
            "`event: error` raises",
            lanes(partial(_told, event="error")),
            defect_of=frozenset({"fireworks"}),
        ),
        Check(
            "error_text",
            "`event: error` with plain text raises",
            lanes(_bare_text),
        ),
        Check(
            "cut",
            "A stream that is cut raises",
            {
                "closed": partial(_broken, tail=[], end="clean"),
                "broken off": partial(_broken, tail=[], end="cut"),
                "only [DONE]": partial(_broken, tail=["[DONE]"], end="clean"),
            },
            defect_of=_ALL,
            note="*closed*: the body ends as HTTP demands, but without `finish_reason`; *broken "
            "off*: the connection ends in the middle; *only [DONE]*: the end line without a "
            "`finish_reason`.",
        ),
        Check("partial", "The error of a cut stream holds what had arrived", {"": _partial}),
        Check(
            "ping_comment",
            "Survives `: ping` comments",
            {"": _survives(b": ping\n\n", 1)},
        ),
        Check(
            "ping_event",
            "Survives a bare `event: ping`",
            {"": _survives(b"event: ping\n\n", 1)},
            defect_of=frozenset({"openai", "perplexity"}),
        ),
        Check(
            "bom",
            "Keeps the first piece behind a byte order mark",
            lanes(_byte_order_mark),
            defect_of=_ALL,
        ),
        Check("split", "Bytes may be split anywhere", {"": _split}),
        Check(
            "silence",
            "Silence in a stream ends it",
            lanes(_silent),
            note="With `timeout` and, where there is one, the limit for silence set to 0.1 s.",
            seconds=3,
        ),
        Check(
            "pings_for_ever",
            "Pings for ever end it too",
            lanes(_pinged),
            defect_of=_ALL,
            note="The same limits; the server sends nothing but comments.",
            seconds=3,
        ),
        Check("usage", "Token counts", over(_counted, *WAYS)),
        Check(
            "usage_twice",
            "Counts sent twice are counted once",
            {"": _counted_twice},
            needs=_CHAT,
            defect_of=frozenset({"fireworks"}),
            note="Some models report usage on the finish chunk and again behind it.",
        ),
        Check(
            "no_choices",
            "A usage chunk without `choices`",
            {"": _no_choices},
            needs=_CHAT,
        ),
        Check(
            "text_on_last",
            "Text on the finish chunk is kept",
            {"": _text_on_last},
            needs=_CHAT,
        ),
        Check(
            "n_unmixed",
            "Two answers (`n=2`) never mix",
            {"": _unmixed},
            needs=_CHAT,
            defect_of=frozenset({"fireworks"}),
            note="Or streaming them is refused.",
        ),
    ),
)
