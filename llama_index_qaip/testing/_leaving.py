"""Leaving a call before its answer is whole."""

# ruff: noqa: S101 -- what is asserted here is a part of facts

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from llama_index_qaip.testing._script import Service

__all__ = ["left", "left_async"]

_ASKED = 2.0
"""Seconds within which a request must have come."""

_FREED = 0.5
"""Seconds within which its connection must then be free."""


def left(service: Service, how: str, begin: Callable[[], Any]) -> bool:
    """Tell whether a stream's connection is free after "close" or "break"."""
    stream = begin()
    next(stream)
    _check_asked(service)
    if how == "close":
        stream.close()
    del stream
    free = service.wait_left(_FREED)
    _check_asked(service)
    return free


async def left_async(service: Service, how: str, begin: Callable[[], Any]) -> bool:
    """Tell whether a call's connection is free after "close", "break" or "cancel"."""
    task = asyncio.create_task(_read_and_left(service, how, begin))
    if how == "cancel":
        await asyncio.to_thread(_check_asked, service)
        task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    free = await asyncio.to_thread(service.wait_left, _FREED)
    _check_asked(service)
    # An abandoned stream is closed by a task of the loop, which may still take its leave.
    if others := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(others, timeout=_FREED)
    return free


async def _read_and_left(service: Service, how: str, begin: Callable[[], Any]) -> None:
    stream = begin()
    if inspect.isawaitable(stream):
        stream = await stream
    if how == "cancel":
        async for _ in stream:
            """It is cancelled while it waits for more."""
        return
    await anext(stream)
    await asyncio.to_thread(_check_asked, service)
    if how == "close":
        await stream.aclose()


def _check_asked(service: Service) -> None:
    assert service.wait_asked(_ASKED), "nothing was asked"
    assert len(service.requests) == 1, "more was asked than once"
