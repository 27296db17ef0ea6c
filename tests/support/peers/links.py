"""How connections are reached, kept and left: facts for the rows of both frameworks."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace
from typing import Any

from support.fault_server import FaultServer, Reply, sse_reply
from support.peers.asking import Fact, Way, answered, error_of, paced
from support.peers.replies import Answer, refusal
from support.peers.subject import UNSET, Subject

__all__ = [
    "aclosed",
    "aclosed_all",
    "adropped",
    "cancelled",
    "closed",
    "dropped",
    "finite",
    "headed",
    "keyed",
    "left",
    "pooled",
    "timely",
    "tomorrow",
    "two_loops",
]

_OPEN = "the connection is open"


def pooled(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    model = subject.chat_model(server)

    async def ask_five() -> None:
        for _ in range(5):
            await way.soon(model)

    if way.sync:
        for _ in range(5):
            way.ask(model)
    else:
        asyncio.run(ask_five())
    count = len({request.connection for request in server.requests})
    assert count == 1, f"five calls came by {count} connections"


def two_loops(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    model = subject.chat_model(server)
    for _ in range(2):
        way.ask(model)
    assert len(server.requests) == 2


def keyed(subject: Subject, server: FaultServer, way: Way) -> None:
    """Each request asks the function for a key; an async one in an event loop."""
    server.replies(way.reply(subject.wire))
    keys = iter(["first-key", "second-key"])

    async def key() -> str:
        return next(keys)

    model = subject.chat_model(server, api_key=(lambda: next(keys)) if way.sync else key)

    async def ask_twice() -> None:
        for _ in range(2):
            await way.soon(model)

    if way.sync:
        for _ in range(2):
            way.ask(model)
    else:
        asyncio.run(ask_twice())
    found = [request.headers["authorization"] for request in server.requests]
    assert found == ["Bearer first-key", "Bearer second-key"], found


def headed(subject: Subject, server: FaultServer, way: Way) -> None:
    model = subject.chat_model(server, **subject.by("headers", {"x-team": "harbour"}))
    answered(model, way.reply(subject.wire), server, way)
    assert server.requests[0].headers.get("x-team") == "harbour"


def finite(subject: Subject, server: FaultServer) -> None:
    unset = {"timeout": UNSET} if subject.takes("timeout") else {}
    seconds = subject.seconds(subject.chat_model(server, **unset))
    assert isinstance(seconds, int | float), f"the default time limit is {seconds}"


def timely(seconds: float) -> Fact:
    """Return the fact that a call ends soon after its time limit."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        server.replies(Reply(delay=8))
        model = subject.chat_model(server, timeout=seconds)
        begun = time.monotonic()
        error_of(lambda: way.ask(model))
        assert time.monotonic() - begun < 2

    return fact


def tomorrow(subject: Subject, server: FaultServer, way: Way) -> None:
    busy = replace(refusal(429, "tomorrow"), headers={"retry-after": "86400"})
    server.replies(busy, way.reply(subject.wire))
    error_of(lambda: way.ask(subject.chat_model(server, **subject.retrying(1))))
    assert len(server.requests) == 1, "it asked again"


def closed(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    model = subject.chat_model(server)
    way.ask(model)
    model.close()
    assert server.wait_closed(1), f"{_OPEN} after close()"


async def _freed(server: FaultServer) -> None:
    assert await asyncio.to_thread(server.wait_closed, 1), _OPEN


def aclosed(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    model = subject.chat_model(server)

    async def ask_and_close() -> None:
        await way.soon(model)
        await model.aclose()
        await _freed(server)

    asyncio.run(ask_and_close())


def aclosed_all(whole: Way) -> Fact:
    """Return the fact that one call frees what sync and async calls opened."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        server.replies(way.reply(subject.wire))
        model = subject.chat_model(server)

        async def ask_and_close() -> None:
            whole.ask(model)
            await way.soon(model)
            await model.aclose()
            await _freed(server)

        asyncio.run(ask_and_close())

    return fact


def dropped(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))
    way.ask(subject.chat_model(server))
    gc.collect()
    assert server.wait_closed(1), "the connection of a dropped model is open"


def adropped(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire))

    async def ask() -> None:
        await way.soon(subject.chat_model(server))
        gc.collect()
        await _freed(server)

    asyncio.run(ask())


def left(subject: Subject, server: FaultServer, way: Way) -> None:
    """Nobody collects garbage here: to close the generator is enough."""
    events = subject.wire.events(Answer())[:3]
    server.replies(paced(sse_reply(*events, newline=subject.wire.newline, end="hang")))
    model = subject.chat_model(server)
    if not way.sync:
        asyncio.run(_aleft(model, server, way))
        return
    chunks = way.open(model)
    next(chunks)
    chunks.close()
    assert server.wait_closed(1), _OPEN


async def _aleft(model: Any, server: FaultServer, way: Way) -> None:
    chunks = await way.aopen(model)
    await anext(chunks)
    await chunks.aclose()
    await _freed(server)


def cancelled(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(Reply(delay=8))
    model = subject.chat_model(server)

    async def ask_and_cancel() -> None:
        task = asyncio.create_task(way.soon(model))
        assert await asyncio.to_thread(server.wait_requests, 1, 2)
        task.cancel()
        await _freed(server)

    asyncio.run(ask_and_cancel())
