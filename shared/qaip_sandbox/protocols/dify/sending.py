"""How a stream leaves: halted when its user or the clock says so, its head with the first event."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from qaip_sandbox.journal import Record
from qaip_sandbox.physics import Pace

from .events import Answered
from .runs import Run
from .scripts import heard

__all__ = ["cut_short", "held", "ping_of", "stream"]

_MARK = b"\xef\xbb\xbf"
_Frames = AsyncGenerator[bytes, None]


def ping_of(*, crlf: bool) -> bytes:
    """Return a keep-alive: an event without data."""
    return b"event: ping\r\n\r\n" if crlf else b"event: ping\n\n"


async def stream(answered: Answered, pace: Pace, record: Record) -> _Frames:
    """Yield the events of a run, until it ends or is halted, which `record` is told."""
    switches, run = answered.switches, answered.run
    seconds = switches.max_execution
    until = None if seconds is None else asyncio.get_running_loop().time() + seconds
    mark = _MARK if switches.bom else b""
    try:
        async with aclosing(pace.walk(answered.frames(), ping_of(crlf=switches.crlf))) as frames:
            while frame := await _next(frames, run, until):
                # Whoever reads the last event may call again at once.
                run.ended = answered.over
                yield mark + frame
                mark = b""
        if frame is None:
            run.ended = True
            cut_short(record, heard(answered.script.steps[: answered.sent]))
            yield mark + answered.halted()
    finally:
        run.ended = True  # also where the client has gone


async def _next(frames: _Frames, run: Run, until: float | None) -> bytes | None:
    """Return the next frame, b"" behind the last, None when the run is halted or time is up."""
    if run.halted and not run.ended:
        return None
    try:
        async with asyncio.timeout_at(None if run.ended else until) as run.patience:
            return await anext(frames, b"")
    except TimeoutError:
        return None
    finally:
        run.patience = None


def cut_short(record: Record, text: str) -> None:
    """Write down that no more than `text` of the last answer was said."""
    record.said[-1] = replace(record.said[-1], text=text)


async def held(frames: _Frames) -> _Frames:
    """Return `frames` when the first is there: the service sends no header before."""
    first = await anext(frames)
    return _after(first, frames)


async def _after(first: bytes, frames: _Frames) -> _Frames:
    async with aclosing(frames):
        yield first
        async for frame in frames:
            yield frame
