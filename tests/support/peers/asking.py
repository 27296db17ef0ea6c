"""Ways to ask a model, and what to look for in its answer."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

from support.fault_server import FaultServer, Reply
from support.peers.check import Part
from support.peers.replies import Answer
from support.peers.subjects import Subject

__all__ = [
    "ASYNC_STREAM",
    "ASYNC_WHOLE",
    "LANES",
    "QUESTION",
    "STREAM",
    "WAYS",
    "WHOLE",
    "Way",
    "answered",
    "error_of",
    "holds",
    "lanes",
    "over",
    "said",
]

QUESTION = "When was the lamp lit?"


async def _asked(model: Any, prompt: Any, streaming: bool, call: Mapping[str, Any]) -> Any:
    if not streaming:
        return await model.ainvoke(prompt, **call)
    return reduce(operator.add, [chunk async for chunk in model.astream(prompt, **call)])


@dataclass(frozen=True)
class Way:
    """One of the four ways to get an answer."""

    name: str
    streaming: bool
    sync: bool

    def ask(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        """Return the whole message; the chunks of a stream added up."""
        if not self.sync:
            return asyncio.run(_asked(model, prompt, self.streaming, call))
        if self.streaming:
            return reduce(operator.add, model.stream(prompt, **call))
        return model.invoke(prompt, **call)

    async def soon(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        return await _asked(model, prompt, self.streaming, call)

    def reply(self, wire: Any, answer: Answer | None = None) -> Reply:
        return wire.stream(answer) if self.streaming else wire.whole(answer)


WHOLE = Way("whole", streaming=False, sync=True)
STREAM = Way("stream", streaming=True, sync=True)
ASYNC_WHOLE = Way("async whole", streaming=False, sync=False)
ASYNC_STREAM = Way("async stream", streaming=True, sync=False)
WAYS = (WHOLE, STREAM)
LANES = (WHOLE, ASYNC_WHOLE)

Fact = Callable[[Subject, FaultServer, Way], None]


def over(fact: Fact, *ways: Way) -> dict[str, Part]:
    """Return a part for each way: whole and streamed unless others are named."""
    return {way.name: partial(_by, fact, way) for way in ways or WAYS}


def lanes(fact: Fact) -> dict[str, Part]:
    """Return the parts "sync" and "async" of a fact about streams."""
    return {"sync": partial(_by, fact, STREAM), "async": partial(_by, fact, ASYNC_STREAM)}


def _by(fact: Fact, way: Way, subject: Subject, server: FaultServer) -> None:
    fact(subject, server, way)


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
    server.replies(reply)
    way.ask(model, prompt)
    return server.requests[0].json()


def error_of(do: Callable[[], Any]) -> Exception:
    """Return the error that something raises; that it raises none fails the check."""
    try:
        result = do()
    except Exception as error:  # noqa: BLE001 -- its class is what is looked at
        return error
    raise AssertionError(f"no error, but {result!r}"[:300])


def holds(found: Any, value: Any) -> bool:
    """Tell whether a value stands anywhere in nested data."""
    return any(item == value for item in _leaves(found))


def _leaves(found: Any) -> Iterator[Any]:
    yield found
    if isinstance(found, Mapping):
        found = list(found.values())
    if isinstance(found, list | tuple):
        for item in found:
            yield from _leaves(item)
