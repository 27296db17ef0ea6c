"""LangChain's ways to ask a model."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import AsyncGenerator, Generator, Mapping
from functools import reduce
from typing import Any

from support.fault_server import FaultServer, Reply
from support.peers import asking
from support.peers.asking import QUESTION, Fact, alone, by_way
from support.peers.check import Part
from support.peers.replies import Answer
from support.peers.subject import Subject

__all__ = [
    "ASYNC_STREAM",
    "ASYNC_WHOLE",
    "LANES",
    "STREAM",
    "WAYS",
    "WHOLE",
    "Way",
    "answered",
    "lanes",
    "one",
    "over",
    "said",
]


async def _asked(model: Any, prompt: Any, streaming: bool, call: Mapping[str, Any]) -> Any:
    if not streaming:
        return await model.ainvoke(prompt, **call)
    return reduce(operator.add, [chunk async for chunk in model.astream(prompt, **call)])


class Way(asking.Way):
    """One of the four ways to get an answer: a message, the chunks of a stream added up."""

    def ask(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        if not self.sync:
            return asyncio.run(_asked(model, prompt, self.streaming, call))
        if self.streaming:
            return reduce(operator.add, model.stream(prompt, **call))
        return model.invoke(prompt, **call)

    async def soon(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        return await _asked(model, prompt, self.streaming, call)

    def text(self, model: Any, prompt: Any = QUESTION, **call: Any) -> str:
        return str(self.ask(model, prompt, **call).text)

    def open(self, model: Any) -> Generator[Any, None, None]:
        chunks: Generator[Any, None, None] = model.stream(QUESTION)
        return chunks

    async def aopen(self, model: Any) -> AsyncGenerator[Any, None]:
        chunks: AsyncGenerator[Any, None] = model.astream(QUESTION)
        return chunks


WHOLE = Way("whole", streaming=False, sync=True)
STREAM = Way("stream", streaming=True, sync=True)
ASYNC_WHOLE = Way("async whole", streaming=False, sync=False)
ASYNC_STREAM = Way("async stream", streaming=True, sync=False)
WAYS = (WHOLE, STREAM)
LANES = (WHOLE, ASYNC_WHOLE)


def over(fact: Fact, *ways: Way) -> dict[str, Part]:
    """Return a part for each way: whole and streamed unless others are named."""
    return by_way(fact, *(ways or WAYS))


def lanes(fact: Fact) -> dict[str, Part]:
    """Return the parts "sync" and "async" of a fact about streams."""
    return {"sync": alone(fact, STREAM), "async": alone(fact, ASYNC_STREAM)}


def one(fact: Fact, way: Way = STREAM) -> Part:
    """Return the part that looks at one way."""
    return alone(fact, way)


def said(
    subject: Subject, server: FaultServer, way: Way, answer: Answer | None = None, **given: Any
) -> Any:
    """Return a chat model's message for an answer of the service."""
    server.replies(way.reply(subject.wire, answer))
    return way.ask(subject.chat_model(server, **given))


def answered(
    model: Any, reply: Reply, server: FaultServer, way: Way = WHOLE, prompt: Any = QUESTION
) -> Any:
    """Return the body that a call sent, as JSON."""
    return asking.answered(model, reply, server, way, prompt)
