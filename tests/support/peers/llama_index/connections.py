"""Rows about connections: how a service is reached, waited for, retried and left."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import httpx

from support.fault_server import FaultServer, Reply
from support.peers.asking import Way, alone, error_of, limited
from support.peers.check import Check, Group
from support.peers.links import (
    aclosed,
    aclosed_all,
    adropped,
    cancelled,
    closed,
    dropped,
    finite,
    headed,
    keyed,
    left,
    pooled,
    timely,
    tomorrow,
    two_loops,
)
from support.peers.llama_index.asking import (
    ACHAT,
    ASTREAM,
    CHAT,
    CHATS,
    LANES,
    STREAM,
    lanes,
    over,
)
from support.peers.replies import Answer, refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]

_AT_ONCE = 3


def _native(subject: Subject, server: FaultServer, way: Way) -> None:
    """While one answer is awaited, others are asked for, and the event loop turns."""
    server.replies(Reply(delay=8))
    model = subject.chat_model(server)

    async def ask_all() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        tasks = [asyncio.create_task(way.soon(model)) for _ in range(_AT_ONCE)]
        await loop.run_in_executor(ThreadPoolExecutor(1), server.wait_requests, _AT_ONCE, 2)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(ask_all())
    assert len(server.requests) == _AT_ONCE, f"{len(server.requests)} calls at once"


def _own_client(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    with httpx.Client(headers={"x-own": "mine"}) as client:
        CHAT.ask(subject.chat_model(server, **subject.by("clients", ("sync", client))))
    assert server.requests[0].headers.get("x-own") == "mine"


def _own_async_client(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))

    async def ask() -> None:
        async with httpx.AsyncClient(headers={"x-own": "mine"}) as client:
            await ACHAT.soon(subject.chat_model(server, **subject.by("clients", ("async", client))))

    asyncio.run(ask())
    assert server.requests[0].headers.get("x-own") == "mine"


def _retried(subject: Subject, server: FaultServer, way: Way) -> None:
    busy = replace(refusal(503, "busy"), headers={"retry-after-ms": "10"})
    server.replies(busy, way.served(subject))
    assert way.text(subject.chat_model(server, **subject.retrying(1))) == Answer().text
    assert len(server.requests) == 2


def _asks(model: Any, server: FaultServer, enough: int) -> int:
    """Return how often a call asks; no more than needs be, for some sleep between."""
    server_asked = threading.Thread(target=_ask_in_vain, args=(model,), daemon=True)
    server_asked.start()
    while server_asked.is_alive() and len(server.requests) < enough:
        time.sleep(0.002)
    return len(server.requests)


def _ask_in_vain(model: Any) -> None:
    with suppress(Exception):
        CHAT.ask(model)


def _twice(subject: Subject, server: FaultServer) -> None:
    server.replies(replace(refusal(503, "busy"), headers={"retry-after-ms": "10"}))
    count = _asks(subject.chat_model(server, **subject.retrying(2)), server, 4)
    assert count == 3, f"with two repetitions it asks {count} times, or more"


def _hopeless(status: int) -> Any:
    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(refusal(status, "no"))
        count = _asks(subject.chat_model(server, **subject.retrying(2)), server, 2)
        assert count == 1, "it asks again"

    return part


def _waits(subject: Subject, server: FaultServer) -> None:
    busy = replace(refusal(429, "slower, please"), headers={"retry-after": "0.1"})
    server.replies(busy, CHAT.served(subject))
    CHAT.ask(subject.chat_model(server, **subject.retrying(1)))
    first, second = server.requests
    waited = second.at - first.at
    assert 0.09 <= waited <= 0.4, f"asked to wait 0.1 s, it waited {waited:.1f} s"


def _timely_by_attribute(subject: Subject, server: FaultServer) -> None:
    server.replies(Reply(delay=8))
    model = limited(subject, server, 0.03)
    begun = time.monotonic()
    error_of(lambda: CHAT.ask(model))
    assert time.monotonic() - begun < 2


def _close_own(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    client = httpx.Client()
    given = subject.by("clients", ("sync", client))
    assert given, "it takes none"
    CHAT.ask(subject.chat_model(server, **given))
    client.close()
    assert server.wait_closed(1), "the connection is open"


def _none_open(subject: Subject, server: FaultServer) -> None:
    server.replies(CHAT.served(subject))
    model = subject.chat_model(server)
    for way in LANES:
        way.ask(model)
        assert server.wait_closed(1), "the connection is open"


_BY_SDK = frozenset({"openai", "fireworks"})
_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Connections",
    (
        Check(
            "native_async",
            "Async without threads, and without blocking the event loop",
            over(_native, ACHAT, ASTREAM),
            note="Three calls at once, in an event loop that has one worker thread.",
        ),
        Check(
            "pooled",
            "One connection for calls in a row",
            over(pooled, CHAT, STREAM, ACHAT),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "two_loops",
            "One object in several event loops",
            {"": alone(two_loops, ACHAT)},
            defect_of=_BY_SDK,
        ),
        Check(
            "own_client",
            "Your own HTTP client",
            {"sync": _own_client, "async": _own_async_client},
            defect_of=_PERPLEXITY,
        ),
        Check(
            "key_callable",
            "Key from a function",
            {"sync": alone(keyed, CHAT), "async": alone(keyed, ACHAT)},
        ),
        Check("headers", "Your own headers", {"": alone(headed, CHAT)}),
        Check("finite_timeout", "Finite time limit by default", {"": finite}),
        Check(
            "timeout",
            "`timeout` is obeyed",
            over(timely(0.03), *CHATS),
            otherwise={"by its attribute": _timely_by_attribute},
        ),
        Check("retries", "503 is repeated", over(_retried, CHAT, STREAM), seconds=4),
        Check(
            "retries_count",
            "Two repetitions are three requests",
            {"": _twice},
            defect_of=_BY_SDK,
            note="Of a service that answers 503 each time. Where a class and its SDK both repeat, "
            "the numbers multiply.",
            seconds=4,
        ),
        Check(
            "hopeless",
            "What cannot get better is not repeated",
            {"400": _hopeless(400), "401": _hopeless(401)},
            defect_of=_PERPLEXITY,
            seconds=4,
        ),
        Check(
            "retry_after",
            "`Retry-After` is obeyed",
            {"": _waits},
            defect_of=_PERPLEXITY,
            seconds=4,
        ),
        Check(
            "retry_tomorrow",
            "A `Retry-After` of 24 h is not asked again at once",
            {"": alone(tomorrow, CHAT)},
            defect_of=_PERPLEXITY,
            seconds=4,
        ),
        Check(
            "close",
            "`close()` frees the connections",
            {
                "close": alone(closed, CHAT),
                "aclose": alone(aclosed, ACHAT),
                "aclose after both": alone(aclosed_all(CHAT), ACHAT),
            },
            otherwise={"keeps none open": _none_open, "only your own HTTP client": _close_own},
            note="*aclose after both*: one call frees what sync and async calls opened. The peers "
            "have neither method.",
        ),
        Check(
            "dropped",
            "A dropped object frees its connection",
            {"sync": alone(dropped, CHAT), "async": alone(adropped, ACHAT)},
        ),
        Check(
            "left",
            "Leaving a stream early frees its connection",
            lanes(left),
            defect_of=_BY_SDK,
            note="Within a second after the generator's `close()`, not only when Python next "
            "collects garbage.",
        ),
        Check("cancelled", "... and so does cancelling a task", {"": alone(cancelled, ACHAT)}),
    ),
)
