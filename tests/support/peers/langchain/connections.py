"""Rows about connections: how a service is reached, waited for, retried and left."""

from __future__ import annotations

import asyncio
import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from support.fault_server import FaultServer
from support.peers.check import Check, Group
from support.peers.langchain.asking import (
    ASYNC_STREAM,
    ASYNC_WHOLE,
    STREAM,
    WHOLE,
    Way,
    lanes,
    one,
    over,
)
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
from support.peers.replies import Answer, refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]


def _native(subject: Subject, server: FaultServer, way: Way) -> None:
    """Ten slow answers at once, where the event loop has one thread to hide them in."""
    server.replies(replace(way.reply(subject.wire), delay=0.1))
    model = subject.chat_model(server)

    async def ask_all() -> float:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        await way.soon(model)
        begun = time.monotonic()
        await asyncio.gather(*(way.soon(model) for _ in range(10)))
        return time.monotonic() - begun

    took = asyncio.run(ask_all())
    assert took < 0.7, f"ten answers of 0.1 s took {took:.1f} s"


def _base_url(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(None, base_url=f"{server.url}/gateway/v1")
    model.invoke("q")
    assert server.requests[0].path.startswith("/gateway/v1/"), server.requests[0].path


def _no_second_v1(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    subject.chat_model(server, base_url=f"{server.url}/inference/v1").invoke("q")
    path = server.requests[0].path
    assert path == "/inference/v1/chat/completions", path


def _library(subject: Subject) -> Any:
    return importlib.import_module("httpx2" if subject.id == "openai" else "httpx")


def _own_client(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    with _library(subject).Client(headers={"x-own": "mine"}) as client:
        subject.chat_model(server, http_client=client).invoke("q")
    assert server.requests[0].headers.get("x-own") == "mine"


def _own_async_client(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())

    async def ask() -> None:
        async with _library(subject).AsyncClient(headers={"x-own": "mine"}) as client:
            await subject.chat_model(server, http_async_client=client).ainvoke("q")

    asyncio.run(ask())
    assert server.requests[0].headers.get("x-own") == "mine"


def _client_of_sdk(subject: Subject, server: FaultServer) -> None:
    """The vendor's own client, with a client of ours inside, handed over as ``client``."""
    assert subject.sdk, "no vendor client"
    vendor, _ = subject.sdk(subject.chat_model(server))
    with _library(subject).Client(headers={"x-own": "mine"}) as client:
        inner = vendor.copy(http_client=client)
        handed = inner if subject.id == "perplexity" else inner.chat.completions
        server.replies(subject.wire.whole())
        subject.chat_model(server, client=handed).invoke("q")
    assert server.requests[0].headers.get("x-own") == "mine"


def _retries(subject: Subject, server: FaultServer, way: Way) -> None:
    busy = refusal(503, "busy")
    soon = replace(busy, headers={"retry-after-ms": "20"})
    server.replies(soon, way.reply(subject.wire))
    answer = way.ask(subject.chat_model(server, max_retries=1))
    assert answer.text == Answer().text
    assert len(server.requests) == 2


def _waits(subject: Subject, server: FaultServer) -> None:
    busy = replace(refusal(429, "slower, please"), headers={"retry-after": "1"})
    server.replies(busy, subject.wire.whole())
    subject.chat_model(server, max_retries=1).invoke("q")
    first, second = server.requests
    waited = second.at - first.at
    assert 0.95 <= waited <= 2.5, f"asked to wait 1 s, it waited {waited:.1f} s"


class _Retries(BaseCallbackHandler):
    def __init__(self) -> None:
        self.count = 0

    def on_retry(self, *args: Any, **kwargs: Any) -> None:
        self.count += 1


def _seen(subject: Subject, server: FaultServer) -> None:
    busy = replace(refusal(503, "busy"), headers={"retry-after-ms": "20"})
    server.replies(busy, subject.wire.whole())
    retries = _Retries()
    subject.chat_model(server, max_retries=1).invoke("q", {"callbacks": [retries]})
    assert retries.count == 1, "no callback was told"


def _close_sdk(subject: Subject, server: FaultServer) -> None:
    assert subject.sdk, "no vendor client"
    server.replies(subject.wire.whole())
    model = subject.chat_model(server)
    vendor, async_vendor = subject.sdk(model)
    model.invoke("q")
    vendor.close()
    assert server.wait_closed(1), "the connection is open after its client's close()"

    async def ask_and_close() -> None:
        await model.ainvoke("q")
        await async_vendor.close()
        assert await asyncio.to_thread(server.wait_closed, 1), "it is open after close()"

    asyncio.run(ask_and_close())


GROUP = Group(
    "Connections",
    (
        Check(
            "native_async",
            "Async without threads",
            over(_native, ASYNC_WHOLE, ASYNC_STREAM),
            note="Ten answers of 0.1 s at once, in an event loop that has one worker thread.",
        ),
        Check(
            "pooled",
            "One connection for calls in a row",
            over(pooled, WHOLE, STREAM, ASYNC_WHOLE),
        ),
        Check("two_loops", "One object in several event loops", {"": one(two_loops, ASYNC_WHOLE)}),
        Check("base_url", "`base_url` parameter", {"": _base_url}),
        Check(
            "no_second_v1",
            "Takes the address that the vendor prints",
            {"": _no_second_v1},
            needs=frozenset({"fireworks"}),
            defect_of=frozenset({"fireworks"}),
            note="With `.../inference/v1` the call goes to `/inference/v1`, not to `/v1/v1`.",
        ),
        Check(
            "own_client",
            "Your own HTTP client",
            {"sync": _own_client, "async": _own_async_client},
            otherwise={"by its SDK": _client_of_sdk},
        ),
        Check(
            "key_callable",
            "Key from a function",
            {"sync": one(keyed, WHOLE), "async": one(keyed, ASYNC_WHOLE)},
        ),
        Check("headers", "Your own headers", {"": one(headed, WHOLE)}),
        Check(
            "finite_timeout",
            "Finite time limit by default",
            {"": finite},
            defect_of=frozenset({"openai", "fireworks"}),
            note="Read off the client that a model makes, since nobody waits for ever.",
        ),
        Check("timeout", "`timeout` is obeyed", over(timely(0.1), WHOLE, STREAM, ASYNC_WHOLE)),
        Check("retries", "503 is repeated", over(_retries)),
        Check(
            "retry_seen",
            "Callbacks are told of it (`on_retry`)",
            {"": _seen},
            lacking=frozenset({"ours-fireworks", "ours-perplexity"}),
        ),
        Check(
            "retry_after",
            "`Retry-After` is obeyed",
            {"": _waits},
            defect_of=frozenset({"fireworks"}),
        ),
        Check(
            "retry_tomorrow",
            "A `Retry-After` of 24 h is not asked again at once",
            {"": one(tomorrow, WHOLE)},
            defect_of=frozenset({"fireworks", "perplexity"}),
        ),
        Check(
            "close",
            "`close()` frees the connections",
            {
                "close": one(closed, WHOLE),
                "aclose": one(aclosed, ASYNC_WHOLE),
                "aclose after both": one(aclosed_all(WHOLE), ASYNC_WHOLE),
            },
            otherwise={"no, only its SDK's clients": _close_sdk},
            defect_of=frozenset({"fireworks", "perplexity"}),
            note="*aclose after both*: one call frees what sync and async calls opened. "
            "langchain-openai and langchain-perplexity have neither method: the connection stays "
            "open at least as long as the object lives, unless its user reaches for the two "
            "clients of the vendor's SDK inside, and closes each.",
        ),
        Check(
            "dropped",
            "A dropped object frees its connection",
            {"sync": one(dropped, WHOLE), "async": one(adropped, ASYNC_WHOLE)},
        ),
        Check(
            "left",
            "Leaving a stream early frees its connection",
            lanes(left),
            note="Within a second after the generator's `close()`, not only when Python next "
            "collects garbage.",
        ),
        Check("cancelled", "... and so does cancelling a task", {"": one(cancelled, ASYNC_WHOLE)}),
    ),
)
