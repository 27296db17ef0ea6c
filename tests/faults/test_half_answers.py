"""Half an answer never passes for a whole one, nor is an answer shown twice or mixed with another.

Where a service names no end, the transport, the framing or the last character has to tell.
"""

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from qaip_core import AsyncClient, Client, ServiceError
from qaip_core.backends import fireworks, pais, qaip
from qaip_core.errors import IncompleteStreamError, MalformedResponseError, ServerReportedError
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Framing, Reply, sse_reply
from support.faults.speech import PERPLEXITY_AGENT
from support.faults.subjects import CORE, Subject

STREAMS = [s for s in CORE if s.streams and not s.operation.startswith("completions")]
QAIP = [s for s in CORE if s.streams and s.service == "qaip"]
DIFY = [s for s in CORE if s.streams and s.operation.endswith("-messages")]
PERPLEXITY = [s for s in STREAMS if (s.service, s.operation) == ("perplexity", "chat")]
RUNS = ("agent", "workflows")
CHUNKED = [s for s in (*STREAMS, *QAIP) if s not in DIFY and s.operation not in RUNS]
AGENT = [s for s in CORE if s.streams and s.operation == "agent"]


def of_choices(*choices: Mapping[str, Any]) -> str:
    return json.dumps({"choices": choices})


def piece(text: str, finish_reason: str | None = None) -> str:
    return of_choices({"delta": {"content": text}, "finish_reason": finish_reason})


def said(event: str, **fields: Any) -> str:
    return json.dumps({"event": event, "task_id": "t", "message_id": "m", **fields})


# Raw text ends with its connection


RAW = Reply(content_type="text/plain", body=[b"hello world ", 5.0, b"the rest"], framing="close")


def test_text_under_which_the_client_is_closed_by_another_thread_is_incomplete(
    server: FaultServer,
) -> None:
    server.reset()
    server.replies(RAW)
    client = Client(settings(qaip.COMPLETIONS, server.url))
    stream = client.stream(qaip.COMPLETIONS, "q", {})
    next(stream)
    closing = threading.Timer(0.05, client.close)
    closing.start()
    with pytest.raises(ServiceError) as caught:
        list(stream)
    closing.join()
    assert caught.value.partial_text == "hello world "


async def test_text_under_which_the_client_is_closed_by_another_task_is_incomplete(
    server: FaultServer,
) -> None:
    server.reset()
    server.replies(RAW)
    client = AsyncClient(settings(qaip.COMPLETIONS, server.url))
    stream = client.stream(qaip.COMPLETIONS, "q", {})
    await anext(stream)
    rest = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.05)
    await client.close()
    with pytest.raises(ServiceError) as caught:
        await rest
    assert caught.value.partial_text == "hello world "


@pytest.mark.parametrize("framing", ["length", "close", "chunked"])
@pytest.mark.parametrize("subject", QAIP, ids=repr)
def test_text_that_ends_within_a_character_is_incomplete(
    subject: Subject, framing: Framing, server: FaultServer
) -> None:
    server.reset()
    body = "Grüße, Köln ü".encode()[:-1]
    server.replies(Reply(content_type="text/plain", body=body, framing=framing))
    outcome = subject.ask(server.url)
    assert outcome.kind is IncompleteStreamError
    assert outcome.text == outcome.partial == "Grüße, Köln "


# Events without a finish_reason

