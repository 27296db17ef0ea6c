"""Many calls at the same time: nothing fails, and few connections stay."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable

from pydantic import SecretStr

from qaip_core import AsyncClient, Completion, Settings
from qaip_core.backends.fireworks import CHAT
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

CALLS = 200
STAYING = 64
STREAM = sse_reply(
    json.dumps({"choices": [{"delta": {"content": "tea"}}]}),
    json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]}),
)
WHOLE = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})
ASKED = CHAT, "q", {"model": "m"}


def asking(server: FaultServer, *replies: Reply) -> AsyncClient:
    server.replies(*replies)
    return AsyncClient(Settings(CHAT.backend, server.url, SecretStr("k")))


async def become(met: Callable[[], bool]) -> None:
    end = time.monotonic() + 2
    while not met() and time.monotonic() < end:  # noqa: ASYNC110 -- of a thread
        await asyncio.sleep(0.01)
    assert met()


async def rest(stream: AsyncGenerator[Completion, None]) -> Completion:
    return [increment async for increment in stream][-1]


async def test_of_many_streams_connections_few_stay_and_are_used_again() -> None:
    with FaultServer() as server:
        client = asking(server, *[STREAM] * CALLS, WHOLE)
        streams = [client.stream(*ASKED) for _ in range(CALLS)]
        firsts = [await anext(stream) for stream in streams]
        assert {first.text for first in firsts} == {"tea"}
        assert server.open_connections == CALLS
        lasts = await asyncio.gather(*map(rest, streams))
        assert {last.finish_reason for last in lasts} == {"stop"}
        await become(lambda: 0 < server.open_connections <= STAYING)
        kept = server.open_connections
        await asyncio.gather(*(client.complete(*ASKED) for _ in range(kept)))
        assert server.open_connections == kept
        await client.close()
        await become(lambda: server.open_connections == 0)


async def cancelled_after(turns: int, client: AsyncClient) -> bool:
    """Cancel the last stream of a crowd at some turn of the loop; tell whether it was in time."""
    streams = [client.stream(*ASKED) for _ in range(STAYING + 4)]
    for stream in streams:
        await anext(stream)
    *others, last = streams
    await asyncio.gather(*map(rest, others[STAYING:]))  # so it is the last of those beside it
    task = asyncio.create_task(rest(last))
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = task.cancel()
    await asyncio.wait([task])
    await asyncio.gather(*map(rest, others[:STAYING]))
    return in_time


async def test_a_task_that_is_cancelled_leaves_no_connection_of_others_open() -> None:
    with FaultServer() as server:
        client = asking(server, STREAM)
        turns = 1  # it has begun to read
        while await cancelled_after(turns, client):
            await become(lambda: server.open_connections <= STAYING)
            turns += 1
        assert turns > 4
        await client.close()
        await become(lambda: server.open_connections == 0)


async def test_streams_that_are_left_in_a_crowd_free_their_connections() -> None:
    with FaultServer() as server:
        client = asking(server, STREAM)
        streams = [client.stream(*ASKED) for _ in range(CALLS)]
        for stream in streams:
            await anext(stream)
        for stream in streams[::2]:
            await stream.aclose()
        await become(lambda: server.open_connections == CALLS // 2)
        assert (await rest(streams[1])).finish_reason == "stop"
        await client.close()
        await become(lambda: server.open_connections == 0)
        for stream in streams[3::2]:
            await stream.aclose()
