"""Clients that nobody has any more are closed, and harm no others."""

import asyncio
import gc
import json
from typing import Any

from pydantic import SecretStr

from qaip_core import AsyncClient, Settings
from qaip_core.backends.fireworks import CHAT
from support.fault_server import FaultServer, Reply, json_reply

WHOLE = json_reply({"choices": [{"message": {"content": "tea"}, "finish_reason": "stop"}]})
ASKED: Any = (CHAT, "q", {"model": "m"})


def event(finish: str | None, **delta: str) -> bytes:
    return (
        b"data: %s\n\n"
        % json.dumps({"choices": [{"delta": delta, "finish_reason": finish}]}).encode()
    )


SLOW = Reply(
    content_type="text/event-stream",
    body=[event(None, content="tea"), 0.2, event("stop"), b"data: [DONE]\n\n"],
)


async def test_a_client_that_is_collected_does_not_stop_the_streams_of_another() -> None:
    """A socket that were closed too early would leave its number to that of the stream."""
    with FaultServer() as server:
        for _ in range(3):
            server.replies(WHOLE, SLOW)
            first = AsyncClient(Settings(CHAT.backend, server.url, SecretStr("k")))
            await first.complete(*ASKED)
            circle: list[Any] = [first]
            circle.append(circle)
            del first, circle
            gc.collect()
            second = AsyncClient(Settings(CHAT.backend, server.url, SecretStr("k")))
            async with asyncio.timeout(2):
                texts = [increment.text async for increment in second.stream(*ASKED)]
            assert "".join(texts) == "tea"
            await second.close()
        assert await asyncio.to_thread(server.wait_closed)
