"""Streams that let go of their connection when their reader leaves, whoever keeps what.

LlamaIndex's callback decorators hand the exception that ends a stream to every handler. One
that keeps it (`LlamaDebugHandler` does) keeps its traceback, so the frames, so the stream
inside the decorator's: which then stays open. Here the reader's exception loses its traceback.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ["freed", "freed_async"]

P = ParamSpec("P")
T = TypeVar("T")


def freed(
    method: Callable[P, Generator[T, None, None]],
) -> Callable[P, Generator[T, None, None]]:
    """Decorate a method that returns a decorated generator."""

    @wraps(method)
    def stream(*args: P.args, **kwargs: P.kwargs) -> Generator[T, None, None]:
        return _read(method(*args, **kwargs))

    return stream


def freed_async(
    method: Callable[P, Coroutine[Any, Any, AsyncGenerator[T, None]]],
) -> Callable[P, Any]:  # mypy and pyright disagree on what an async method returns
    """Decorate a coroutine method that returns a decorated async generator."""

    @wraps(method)
    async def stream(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, None]:
        return _aread(await method(*args, **kwargs))

    return stream


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
        with suppress(GeneratorExit):
            await traced.athrow(leaving)
        leaving.__traceback__ = None
