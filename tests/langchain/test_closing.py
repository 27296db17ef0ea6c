"""A connection lives no longer than somebody reads from it."""

import asyncio
import gc
import subprocess
import sys
from contextlib import aclosing, closing, suppress
from typing import Any

import httpx
import pytest

from support.fault_server import FaultServer, Reply

from .models import BY_ID, CHATS, MODELS, Kind, every, text_of

beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def hanging(kind: Kind) -> Reply:
    """Return the beginning of a stream after which nothing comes."""
    whole = BY_ID[f"{kind.service}/{kind.stream}"]
    reply = whole.reply(sizes=64)
    body = whole.body[: len(whole.body) // 2]
    return Reply(
        headers=reply.headers, content_type=None, body=[body], framing="chunked", end="hang"
    )


async def gone(server: FaultServer) -> bool:
    return await asyncio.to_thread(server.wait_closed)


@every(MODELS)
def test_breaking_out_of_a_stream_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    with kind.at(server.url, **_quiet(kind)) as model:
        for _chunk in model.stream("q"):
            break
        assert server.wait_closed()


@every(MODELS)
def test_closing_a_stream_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    with kind.at(server.url, **_quiet(kind)) as model:
        with closing(model.stream("q")) as chunks:
            next(chunks)
        assert server.wait_closed()


@every(MODELS)
async def test_closing_an_async_stream_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    async with kind.at(server.url, **_quiet(kind)) as model:
        async with aclosing(model.astream("q")) as chunks:
            await anext(chunks)
        assert await gone(server)


@every(MODELS)
async def test_breaking_out_of_an_async_stream_frees_the_socket(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(hanging(kind))
    async with kind.at(server.url, **_quiet(kind)) as model:
        async for _chunk in model.astream("q"):
            break
        assert await gone(server)


@every(MODELS)
async def test_cancelling_an_async_stream_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    async with kind.at(server.url, **_quiet(kind)) as model:
        begun = asyncio.Event()

        async def read() -> None:
            async for _chunk in model.astream("q"):
                begun.set()

        task = asyncio.create_task(read())
        await asyncio.wait_for(begun.wait(), 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await gone(server)


@every(MODELS)
async def test_cancelling_a_whole_call_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(Reply(delay=5))
    async with kind.at(server.url, **_quiet(kind)) as model:
        task = asyncio.create_task(model.ainvoke("q"))
        await asyncio.to_thread(server.wait_requests, 1)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert await gone(server)


@every(MODELS)
async def test_closing_a_model_closes_its_idle_connections(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    model = kind.at(server.url)
    model.invoke("q")
    await model.ainvoke("q")
    assert server.open_connections == 2
    await model.aclose()
    assert await gone(server)


@every(MODELS)
def test_dropping_a_model_closes_its_idle_connections(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    kind.at(server.url).invoke("q")
    assert server.wait_closed()


@every(CHATS)
async def test_calls_share_a_connection(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    async with kind.at(server.url) as model:
        for _ in range(3):
            await model.ainvoke("q")
        assert server.open_connections == 1
    assert len(server.requests) == 3


@every(CHATS)
async def test_clients_that_were_handed_in_are_used_and_not_closed(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    given: dict[str, Any] = {"headers": {"x-mine": "yes"}, "trust_env": False}
    with httpx.Client(**given) as sync:
        async with httpx.AsyncClient(**given) as async_:
            model = kind.at(server.url, http_client=sync, http_async_client=async_)
            model.invoke("q")
            await model.ainvoke("q")
            await model.aclose()
            assert not sync.is_closed
            assert not async_.is_closed
    assert [request.headers.get("x-mine") for request in server.requests] == ["yes", "yes"]


@every(CHATS)
def test_a_model_serves_one_event_loop_after_another(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    model = kind.at(server.url)
    texts = {text_of(asyncio.run(model.ainvoke("q"))) for _ in range(3)}
    assert len(texts) == 1
    assert server.wait_closed()


def test_leaving_a_run_of_dify_stops_it(server: FaultServer) -> None:
    kind = next(kind for kind in CHATS if kind.service == "dify")
    server.replies(hanging(kind), Reply(body=b'{"result": "success"}', framing="length"))
    with kind.at(server.url) as model, closing(model.stream("q")) as chunks:
        next(chunks)
    assert server.requests[-1].path.endswith("/stop")
    assert server.requests[-1].json() == {"user": "default-user"}


def _quiet(kind: Kind) -> dict[str, Any]:
    """Leave out the request that ends a run, which would keep a connection."""
    return {"stop_on_close": False} if kind.service == "dify" else {}


@beta
@every(CHATS)
def test_leaving_v3_events_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    with kind.at(server.url, **_quiet(kind)) as model:
        events = model.stream_events("q", version="v3")
        next(iter(events))
        del events
        gc.collect()
        assert server.wait_closed()


@beta
@every(CHATS)
async def test_closing_async_v3_events_frees_the_socket(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind))
    async with kind.at(server.url, **_quiet(kind)) as model:
        async with await model.astream_events("q", version="v3") as events:
            await anext(aiter(events))
        assert await gone(server)


HELD = """
import sys
from langchain_qaip import ChatFireworks
held = ChatFireworks(model="m", api_key="key-of-test", base_url=sys.argv[1]).stream("q")
next(held), next(held)
print("left")
"""


def test_a_script_that_leaves_a_stream_open_ends(server: FaultServer) -> None:
    server.replies(BY_ID["fireworks/chat_stream_usage_trailing"].reply())
    done = subprocess.run(
        [sys.executable, "-c", HELD, server.url],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("left\n", 0), done.stderr