EVENT = b'data: {"choices":[{"delta":{"content":"world"}}]}\n\n'
HALVES: Mapping[str, bytes] = {
    "half an event": EVENT[:-20],
    "no blank line": EVENT[:-1],
    "no line end": EVENT[:-2],
    "half a field name": EVENT[:3],
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
@pytest.mark.parametrize("media", ["text/event-stream", "text/plain"])
@pytest.mark.parametrize("subject", QAIP, ids=repr)
def test_a_last_event_that_was_not_dispatched_makes_the_answer_incomplete(
    subject: Subject, media: str, half: bytes, server: FaultServer
) -> None:
    server.reset()
    server.replies(Reply(content_type=media, body=EVENT.replace(b"world", b"hello ") + half))
    outcome = subject.ask(server.url)
    assert outcome.kind is IncompleteStreamError
    assert outcome.text == outcome.partial == "hello "


@pytest.mark.parametrize("name", ["line", "rest", "text", "whole"])
@pytest.mark.parametrize("subject", CHUNKED, ids=repr)
def test_an_event_may_bear_any_name(subject: Subject, name: str, server: FaultServer) -> None:
    server.reset()
    named = f"event: {name}\ndata: {piece('two ')}\n\n".encode()
    server.replies(sse_reply(piece("one "), named, piece("three", "stop"), "[DONE]"))
    outcome = subject.ask(server.url)
    assert outcome.error is None
    assert outcome.text == "one two three"


@pytest.mark.parametrize("name", ["response.output_text.delta", "response.failed", "line"])
@pytest.mark.parametrize("subject", AGENT, ids=repr)
def test_what_an_event_of_a_run_means_its_type_tells_and_not_its_name(
    subject: Subject, name: str, server: FaultServer
) -> None:
    server.reset()
    named = f"event: {name}\n".encode() + PERPLEXITY_AGENT.piece("two ")
    frames = (PERPLEXITY_AGENT.piece("one "), named, PERPLEXITY_AGENT.end("three"))
    server.replies(PERPLEXITY_AGENT.stream(*frames))
    outcome = subject.ask(server.url)
    assert outcome.error is None
    assert outcome.text == "one two three"


# Text that is taken back, mixed or unlabelled


@pytest.mark.parametrize("subject", DIFY, ids=repr)
def test_an_answer_that_was_shown_and_taken_back_is_not_asked_for_again(
    subject: Subject, server: FaultServer
) -> None:
    server.reset()
    taken_back = said("message", answer="abc"), said("message_replace", answer="")
    busy = said("error", status=503, code="overloaded", message="busy")
    again = sse_reply(said("message", answer="xyz"), said("message_end", metadata={}))
    server.replies(sse_reply(*taken_back, busy), again)
    outcome = subject.ask(server.url, max_retries=2)
    assert outcome.kind is ServerReportedError
    asked = [r.path for r in server.requests if not r.path.endswith("/stop")]
    assert asked == [f"/{subject.operation}"]


@pytest.mark.parametrize("endpoint", [fireworks.CHAT, pais.CHAT], ids=["fireworks", "pais"])
def test_choices_without_an_index_are_told_apart_by_their_places(
    endpoint: Any, server: FaultServer
) -> None:
    def both(a: str, b: str, reason: str | None = None) -> str:
        texts = ({"delta": {"content": text}, "finish_reason": reason} for text in (a, b))
        return of_choices(*texts)

    server.reset()
    server.replies(sse_reply(both("A1 ", "B1 "), both("A2", "B2", "stop"), "[DONE]"))
    client = Client(settings(endpoint, server.url))
    answer = add_up(client.stream(endpoint, "q", {"model": "m", "n": 2}))
    client.close()
    assert {c.index: c.text for c in answer.choices} == {0: "A1 A2", 1: "B1 B2"}


CUMULATIVE: Mapping[str, tuple[Sequence[str], str]] = {
    "pieces in the place of the whole": (["Hello ", "world", "!"], "Hello "),
    "another text, and longer": (["Hello wonderful", "Goodbye, cruel world"], "Hello wonderful"),
}


@pytest.mark.parametrize(("texts", "partial"), CUMULATIVE.values(), ids=CUMULATIVE)
@pytest.mark.parametrize("subject", PERPLEXITY, ids=repr)
def test_a_cumulative_message_that_does_not_extend_the_last_is_malformed(
    subject: Subject, texts: Sequence[str], partial: str, server: FaultServer
) -> None:
    server.reset()
    server.replies(sse_reply(*(of_choices({"message": {"content": text}}) for text in texts)))
    outcome = subject.ask(server.url)
    assert outcome.kind is MalformedResponseError
    assert outcome.text == outcome.partial == partial


@pytest.mark.parametrize("lacking", [{}, {"event": None}, {"event": ""}], ids=repr)
@pytest.mark.parametrize("subject", DIFY, ids=repr)
def test_text_in_an_event_without_a_kind_is_malformed(
    subject: Subject, lacking: Mapping[str, Any], server: FaultServer
) -> None:
    server.reset()
    lost = json.dumps({**lacking, "answer": "lost ", "task_id": "t"})
    rest = said("message", answer="b"), said("message_end", metadata={})
    server.replies(sse_reply(said("message", answer="a "), lost, *rest))
    outcome = subject.ask(server.url)
    assert outcome.kind is MalformedResponseError
    assert outcome.partial == "a "
