"""What answers of Fireworks say of themselves, and which parameters are refused, with why."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, Completion
from qaip_core.backends.fireworks import CHAT, TEXT
from qaip_core.errors import IncompleteStreamError, InvalidParameterError
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply, sse_reply
from support.wire import cases

BY_NAME = {case.name: case for case in cases("fireworks")}
ASKED = {"return_token_ids": True, "raw_output": True, "perf_metrics_in_response": True}
SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}}}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def ask(
    server: FaultServer, reply: Reply, *, stream: bool, chat: bool, **values: Any
) -> Completion:
    server.replies(reply)
    endpoint = CHAT if chat else TEXT
    with closing(Client(settings(endpoint, server.url))) as client:
        if stream:
            return add_up(list(client.pieces(endpoint, "q", {"model": "m", **values})))
        return client.complete(endpoint, "q", {"model": "m", **values})


async def aask(server: FaultServer, reply: Reply, *, chat: bool, **values: Any) -> Completion:
    server.replies(reply)
    endpoint = CHAT if chat else TEXT
    client = AsyncClient(settings(endpoint, server.url))
    try:
        pieces = [i async for i in client.pieces(endpoint, "q", {"model": "m", **values})]
        return add_up(pieces)
    finally:
        await client.close()


def sent(server: FaultServer, **values: Any) -> Any:
    """Return the body of a chat with some parameters."""
    ask(server, BY_NAME["chat_whole"].reply(), stream=False, chat=True, **values)
    return server.requests[-1].json()


@pytest.mark.parametrize("name", ["chat_stream_2026", "text_whole_2026", "text_stream_2026"])
def test_token_ids_and_raw_output_are_in_the_metadata(server: FaultServer, name: str) -> None:
    case = BY_NAME[name]
    chat = case.operation == "chat"
    answer = ask(server, case.reply(sizes=7), stream=case.stream, chat=chat, **ASKED)
    assert answer.text == case.expected["text"]
    assert answer.metadata["prompt_token_ids"] == [11, 12, 13]
    assert answer.metadata["token_ids"] == [21, 22, 23, 24, 25, 26, 27]
    assert answer.metadata["raw_output"]["prompt_fragments"] == ["What is a lighthouse for?"]
    assert answer.metadata["perf_metrics"]["server-processing-time"] == 0.093
    assert "malformed" not in answer.metadata


@pytest.mark.parametrize("name", ["chat_stream_2026", "text_stream_2026"])
async def test_they_are_there_without_blocking(server: FaultServer, name: str) -> None:
    case = BY_NAME[name]
    answer = await aask(server, case.reply(), chat=case.operation == "chat", **ASKED)
    assert answer.metadata["token_ids"] == [21, 22, 23, 24, 25, 26, 27]


def test_tokens_that_nobody_asked_for_are_not_collected(server: FaultServer) -> None:
    answer = ask(server, BY_NAME["chat_stream_2026"].reply(), stream=True, chat=True)
    assert "token_ids" not in answer.metadata


def piece(index: int, text: str, finish: str | None = None, **more: Any) -> str:
    choice = {"index": index, "text": text, "finish_reason": finish, **more}
    return json.dumps({"id": "x", "model": "m", "choices": [choice]})


def test_the_same_token_twice_is_two_tokens(server: FaultServer) -> None:
    events = [piece(0, "go ", token_ids=[7]) for _ in range(5)]
    reply = sse_reply(*events, "null", piece(0, "", "stop"), "[DONE]")
    answer = ask(server, reply, stream=True, chat=False, return_token_ids=True)
    assert answer.text == "go " * 5
    assert answer.metadata["token_ids"] == [7] * 5


def test_several_answers_are_told_apart_by_their_number(server: FaultServer) -> None:
    events = [
        piece(0, "a", token_ids=[1]),
        piece(1, "b", token_ids=[2]),
        piece(1, "b", "stop", token_ids=[3], raw_output={"completion": "bb"}),
        piece(0, "a", "stop", token_ids=[4], raw_output={"completion": "aa"}),
    ]
    reply = sse_reply(*events, "[DONE]")
    answer = ask(server, reply, stream=True, chat=False, n=2, return_token_ids=True)
    assert answer.metadata["token_ids"] == {"0": [1, 4], "1": [2, 3]}
    assert answer.metadata["raw_output"] == {
        "0": {"completion": "aa"},
        "1": {"completion": "bb"},
    }


@pytest.mark.parametrize("stream", [False, True])
def test_details_that_cannot_be_read_spoil_no_answer(server: FaultServer, stream: bool) -> None:
    choice = {"index": 0, "text": "a", "finish_reason": "stop", "token_ids": "many"}
    body = {"id": "x", "model": "m", "choices": [choice]}
    reply = sse_reply(json.dumps(body), "[DONE]") if stream else json_reply(body)
    answer = ask(server, reply, stream=stream, chat=False, return_token_ids=True)
    assert answer.text == "a"
    assert answer.metadata["malformed"] == ["choices.0.token_ids"]


def test_a_stream_that_is_cut_keeps_the_tokens_that_came(server: FaultServer) -> None:
    reply = sse_reply(piece(0, "go ", token_ids=[7]), end="cut")
    with pytest.raises(IncompleteStreamError) as caught:
        ask(server, reply, stream=True, chat=False, return_token_ids=True)
    assert caught.value.partial is not None
    assert caught.value.partial.metadata["token_ids"] == [7]


# --- parameters ------------------------------------------------------------------------------

SOUND: list[dict[str, Any]] = [
    {"response_format": {"type": "text"}},
    {"response_format": {"type": "json_object"}},
    {"response_format": {"type": "json_object", "schema": SCHEMA}},
    {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"response_format": {"type": "json_schema", "schema": SCHEMA}},
    {"response_format": {"type": "grammar", "grammar": 'root ::= "yes" | "no"'}},
    {"reasoning_effort": "max"},
    {"reasoning_effort": 2048},
    {"reasoning_effort": False},
    {"reasoning_history": "interleaved"},
    {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    {"thinking": {"type": "enabled"}},
    {"thinking": {"type": "disabled"}},
    {"service_tier": "priority"},
    {"prompt_cache_key": "conversation-1", "prompt_cache_isolation_key": "tenant-1"},
    {"prediction": {"type": "content", "content": "a"}},
    {"prediction": "a"},
    {"speculation": [1, 2]},
    {"return_token_ids": True},
    {"tool_choice": {"type": "function", "function": {"name": "f"}}},
]


@pytest.mark.parametrize("values", SOUND, ids=lambda v: json.dumps(v)[:60])
def test_what_is_sound_is_sent_as_it_is(server: FaultServer, values: dict[str, Any]) -> None:
    body = sent(server, **values)
    assert {k: v for k, v in body.items() if k not in ("model", "messages")} == values


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"response_format": {"type": "json"}}, "its type is \"json_schema\", .*: 'json'"),
    ({"response_format": {"type": "json_schema"}}, "a schema is missing: pass"),
    ({"response_format": {"type": "json_schema", "json_schema": {}}}, "a schema is missing"),
    ({"response_format": {"type": "grammar"}}, "the grammar is missing: pass"),
    ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "1024 or more"),
    ({"thinking": {"type": "on"}}, "1024 or more"),
    ({"thinking": {"type": "disabled", "budget_tokens": 2000}}, "1024 or more"),
    ({"thinking": {"type": "disabled"}, "reasoning_effort": "low"}, "exclude each other"),
    ({"reasoning_effort": "much"}, "reasoning_effort"),
    ({"prediction": {"type": "text"}}, "it is a text or"),
    ({"tool_choice": {"type": "function", "name": "f"}}, "one function is"),
    ({"service_tier": "fast"}, "service_tier"),
]


@pytest.mark.parametrize(("values", "told"), WRONG, ids=lambda v: json.dumps(v)[:60])
def test_what_is_wrong_is_refused_with_what_is_right(
    server: FaultServer, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        sent(server, **values)
    assert server.requests == []


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(("count", "streams"), [(4096, False), (4097, True)])
def test_many_tokens_are_asked_for_as_a_stream(
    server: FaultServer, name: str, count: int, streams: bool
) -> None:
    case = BY_NAME["chat_stream_2026" if streams else "chat_whole_2026"]
    answer = ask(server, case.reply(), stream=False, chat=True, **{name: count})
    assert answer.text == case.expected["text"]
    assert server.requests[0].json().get("stream", False) is streams
