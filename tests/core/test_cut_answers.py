"""An answer that ends at a limit of tokens which nobody set is told of by one line of the log."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from qaip_core.backend import Endpoint
from qaip_core.backends.fireworks import CHAT, TEXT
from qaip_core.backends.qaip import COMPLETIONS
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import Settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

MODEL = {"model": "m"}
TOLD = "Fireworks ended the answer at a limit of tokens that the call did not set"


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    with FaultServer() as server:
        yield server


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Keeps what the core warns of."""
    caplog.set_level(logging.WARNING, "qaip_core")
    return caplog


def whole(*reasons: str) -> Reply:
    choices = [
        {"index": n, "text": "tea", "message": {"content": "tea"}, "finish_reason": reason}
        for n, reason in enumerate(reasons)
    ]
    return json_reply({"choices": choices})


def streamed(*reasons: str) -> Reply:
    """Return a stream that says how it ended with its last piece of text."""
    said = [{"index": n, "text": "te", "delta": {"content": "te"}} for n, _ in enumerate(reasons)]
    ended = [
        {"index": n, "text": "a", "delta": {"content": "a"}, "finish_reason": reason}
        for n, reason in enumerate(reasons)
    ]
    events = [json.dumps({"choices": [choice]}) for choice in (*said, *ended)]
    return sse_reply(*events, "[DONE]")


async def ask(
    server: FaultServer, endpoint: Endpoint, *, sync: bool = True, stream: bool = False, **more: Any
) -> str:
    """Ask, and return the text."""
    settings = Settings(backend=endpoint.backend, base_url=server.url, key=SecretStr("k"))
    values = {**(MODEL if endpoint.takes("model") else {}), **more}
    if sync:
        client = Client(settings)
        if not stream:
            text = client.complete(endpoint, "q", values).text
        else:
            text = "".join(piece.text for piece in client.stream(endpoint, "q", values))
        client.close()
        return text
    async_client = AsyncClient(settings)
    if not stream:
        text = (await async_client.complete(endpoint, "q", values)).text
    else:
        pieces = async_client.stream(endpoint, "q", values)
        text = "".join([piece.text async for piece in pieces])
    await async_client.close()
    return text


@pytest.mark.parametrize("endpoint", [TEXT, CHAT], ids=["text", "chat"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
async def test_a_cut_answer_is_told_of_once(
    server: FaultServer,
    told: pytest.LogCaptureFixture,
    endpoint: Endpoint,
    *,
    stream: bool,
    sync: bool,
) -> None:
    server.replies(streamed("length") if stream else whole("length"))
    assert await ask(server, endpoint, sync=sync, stream=stream) == "tea"
    (record,) = told.records
    assert record.name == "qaip_core"
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"{TOLD} (finish_reason 'length'): pass max_tokens=... for a longer one"
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_several_cut_answers_of_one_call_are_one_line(
    server: FaultServer, told: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    server.replies((streamed if stream else whole)("stop", "length", "length"))
    await ask(server, TEXT, stream=stream, n=3)
    assert len(told.records) == 1


@pytest.mark.parametrize(
    "limit", [{"max_tokens": 3}, {"max_completion_tokens": 3}, {"extra_body": {"max_tokens": 3}}]
)
async def test_a_limit_that_the_call_has_set_is_no_news(
    server: FaultServer, told: pytest.LogCaptureFixture, limit: dict[str, Any]
) -> None:
    server.replies(whole("length"))
    await ask(server, TEXT, **limit)
    assert not told.records


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_whole_answer_is_no_news(
    server: FaultServer, told: pytest.LogCaptureFixture, *, stream: bool
) -> None:
    server.replies((streamed if stream else whole)("stop"))
    assert await ask(server, TEXT, stream=stream) == "tea"
    assert not told.records


async def test_where_there_is_no_limit_to_be_set_less_is_to_be_asked_for(
    server: FaultServer, told: pytest.LogCaptureFixture
) -> None:
    server.replies(json_reply({"choices": [{"text": "tea", "finish_reason": "length"}]}))
    await ask(server, COMPLETIONS)
    assert told.messages[0].startswith("Qaip ended the answer")
    assert told.messages[0].endswith(": ask for less")


async def test_an_answer_that_is_cut_at_a_stop_sequence_is_no_news(
    server: FaultServer, told: pytest.LogCaptureFixture
) -> None:
    server.replies(json_reply({"choices": [{"text": "tea", "finish_reason": "length"}]}))
    assert await ask(server, COMPLETIONS, stop="a") == "te"
    assert not told.records
