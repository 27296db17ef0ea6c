"""Rows about connections: how a service is reached, waited for, retried and left."""

from __future__ import annotations

import asyncio
import gc
import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler

from support.fault_server import FaultServer, Reply, sse_reply
from support.peers.asking import (
    ASYNC_STREAM,
    ASYNC_WHOLE,
    STREAM,
    WHOLE,
    Way,
    answered,
    error_of,
    lanes,
    over,
)
from support.peers.check import Check, Group
from support.peers.replies import Answer, refusal
from support.peers.subjects import UNSET, Subject

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


def _pooled(subject: Subject, server: FaultServer, way: Way) -> None:
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


def _two_loops(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(server)
    for _ in range(2):
        ASYNC_WHOLE.ask(model)
    assert len(server.requests) == 2


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


def _key_sync(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    keys = iter(["first-key", "second-key"])
    model = subject.chat_model(server, api_key=lambda: next(keys))
    for _ in range(2):
        model.invoke("q")
    _sent_keys(server)


def _key_async(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    keys = iter(["first-key", "second-key"])

    async def key() -> str:
        return next(keys)

    model = subject.chat_model(server, api_key=key)

    async def ask_twice() -> None:
        for _ in range(2):
            await model.ainvoke("q")

    asyncio.run(ask_twice())
    _sent_keys(server)


def _sent_keys(server: FaultServer) -> None:
    sent = [request.headers["authorization"] for request in server.requests]
    assert sent == ["Bearer first-key", "Bearer second-key"], sent


def _headers(subject: Subject, server: FaultServer) -> None:
    model = subject.chat_model(server, **subject.by("headers", {"x-team": "harbour"}))
    answered(model, subject.wire.whole(), server)
    assert server.requests[0].headers.get("x-team") == "harbour"


def _finite(subject: Subject, server: FaultServer) -> None:
    seconds = subject.seconds(subject.chat_model(server, timeout=UNSET))
    assert isinstance(seconds, int | float), f"the default time limit is {seconds}"


def _timeout(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(Reply(delay=8))
    begun = time.monotonic()
    error_of(lambda: way.ask(subject.chat_model(server, timeout=0.1)))
    assert time.monotonic() - begun < 2


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


def _tomorrow(subject: Subject, server: FaultServer) -> None:
    busy = replace(refusal(429, "tomorrow"), headers={"retry-after": "86400"})
    server.replies(busy, subject.wire.whole())
    error_of(lambda: subject.chat_model(server, max_retries=1).invoke("q"))
    assert len(server.requests) == 1, "it asked again"


def _close(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(server)
    model.invoke("q")
    model.close()
    assert server.wait_closed(1), "the connection is open after close()"


def _aclose(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(server)

    async def ask_and_close() -> None:
        await model.ainvoke("q")
        await model.aclose()
        assert await asyncio.to_thread(server.wait_closed, 1), "it is open after aclose()"

    asyncio.run(ask_and_close())


def _aclose_all(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    model = subject.chat_model(server)

    async def ask_and_close() -> None:
        model.invoke("q")
        await model.ainvoke("q")
        await model.aclose()
        assert await asyncio.to_thread(server.wait_closed, 1), "one is open after aclose()"

    asyncio.run(ask_and_close())


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


def _dropped(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())
    subject.chat_model(server).invoke("q")
    gc.collect()
    assert server.wait_closed(1), "the connection of a dropped model is open"


def _adropped(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole())

    async def ask() -> None:
        await subject.chat_model(server).ainvoke("q")
        gc.collect()
        assert await asyncio.to_thread(server.wait_closed, 1), "it is open in its event loop"

    asyncio.run(ask())


def _endless(subject: Subject) -> Reply:
    return sse_reply(*subject.wire.events(Answer())[:3], newline=subject.wire.newline, end="hang")


def _left(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(_endless(subject))
    model = subject.chat_model(server)
    if way.sync:
        chunks = model.stream("q")
        next(chunks)
        chunks.close()
        assert server.wait_closed(1), "the connection is open"
    else:
        asyncio.run(_aleft(model, server))


async def _aleft(model: Any, server: FaultServer) -> None:
    chunks = model.astream("q")
    await anext(chunks)
    await chunks.aclose()
    assert await asyncio.to_thread(server.wait_closed, 1), "the connection is open"


def _cancelled(subject: Subject, server: FaultServer) -> None:
    server.replies(Reply(delay=8))
    model = subject.chat_model(server)

    async def ask_and_cancel() -> None:
        task = asyncio.create_task(model.ainvoke("q"))
        assert await asyncio.to_thread(server.wait_requests, 1, 2)
        task.cancel()
        assert await asyncio.to_thread(server.wait_closed, 1), "the connection is open"

    asyncio.run(ask_and_cancel())


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
            over(_pooled, WHOLE, STREAM, ASYNC_WHOLE),
        ),
        Check("two_loops", "One object in several event loops", {"": _two_loops}),
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
        Check("key_callable", "Key from a function", {"sync": _key_sync, "async": _key_async}),
        Check("headers", "Your own headers", {"": _headers}),
        Check(
            "finite_timeout",
            "Finite time limit by default",
            {"": _finite},
            defect_of=frozenset({"openai", "fireworks"}),
            note="Read off the client that a model makes, since nobody waits for ever.",
        ),
        Check("timeout", "`timeout` is obeyed", over(_timeout, WHOLE, STREAM, ASYNC_WHOLE)),
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
            {"": _tomorrow},
            defect_of=frozenset({"fireworks", "perplexity"}),
        ),
        Check(
            "close",
            "`close()` frees the connections",
            {"close": _close, "aclose": _aclose, "aclose after both": _aclose_all},
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
            {"sync": _dropped, "async": _adropped},
        ),
        Check(
            "left",
            "Leaving a stream early frees its connection",
            lanes(_left),
            note="Within a second after the generator's `close()`, not only when Python next "
            "collects garbage.",
        ),
        Check("cancelled", "... and so does cancelling a task", {"": _cancelled}),
    ),
)
