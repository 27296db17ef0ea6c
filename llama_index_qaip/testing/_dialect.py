"""How a service writes: from answers in neutral terms to the bytes on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llama_index_qaip.testing._script import FAULT, Answer, Refusal, Request

__all__ = ["Dialect", "Reply", "render"]

_LIE = 9
"""Bytes that a body is short of where it is cut."""


class Dialect:
    """How one service writes its answers; a subclass for each.

    Streams are server-sent events unless `frame` says otherwise.
    """

    stream_type = "text/event-stream"
    garbage = '{"broken'
    ping = b": ping\n\n"

    def streams(self, request: Request) -> bool:
        """Tell whether a request asks for a stream."""
        return bool(request.body.get("stream"))

    def whole(self, answer: Answer, request: Request) -> Any:
        """Return the body of a whole answer."""
        raise NotImplementedError

    def growing(self, answer: Answer, request: Request) -> Iterable[Any]:
        """Return the events of a stream that bring the answer."""
        raise NotImplementedError

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        """Return the events that complete it."""
        raise NotImplementedError

    def error(self, message: str, status: int) -> Any:
        """Return the body of an error."""
        return {"error": {"message": message, "code": status}}

    def error_event(self, message: str) -> Any:
        """Return the event that reports an error in a stream."""
        return self.error(message, 500)

    def aside(self, request: Request) -> Any:  # noqa: ARG002 -- for those that override it
        """Return the body for what asks for no answer (a farewell, a GET of models); else None."""
        return None

    def frame(self, event: Any) -> bytes:
        """Return an event as it is sent; what is text already is sent as it is."""
        return f"data: {_written(event)}\n\n".encode()


@dataclass(frozen=True)
class Reply:
    """What is sent for one request.

    Parameters:
        body: what is written at a time; one piece, with its length, if it is no stream.
        more: bytes that a length promises too much.
        hush: whether then nothing is said until the client leaves.
        ping: what is then said again and again until the client leaves.
        cut: whether the connection then closes before the body is complete.
    """

    status: int = 200
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Sequence[bytes] = ()
    stream: bool = False
    more: int = 0
    hush: bool = False
    ping: bytes = b""
    cut: bool = False


def render(dialect: Dialect, given: Answer | Refusal, request: Request) -> Reply:
    """Return the reply to a request in a service's dialect; a fault of the dialect is told."""
    try:
        if isinstance(given, Refusal):
            return _refusal(dialect, given)
        if dialect.streams(request):
            return _stream(dialect, given, request)
        return _whole(dialect, given, request)
    except Exception as error:  # noqa: BLE001 -- it is told to who asked, in another thread
        return Reply(500, "text/plain", body=[f"the dialect failed: {error!r}".encode()])


def _refusal(dialect: Dialect, refusal: Refusal) -> Reply:
    if refusal.page is not None:
        return Reply(refusal.status, "text/html", refusal.headers, [refusal.page.encode()])
    body = _written(dialect.error(refusal.message, refusal.status)).encode()
    return Reply(refusal.status, headers=refusal.headers, body=[body])


def _whole(dialect: Dialect, answer: Answer, request: Request) -> Reply:
    body = _written(dialect.whole(answer, request)).encode()
    if answer.end == "malformed":
        body = body[: len(body) // 2]
    cut = answer.end in ("cut", "silence")
    return Reply(body=[body], more=_LIE if cut else 0, hush=answer.end == "silence", cut=cut)


def _stream(dialect: Dialect, answer: Answer, request: Request) -> Reply:
    events = list(dialect.growing(answer, request))
    if answer.end == "error":
        events.append(dialect.error_event(FAULT))
    if answer.end == "malformed":
        events.append(dialect.garbage)
    if answer.end in ("well", "malformed"):
        events.extend(dialect.ending(answer, request))
    frames = [dialect.frame(event).replace(b"\n", answer.newline) for event in events]
    if answer.bom:
        frames.insert(0, b"\xef\xbb\xbf")
    return Reply(
        kind=dialect.stream_type,
        body=_resized(frames, answer.sizes),
        stream=True,
        hush=answer.end == "silence",
        ping=dialect.ping if answer.end == "pings" else b"",
        cut=answer.end in ("cut", "silence", "pings"),
    )


def _resized(frames: Sequence[bytes], size: int | None) -> Sequence[bytes]:
    if size is None:
        return frames
    body = b"".join(frames)
    return [body[at : at + size] for at in range(0, len(body), size)]


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
