"""What a fault does to an answer on its way out."""

import asyncio
import json
import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ._wire import Json, Stream
from .faults import (
    Corrupt,
    Disconnect,
    Drip,
    ErrorEvent,
    Fault,
    OnlyPings,
    Page,
    Stall,
    Status,
    Truncate,
)
from .journal import RECORD, Record

__all__ = ["Silence", "Words", "hampered", "instead"]

_Frames = AsyncGenerator[bytes, None]

_PAGE = """<!doctype html>
<html><head><title>{code} Trouble at the gateway</title></head>
<body><h1>{code} Trouble at the gateway</h1></body></html>
"""
_NO_TEXT = b"\xff\xfe"
# In all of the services' events: that an answer is complete, and a piece of its text.
_END = re.compile(rb'"(?:message_end|workflow_finished|RUN_FINISHED|response\.completed)"')
_TEXT = re.compile(rb'"(?:content|delta|answer|text)": ?"[^"]')


@dataclass(frozen=True, slots=True)
class Words:
    """How a service fails: its refusals, its error in a stream, its keep-alive, and a cut line."""

    failed: Callable[[int, str | None], Response]
    error_event: Callable[[str | None], bytes]
    ping: bytes
    hang_up: Callable[[], None]


def instead(fault: Fault, words: Words) -> Response | None:
    """Return what is sent in place of an answer, or None for a fault that lets it begin."""
    if isinstance(fault, Status):
        response = words.failed(fault.code, fault.message)
        if fault.retry_after is not None:
            response.headers["Retry-After"] = _shown(fault.retry_after)
        return response
    if isinstance(fault, Page):
        return Response(_PAGE.format(code=fault.code), fault.code, media_type="text/html")
    if isinstance(fault, Disconnect) and not fault.after:
        return Silence(words.hang_up)
    return None


def hampered(response: Response, fault: Fault, words: Words) -> Response:
    """Return `response` as it comes out with `fault`."""
    stream = isinstance(response, Stream)
    if isinstance(response, Stream):
        own_ping = words.ping if response.ping is None else response.ping
        own_error = response.error_event or words.error_event
        words = replace(words, error_event=own_error, ping=own_ping)
    if isinstance(fault, ErrorEvent) and not (stream and words.error_event(None)):
        refused = response.status_code >= 400
        return response if refused else words.failed(500, fault.message)
    return _Hampered(response, fault, words)


class _Hampered(Stream):
    """An answer that a fault comes into, and a note of that in the request's record."""

    def __init__(self, response: Response, fault: Fault, words: Words) -> None:
        self._whole = not isinstance(response, Stream)
        self._record: Record | None = None
        body = response.frames if isinstance(response, Stream) else _halves(bytes(response.body))
        after = min(fault.after, 1) if self._whole else fault.after
        headers = {k: v for k, v in response.headers.items() if k != "content-length"}
        super().__init__(self._broken(body, after, fault, words), headers=headers)
        self.status_code = response.status_code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        self._record = scope.get(RECORD)
        await super().__call__(scope, receive, send)

    async def _broken(self, frames: _Frames, after: int, fault: Fault, words: Words) -> _Frames:
        seen = _Seen()
        async with aclosing(frames):
            for _ in range(after):
                frame = await anext(frames, None)
                if frame is None:
                    return
                seen.add(frame)
                yield frame
            following = await anext(frames, None)
            if following is None:
                return
            if self._record:
                self._record.hit = self._whole or not seen.ended
                self._record.told = seen.told and not self._whole
            # Between the halves of a whole answer, a keep-alive would be a part of it.
            words = replace(words, ping=b"") if self._whole else words
            rest = _BEHAVIOURS[type(fault)](_again(following, frames), fault, words)
            async with aclosing(rest):
                async for piece in rest:
                    yield piece


class _Seen:
    """How far a stream has come: whether it has told some text, and whether it has ended."""

    def __init__(self) -> None:
        self.told = False
        self._marked = False
        self._choices: dict[Json, bool] = {}

    @property
    def ended(self) -> bool:
        """Whether all that was asked for is there: of several choices, each has its end."""
        return self._marked or (bool(self._choices) and all(self._choices.values()))

    def add(self, frame: bytes) -> None:
        """Take note of the next frame."""
        self.told = self.told or bool(_TEXT.search(frame))
        self._marked = self._marked or bool(_END.search(frame))
        for choice in _choices(frame):
            index = choice.get("index", 0)
            over = bool(choice.get("finish_reason"))
            self._choices[index] = over or self._choices.get(index, False)


def _choices(frame: bytes) -> list[dict[str, Json]]:
    """Return the choices of a completion's event; none of any other frame."""
    try:
        value = json.loads(frame.partition(b"data:")[2])
    except ValueError:
        return []
    return value.get("choices", []) if isinstance(value, dict) else []


def _shown(seconds: float | str) -> str:
    return seconds if isinstance(seconds, str) else f"{seconds:f}".rstrip("0").rstrip(".")


async def _halves(body: bytes) -> _Frames:
    for half in (body[: len(body) // 2], body[len(body) // 2 :]):
        yield half


async def _again(first: bytes, rest: _Frames) -> _Frames:
    yield first
    async for frame in rest:
        yield frame


async def _truncate(_frames: _Frames, _fault: Any, _words: Words) -> _Frames:
    return
    yield b""  # never: it makes this a generator


async def _disconnect(_frames: _Frames, _fault: Any, words: Words) -> _Frames:
    words.hang_up()
    await asyncio.Event().wait()  # until the server notices, and cancels this
    yield b""


async def _stall(frames: _Frames, fault: Any, _words: Words) -> _Frames:
    if fault.seconds is None:
        await asyncio.Event().wait()  # until the client goes away
    else:
        await asyncio.sleep(fault.seconds)
    async for frame in frames:
        yield frame


async def _only_pings(frames: _Frames, fault: Any, words: Words) -> _Frames:
    waited = 0.0
    while fault.seconds is None or waited < fault.seconds:
        yield words.ping
        await asyncio.sleep(fault.every)
        waited += fault.every
    async for frame in frames:
        yield frame


async def _corrupt(frames: _Frames, _fault: Any, _words: Words) -> _Frames:
    async for frame in frames:
        end = frame.rstrip()
        # The event keeps its end, so that only this one is broken.
        yield end[: len(end) // 2] + _NO_TEXT + frame[len(end) :]
        break
    async for frame in frames:
        yield frame


async def _drip(frames: _Frames, fault: Any, _words: Words) -> _Frames:
    async for frame in frames:
        for start in range(0, len(frame), fault.size):
            yield frame[start : start + fault.size]
            await asyncio.sleep(fault.every)


async def _error_event(_frames: _Frames, fault: Any, words: Words) -> _Frames:
    yield words.error_event(fault.message)


_BEHAVIOURS: dict[type, Callable[[_Frames, Any, Words], _Frames]] = {
    Truncate: _truncate,
    Disconnect: _disconnect,
    Stall: _stall,
    OnlyPings: _only_pings,
    Corrupt: _corrupt,
    Drip: _drip,
    ErrorEvent: _error_event,
}


class Silence(Response):
    """No answer at all: the connection is cut."""

    def __init__(self, hang_up: Callable[[], None]) -> None:
        super().__init__()
        self._hang_up = hang_up

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Cut the connection, and wait until the server knows that it is."""
        self._hang_up()
        while (await receive())["type"] != "http.disconnect":
            continue
