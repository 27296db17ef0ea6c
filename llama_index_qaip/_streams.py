"""Streams that let go of their connection when their reader leaves, whoever keeps what.

LlamaIndex's callback decorators hand the exception that ends a stream to every handler. One
that keeps it (`LlamaDebugHandler` does) keeps its traceback, so the frames, so the stream
inside the decorator's: which then stays open. Here the reader's exception loses its traceback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar, cast

__all__ = ["freed", "freed_async"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def freed(method: F) -> F:
    """Decorate a method that returns a decorated generator."""

    @wraps(method)
    def stream(*args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        return _read(method(*args, **kwargs))

    return cast("F", stream)


def freed_async(method: F) -> F:
    """Decorate a coroutine method that returns a decorated async generator."""

    @wraps(method)
    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        return _aread(await method(*args, **kwargs))

    return cast("F", stream)


def _read(traced: Generator[T, None, None]) -> Generator[T, None, None]:
    try:
        for response in traced:  # noqa: UP028 -- `yield from` would close it with another exception
            yield response
    except GeneratorExit as leaving:
        with suppress(GeneratorExit):
            traced.throw(leaving)
        leaving.__traceback__ = None


async def _aread(traced: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    try:
        async for response in traced:
            yield response
    except GeneratorExit as leaving:
        with suppress(GeneratorExit, StopAsyncIteration):  # the latter: it was closed already
            await traced.athrow(leaving)
        leaving.__traceback__ = None
