"""Ways to ask a model, whatever its framework, and what to look for in its answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from support.fault_server import FaultServer, Reply
from support.peers.check import Part
from support.peers.replies import Answer
from support.peers.subject import Subject

__all__ = [
    "QUESTION",
    "Fact",
    "Way",
    "alone",
    "answered",
    "by_way",
    "error_of",
    "holds",
    "limited",
    "paced",
]

QUESTION = "When was the lamp lit?"


@dataclass(frozen=True)
class Way(ABC):
    """One of the ways to get an answer."""

    name: str
    streaming: bool
    sync: bool

    @abstractmethod
    def ask(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        """Return the whole answer; that of a stream when it has ended."""

    @abstractmethod
    async def soon(self, model: Any, prompt: Any = QUESTION, **call: Any) -> Any:
        """Do the same in an event loop."""

    @abstractmethod
    def text(self, model: Any, prompt: Any = QUESTION, **call: Any) -> str:
        """Ask, and return the text of the answer."""

    @abstractmethod
    def open(self, model: Any) -> Generator[Any, None, None]:
        """Return a stream that nobody has read yet."""

    @abstractmethod
    async def aopen(self, model: Any) -> AsyncGenerator[Any, None]:
        """Do the same in an event loop."""

    def reply(self, wire: Any, answer: Answer | None = None) -> Reply:
        """Return what the service answers to it."""
        return wire.stream(answer) if self.streaming else wire.whole(answer)


Fact = Callable[[Subject, FaultServer, Any], None]


def alone(fact: Fact, way: Way) -> Part:
    """Return a fact of one way as a part."""
    return partial(_by, fact, way)


def by_way(fact: Fact, *ways: Way) -> dict[str, Part]:
    """Return a part for each way, under its name."""
    return {way.name: alone(fact, way) for way in ways}


def _by(fact: Fact, way: Way, subject: Subject, server: FaultServer) -> None:
    fact(subject, server, way)


def answered(
    model: Any, reply: Reply, server: FaultServer, way: Way, prompt: Any = QUESTION
) -> Any:
    """Return the body that a call sent, as JSON."""
    server.replies(reply)
    way.ask(model, prompt)
    return server.requests[0].json()


def paced(reply: Reply) -> Reply:
    """Return a stream that begins a moment after its headers, as those of services do."""
    body = [reply.body] if isinstance(reply.body, bytes) else reply.body
    return replace(reply, body=[0.02, *body])


def limited(subject: Subject, server: FaultServer, seconds: float) -> Any:
    """Return a model whose time limits are short, by its attribute if there is no parameter."""
    limits = {"timeout": seconds} if subject.takes("timeout") else {}
    model = subject.chat_model(server, **limits, **subject.by("idle", seconds))
    if not limits:
        model.timeout = seconds
    return model


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
