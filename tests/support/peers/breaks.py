"""What a stream must survive, and what must end it: facts for the rows of both frameworks."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

from support.fault_server import End, FaultServer, Reply, cut, sse_reply
from support.peers.asking import Fact, Way, error_of, limited, paced
from support.peers.replies import Answer, ChatCompletions, saying
from support.peers.subject import Subject

__all__ = [
    "begun",
    "broken",
    "framed",
    "interrupted",
    "marked",
    "partial_kept",
    "pinged",
    "sent",
    "silent",
    "split",
    "survives",
    "text_on_last",
    "told",
    "unmixed",
]

_TEXT = Answer().text
_FAILURE = json.dumps(
    {"error": {"message": "engine overloaded", "code": 503, "type": "overloaded"}}
)
_SECONDS = 0.1


def sent(subject: Subject, *events: str | bytes, end: End = "clean") -> Reply:
    """Return a stream in the service's line ends."""
    return paced(sse_reply(*events, newline=subject.wire.newline, end=end))


def interrupted(way: Way, model: Any) -> Exception:
    """Return the error that ended a stream; that it never began fails the check."""
    pieces: list[Any] = []

    async def read_soon() -> None:
        async for piece in await way.aopen(model):
            pieces.append(piece)  # noqa: PERF401 -- those before the error count

    def read() -> None:
        if not way.sync:
            asyncio.run(read_soon())
            return
        for piece in way.open(model):
            pieces.append(piece)  # noqa: PERF402 -- those before the error count

    error = error_of(read)
    assert pieces, f"it failed before the first piece: {error!r}"
    return error


def begun(subject: Subject) -> list[str]:
    """Return the events of a stream before anything that ends it."""
    return list(subject.wire.events(Answer(finish=None)))


def framed(data: str, event: str = "") -> bytes:
    """Return an event as it stands on the wire."""
    head = f"event: {event}\n" if event else ""
    return f"{head}data: {data}\n\n".encode()


def told(event: str, data: str = _FAILURE) -> Fact:
    """Return the fact that an error in mid-stream raises, with the service's words."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        server.replies(sent(subject, *begun(subject), framed(data, event)))
        error = interrupted(way, subject.chat_model(server))
        assert "engine overloaded" in str(error), f"the error does not say so: {error!r}"

    return fact


def broken(tail: list[str], end: End) -> Fact:
    """Return the fact that a stream without its end mark raises."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        server.replies(sent(subject, *begun(subject), *tail, end=end))
        interrupted(way, subject.chat_model(server))

    return fact


def partial_kept(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(sent(subject, *begun(subject)))
    error = interrupted(way, subject.chat_model(server))
    assert _TEXT in repr(vars(error)), "the error does not hold the text that had arrived"


def survives(extra: bytes, place: int) -> Fact:
    """Return the fact that no text is lost where something else stands between the events."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        events: list[str | bytes] = [*subject.wire.events(Answer())]
        events.insert(place, extra)
        server.replies(sent(subject, *events))
        assert way.text(subject.chat_model(server)) == _TEXT

    return fact


def marked(subject: Subject, server: FaultServer, way: Way) -> None:
    """A byte order mark stands before the first event."""
    wire = ChatCompletions(role=False) if isinstance(subject.wire, ChatCompletions) else None
    first, *rest = (wire or subject.wire).events(Answer())
    server.replies(sent(subject, b"\xef\xbb\xbf" + framed(first), *rest))
    text = way.text(subject.chat_model(server))
    assert text == _TEXT, f"{text!r} is left of {_TEXT!r}"


def split(subject: Subject, server: FaultServer, way: Way) -> None:
    answer = saying("Fyrtårnet på Østersøen ⚓ 灯台")
    body = b"".join(
        f"data: {event}{subject.wire.newline * 2}".encode() for event in subject.wire.events(answer)
    )
    server.replies(Reply(content_type="text/event-stream", body=cut(body, sizes=7)))
    assert way.text(subject.chat_model(server)) == answer.text


def silent(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(sent(subject, *begun(subject), end="hang"))
    interrupted(way, limited(subject, server, _SECONDS))


def pinged(subject: Subject, server: FaultServer, way: Way) -> None:
    body: list[Any] = [0.02, *(framed(event) for event in begun(subject))]
    for _ in range(500):
        body += [b": ping\n\n", 0.02]
    server.replies(Reply(content_type="text/event-stream", body=body))
    interrupted(way, limited(subject, server, _SECONDS))


def unmixed(subject: Subject, server: FaultServer, way: Way) -> None:
    wire, answer = ChatCompletions(), Answer()
    letters = [("Am", 0), ("Bl", 1), ("ber", 0), ("ue", 1)]
    chunks = [wire.chunk(answer, {"content": text}, index) for text, index in letters]
    chunks += [wire.chunk(answer, {}, index, "stop") for index in (0, 1)]
    server.replies(sse_reply(*map(json.dumps, chunks), "[DONE]"))
    two = subject.by("further", {"n": 2}) or {"n": 2}
    model = subject.chat_model(server, **two)
    with suppress(ValueError):  # a refusal is as good
        text = way.text(model)
        assert text in ("Amber", "Blue"), f"two answers became {text!r}"


def text_on_last(subject: Subject, server: FaultServer, way: Way) -> None:
    wire, answer = ChatCompletions(), Answer()
    last = wire.chunk(answer, {"content": answer.pieces[-1]}, finish="stop")
    chunks = [wire.chunk(answer, {"content": piece}) for piece in answer.pieces[:-1]]
    server.replies(sse_reply(*map(json.dumps, [*chunks, last]), "[DONE]"))
    assert way.text(subject.chat_model(server)) == _TEXT
