"""Calling what is under test: sync and async alike, streams gathered, clients closed."""

# ruff: noqa: S101 -- what is asserted here is a part of facts

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from llama_index_qaip.testing._leaving import left, left_async
from llama_index_qaip.testing._script import Service

__all__ = [
    "CHATS",
    "KEY",
    "QUESTION",
    "STREAMS",
    "TEXTS",
    "Bench",
    "Failure",
    "asked",
    "both_lanes",
    "every_call",
    "every_chat",
    "every_stream",
    "every_stream_chat",
    "every_text",
    "every_whole",
    "every_whole_chat",
    "text_of",
]

KEY = "key-3f9a0c51d7"
"""The key that the suite gives to what is under test, and looks for everywhere."""

QUESTION = "When was the lamp lit?"
_PATIENCE = 5.0
"""Seconds after which an async call counts as stuck."""

CHATS = ("chat", "achat", "stream_chat", "astream_chat")
TEXTS = ("complete", "acomplete", "stream_complete", "astream_complete")
STREAMS = tuple(name for name in CHATS + TEXTS if "stream" in name)


def _over(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("call", names)


every_call = _over(*CHATS, *TEXTS)
every_chat = _over(*CHATS)
every_text = _over(*TEXTS)
every_stream = _over(*STREAMS)
every_whole = _over(*(name for name in CHATS + TEXTS if "stream" not in name))
every_whole_chat = _over("chat", "achat")
every_stream_chat = _over("stream_chat", "astream_chat")
both_lanes = pytest.mark.parametrize("a", ["", "a"], ids=["sync", "async"])
"""``a`` is what the name of an async method begins with."""


@dataclass(frozen=True)
class Failure:
    """How a call failed, and what it had given before."""

    error: Exception
    seen: list[Any]


def asked(call: str) -> Any:
    """Return the question in the form that a call takes."""
    return [ChatMessage(QUESTION)] if "chat" in call else QUESTION


def text_of(response: Any) -> Any:
    """Return the text of a response of either kind."""
    return response.message.content if hasattr(response, "message") else response.text


class Bench:
    """Makes what is under test over a service, and calls it.

    Parameters:
        make: makes one; it is given the service's URL.
        service: the service.
    """

    def __init__(self, make: Callable[..., Any], service: Service) -> None:
        self.service = service
        self._make = make
        self._made: list[Any] = []
        self._runner: asyncio.Runner | None = None

    def make(self, **fields: Any) -> Any:
        """Return a new one, which is closed at the end of the test."""
        return self.keep(self._make(self.service.url, **fields))

    def keep(self, made: Any) -> Any:
        """Return something that is closed at the end of the test."""
        self._made.append(made)
        return made

    def ask(self, call: str, prompt: Any = QUESTION, llm: Any = None, **call_kwargs: Any) -> Any:
        """Return all responses of a call of an LLM in a list; a whole answer is a list of one."""
        argument = [ChatMessage(prompt)] if "chat" in call and isinstance(prompt, str) else prompt
        answer = self.call(self.make() if llm is None else llm, call, argument, **call_kwargs)
        return answer if "stream" in call else [answer]

    def last(self, call: str, prompt: Any = QUESTION, llm: Any = None, **call_kwargs: Any) -> Any:
        """Return the last response of a call: the one that has everything."""
        return self.ask(call, prompt, llm, **call_kwargs)[-1]

    def call(self, target: Any, name: str, *args: Any, a: str | None = None, **kwargs: Any) -> Any:
        """Return what a method gives: awaited, and in a list if it gives an iterator.

        Parameters:
            a: "a" for an async method, "" for a sync one; what its name begins with, if None.
        """
        return self._call([], target, name, *args, a=a, **kwargs)

    def fails(self, target: Any, name: str, *args: Any, **kwargs: Any) -> Failure:
        """Return how a method fails; that it does not fails the test."""
        seen: list[Any] = []
        if name in CHATS + TEXTS and not args:
            args = (asked(name),)
        try:
            given = self._call(seen, target, name, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 -- its class is what is looked at
            return Failure(error, seen)
        pytest.fail(f"no error, but {str(given)[:200]!r}")

    def _call(
        self,
        seen: list[Any],
        target: Any,
        name: str,
        *args: Any,
        a: str | None = None,
        **kwargs: Any,
    ) -> Any:
        def begin() -> Any:
            return getattr(target, name)(*args, **kwargs)

        if a or (a is None and name.startswith("a")):
            return self.run(_settled(begin, seen))
        given = begin()
        if isinstance(given, Iterator):
            seen.extend(given)
            return seen
        return given

    def run(self, work: Any) -> Any:
        """Run a coroutine in the loop of this test."""
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.run(_hurried(work))

    def beats(self, target: Any, name: str, *args: Any) -> int:
        """Return how often another task got its turn while an async call waited."""

        async def work() -> int:
            beats = 0

            async def beat() -> None:
                nonlocal beats
                while True:
                    await asyncio.sleep(0.005)
                    beats += 1

            beating = asyncio.create_task(beat())
            await _settled(lambda: getattr(target, name)(*args), [])
            beating.cancel()
            return beats

        found: int = self.run(work())
        return found

    def first(self, target: Any, name: str, *args: Any) -> Any:
        """Return the first response of a stream that has text; the stream is then left."""

        async def work() -> Any:
            stream = await getattr(target, name)(*args)
            try:
                async for response in stream:
                    if response.delta:
                        return response
            finally:
                await stream.aclose()

        if name.startswith("a"):
            return self.run(work())
        with closing(getattr(target, name)(*args)) as stream:
            return next((response for response in stream if response.delta), None)

    def unread(self, target: Any, name: str, *args: Any) -> None:
        """Ask for a stream, and leave it unread."""

        async def work() -> None:
            stream = await getattr(target, name)(*args)
            await stream.aclose()

        if name.startswith("a"):
            self.run(work())
        else:
            stream = getattr(target, name)(*args)
            assert isinstance(stream, Generator), "LlamaIndex's decorators need a generator"
            stream.close()

    def frees(self, how: str, target: Any, name: str, *args: Any, **kwargs: Any) -> bool:
        """Tell whether the connection is free 0.5 s after a call was left.

        No garbage collector helps meanwhile: it may run at any time, or never.

        Parameters:
            how: "close", "break", or (async) "cancel".
        """

        def begin() -> Any:
            return getattr(target, name)(*args, **kwargs)

        return self.left(how, begin, a=name.startswith("a"))

    def left(self, how: str, begin: Callable[[], Any], *, a: bool) -> bool:
        """Tell whether the connection of what begins is free 0.5 s after it was left."""
        gc.disable()
        try:
            if a:
                return bool(self.run(left_async(self.service, how, begin)))
            return left(self.service, how, begin)
        finally:
            gc.enable()

    def sent(self, data: bytes) -> bool:
        """Tell whether bytes were sent: in base64, or uploaded as they are."""
        asides = getattr(self.service, "asides", ())  # of `Loopback` alone
        forms = (base64.b64encode(data).decode(), data.decode("latin-1"))
        return any(r.says(form) for r in (*self.service.requests, *asides) for form in forms)

    def close(self) -> None:
        """Close everything that was made."""
        for made in self._made:
            if self._runner is not None and hasattr(made, "aclose"):
                self._runner.run(made.aclose())
            elif hasattr(made, "close"):
                made.close()
        if self._runner is not None:
            self._runner.close()


async def _settled(begin: Callable[[], Any], seen: list[Any]) -> Any:
    given = begin()
    if inspect.isawaitable(given):
        given = await given
    if not isinstance(given, AsyncIterator):
        return given
    async for item in given:
        seen.append(item)  # noqa: PERF401 -- an error must not lose them
    return seen


async def _hurried(work: Any) -> Any:
    async with asyncio.timeout(_PATIENCE):
        return await work
