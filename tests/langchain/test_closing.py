"""A connection lives no longer than somebody reads from it."""

import asyncio
from contextlib import closing
from typing import Any

import httpx

from support.fault_server import FaultServer, Reply

from .models import BY_ID, CHATS, MODELS, Kind, every


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
async def test_clients_that_were_handed_in_are_used_and_not_closed(
    kind: Kind, server: FaultServer
) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    given: dict[str, Any] = {"headers": {"x-mine": "yes"}, "trust_env": False, "verify": False}
    with httpx.Client(**given) as sync:
        async with httpx.AsyncClient(**given) as async_:
            model = kind.at(server.url, http_client=sync, http_async_client=async_)
            model.invoke("q")
            await model.ainvoke("q")
            await model.aclose()
            assert not sync.is_closed
            assert not async_.is_closed
    assert [request.headers.get("x-mine") for request in server.requests] == ["yes", "yes"]


@every([kind for kind in CHATS if kind.service == "dify"])
def test_leaving_a_run_of_dify_stops_it(kind: Kind, server: FaultServer) -> None:
    server.replies(hanging(kind), Reply(body=b'{"result": "success"}', framing="length"))
    with kind.at(server.url) as model, closing(model.stream("q")) as chunks:
        next(chunks)
    assert server.requests[-1].path.startswith(f"{server.requests[0].path}/")
    assert server.requests[-1].path.endswith("/stop")
    assert server.requests[-1].json() == {"user": "default-user"}
