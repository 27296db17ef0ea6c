"""LlamaIndex's ways to ask a model, and what its responses say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import ChatMessage
from pydantic import BaseModel, PrivateAttr

from support.fault_server import FaultServer, Reply
from support.peers import asking
from support.peers.asking import QUESTION, Fact, alone, by_way, holds, paced
from support.peers.check import Part
from support.peers.replies import Answer
from support.peers.subject import Subject

__all__ = [
    "ACHAT",
    "ASTREAM",
    "CHAT",
    "CHATS",
    "COMPLETE",
    "COMPLETES",
    "LANES",
    "STREAM",
    "STREAM_COMPLETE",
    "WAYS",
    "Way",
    "asked",
    "known",
    "lanes",
    "over",
    "recorded",
    "said",
    "tells",
]


@dataclass(frozen=True)
class Way(asking.Way):
    """One of the eight calls of an LLM; its name is the method's."""

    plain: bool = False

    def all(self, model: Any, prompt: Any = QUESTION, **call: Any) -> list[Any]:
        """Return every response: one, or those of a stream."""
        if not self.sync:
            return asyncio.run(self._all_soon(model, prompt, **call))
        found = getattr(model, self.name)(self._prompt(prompt), **call)
        return list(found) if self.streaming else [found]

    async def _all_soon(self, model: Any, prompt: Any, **call: Any) -> list[Any]:
        found = await getattr(model, self.name)(self._prompt(prompt), **call)
        return [response async for response in found] if self.streaming else [found]

    def _prompt(self, prompt: Any) -> Any:
        if self.plain or not isinstance(prompt, str):
            return prompt
        return [ChatMessage(role="user", content=prompt)]

    def ask(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        return _last(self.all(model, prompt, **call))

    async def soon(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        return _last(await self._all_soon(model, prompt, **call))

    def text(self, model: Any, prompt: Any = QUESTION, **call: Any) -> str:
        return self.said_by(self.ask(model, prompt, **call))

    def said_by(self, response: Any) -> str:
        """Return the text of a response."""
        return str(response.text if self.plain else response.message.content)

    def open(self, model: Any) -> Generator[Any, None, None]:
        responses: Generator[Any, None, None] = getattr(model, self.name)(self._prompt(QUESTION))
        return responses

    async def aopen(self, model: Any) -> AsyncGenerator[Any, None]:
        found = await getattr(model, self.name)(self._prompt(QUESTION))
        responses: AsyncGenerator[Any, None] = found
        return responses

    def reply(self, wire: Any, answer: Answer | None = None) -> Reply:
        reply = super().reply(wire, answer)
        return paced(reply) if self.streaming and not self.sync else reply

    def served(self, subject: Subject, answer: Answer | None = None) -> Reply:
        """Return what the subject's service answers to this call."""
        return self.reply(subject.text_wire if self.plain else subject.wire, answer)


def _last(responses: list[Any]) -> Any:
    assert responses, "there is no response"
    return responses[-1]


def _way(name: str) -> Way:
    streaming, plain = "stream" in name, name.endswith("complete")
    return Way(name, streaming=streaming, sync=not name.startswith("a"), plain=plain)


CHAT, STREAM, ACHAT, ASTREAM = CHATS = tuple(
    map(_way, ("chat", "stream_chat", "achat", "astream_chat"))
)
COMPLETE, STREAM_COMPLETE, _, _ = COMPLETES = tuple(
    map(_way, ("complete", "stream_complete", "acomplete", "astream_complete"))
)
WAYS = (CHAT, STREAM)
LANES = (CHAT, ACHAT)


def over(fact: Fact, *ways: Way) -> dict[str, Part]:
    """Return a part for each way: `chat` and `stream_chat` unless others are named."""
    return by_way(fact, *(ways or WAYS))


def lanes(fact: Fact) -> dict[str, Part]:
    """Return the parts "sync" and "async" of a fact about streams."""
    return {"sync": alone(fact, STREAM), "async": alone(fact, ASTREAM)}


def said(
    subject: Subject, server: FaultServer, way: Way, answer: Answer | None = None, **given: Any
) -> Any:
    """Return the whole response to an answer of the service."""
    server.replies(way.served(subject, answer))
    return way.ask(subject.chat_model(server, **given))


def asked(subject: Subject, server: FaultServer, prompt: Any = QUESTION, **given: Any) -> Any:
    """Return the body that `chat` sends, as JSON."""
    model = subject.chat_model(server, **given)
    return asking.answered(model, CHAT.served(subject), server, CHAT, prompt)


def known(response: Any) -> list[Any]:
    """Return all that a response says, wherever: raw, additional_kwargs, its message."""
    message = getattr(response, "message", None)
    return [_plain(response.raw), response.additional_kwargs, message and _plain(message)]


def _plain(found: Any) -> Any:
    return found.model_dump() if isinstance(found, BaseModel) else found


def tells(value: Any, answer: Answer | None = None) -> Callable[[Any, Any, Any], None]:
    """Return the fact that a value is told somewhere in the response."""

    def fact(subject: Subject, server: FaultServer, way: Way) -> None:
        assert holds(known(said(subject, server, way, answer)), value), f"{value!r} is nowhere"

    return fact


class _Recorder(BaseEventHandler):
    _events: list[Any] = PrivateAttr(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._events.append(event)


@contextmanager
def recorded() -> Iterator[list[Any]]:
    """Record the events that LlamaIndex's instrumentation sends in the meantime."""
    root, recorder = get_dispatcher(), _Recorder()
    root.add_event_handler(recorder)
    try:
        yield recorder._events
    finally:
        root.event_handlers.remove(recorder)
