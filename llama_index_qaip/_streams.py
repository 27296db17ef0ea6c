"""Streams of growing answers, and those who listen to them.

LlamaIndex's decorators make an event of each response, at twice the price of the response
itself. While nobody listens to events these streams are read past the decorator, which is shown
the first response, the last, and the error, if any: so all else that it does is done.

It hands the exception that ends a stream to every handler. One that keeps it (`LlamaDebugHandler`
does) keeps its frames, and what they hold: so here the connection is let go of by name.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

from llama_index.core.instrumentation.event_handlers import NullEventHandler
from llama_index.core.llms.callbacks import llm_chat_callback
from llama_index_instrumentation import get_dispatcher

from llama_index_qaip._answers import Growth, Shape
from qaip_core.types import Increment

__all__ = ["Growing", "GrowingAsync", "streamed", "streamed_async"]

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R")
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Growing(Generator[R, None, None]):
    """An answer as it grows, as LlamaIndex's decorator reads it.

    Parameters:
        increments: what it grows by.
        shape: the form of the responses.

    Attributes:
        grow: returns the response of the next increment.
        missed: a response that was read past the decorator, and is yet to be shown to it.
    """

    def __init__(self, increments: Generator[Increment, None, None], shape: Shape[R]) -> None:
        self.increments = increments
        self.grow = Growth(shape).add
        self.missed: R | None = None

    def __next__(self) -> R:
        missed, self.missed = self.missed, None
        return self.grow(next(self.increments)) if missed is None else missed

    def send(self, value: None) -> R:  # noqa: ARG002 -- nothing can be told to a stream
        return next(self)

    def throw(self, *error: Any) -> R:
        self.increments.close()
        raise error[0]


class GrowingAsync(AsyncGenerator[R, None]):
    """What `Growing` is for sync streams.

    No generator function: an event loop that ends closes all async generators at once, so that
    one which awaits the end of another would find it running.
    """

    def __init__(self, increments: AsyncGenerator[Increment, None], shape: Shape[R]) -> None:
        self.increments = increments
        self.grow = Growth(shape).add
        self.missed: R | None = None

    async def __anext__(self) -> R:
        missed, self.missed = self.missed, None
        return self.grow(await anext(self.increments)) if missed is None else missed

    async def asend(self, value: None) -> R:  # noqa: ARG002 -- nothing can be told to a stream
        return await anext(self)

    async def athrow(self, *error: Any) -> R:
        await self.increments.aclose()
        raise error[0]


def streamed(tell: Decorator) -> Callable[[F], F]:
    """Return a decorator for methods that return a `Growing`.

    Parameters:
        tell: LlamaIndex's own decorator for them.
    """

    def decorate(method: F) -> F:
        @wraps(method)
        def stream(llm: Any, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
            begun: list[Growing[Any]] = []

            def begin(*args: Any, **kwargs: Any) -> Growing[Any]:
                begun.append(method(*args, **kwargs))
                return begun[0]

            told = tell(begin)(llm, *args, **kwargs)
            return _read(begun[0], told)

        return cast("F", stream)

    return decorate


def streamed_async(tell: Decorator) -> Callable[[F], F]:
    """Return a decorator for coroutine methods that return a `GrowingAsync`; see `streamed`."""

    def decorate(method: F) -> F:
        @wraps(method)
        async def stream(llm: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            begun: list[GrowingAsync[Any]] = []

            async def begin(*args: Any, **kwargs: Any) -> GrowingAsync[Any]:
                begun.append(await method(*args, **kwargs))
                return begun[0]

            told = await tell(begin)(llm, *args, **kwargs)
            return _aread(begun[0], told)

        return cast("F", stream)

    return decorate


def _read(stream: Growing[R], told: Generator[R, None, None]) -> Generator[R, None, None]:
    dispatchers = _dispatchers()
    try:
        for response in told:
            try:
                yield response
                if _is_heard(dispatchers):
                    continue
                for increment in stream.increments:
                    stream.missed = late = stream.grow(increment)
                    if _is_last(increment) or _is_heard(dispatchers):
                        break
                    yield late
            except GeneratorExit as leaving:
                with suppress(GeneratorExit):
                    told.throw(leaving)
                leaving.__traceback__ = None  # some handlers keep it
                return
            except BaseException as error:
                told.throw(error)
                raise
    finally:
        stream.increments.close()


async def _aread(stream: GrowingAsync[R], told: AsyncGenerator[R, None]) -> AsyncGenerator[R, None]:
    dispatchers = _dispatchers()
    try:
        async for response in told:
            try:
                yield response
                if _is_heard(dispatchers):
                    continue
                async for increment in stream.increments:
                    stream.missed = late = stream.grow(increment)
                    if _is_last(increment) or _is_heard(dispatchers):
                        break
                    yield late
            except GeneratorExit as leaving:
                with suppress(GeneratorExit, StopAsyncIteration):  # the latter: closed already
                    await told.athrow(leaving)
                leaving.__traceback__ = None  # some handlers keep it
                return
            except BaseException as error:
                with suppress(StopAsyncIteration):  # it was closed already
                    await told.athrow(error)
                raise
    finally:
        await stream.increments.aclose()


def _dispatchers() -> Sequence[Any]:
    """Return those whose handlers hear of the events of LlamaIndex's decorators."""
    found = [get_dispatcher(llm_chat_callback.__module__)]
    while found[-1].propagate:
        found.append(found[-1].parent)
    return found


def _is_heard(dispatchers: Sequence[Any]) -> bool:
    for dispatcher in dispatchers:
        for handler in dispatcher.event_handlers:
            if type(handler) is not NullEventHandler:
                return True
    return False


def _is_last(increment: Increment) -> bool:
    return not isinstance(increment, str) and increment.last
