"""`Client` and `AsyncClient`: all that does I/O.

Both drive the same steps of `qaip_core.flow`; they differ in ``await`` only.
"""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from functools import cache, partial
from typing import Any, cast

from pydantic import SecretStr

from qaip_core.backend import Endpoint, T
from qaip_core.calls import Caller
from qaip_core.connection import Settings
from qaip_core.errors import (
    ConfigurationError,
    MalformedResponseError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
)
from qaip_core.failures import failure
from qaip_core.flow import Admit, Call, Drain, Failure, Head, Pause, Read, Send, Step, fetch, run
from qaip_core.operation import Operation
from qaip_core.packing import apieces, pieces
from qaip_core.pool import (
    CANCEL_SECONDS,
    AsyncPools,
    Pool,
    aside,
    close_all,
    close_with_loop,
    finish,
    tell,
)
from qaip_core.types import Completion, Increment, Prompt, add_up

__all__ = ["AsyncClient", "Client"]

_STALE_SECONDS = 0.25  # a service that fails later than that may have been at work
_SENDS = "http11.send_request_headers", "http2.send_request_headers"
_NO_RESPONSE = "Server disconnected without sending a response"
_DRAIN_SECONDS = 0.25
_LEFT = ServiceTimeoutError, MalformedResponseError
_CLOSED = "the connections were closed, in another thread or task"
_LEFT_STREAM = "the stream was closed in another task"


class _Connections:
    """Notes whether a request goes out on a connection kept from an earlier one.

    httpx's own transports report what they do; of others nothing is known. They also keep this
    object, as long as the connection: so it must not hold the client, which closes them.

    Parameters:
        pool: is told of new ones.
    """

    def __init__(self, pool: Pool | None = None) -> None:
        self._pool = pool
        self._extensions: dict[str, Any] = {}
        self._began = time.monotonic()
        self._new: bool | None = None

    def left(self, error: Exception) -> bool:
        """Tell whether the service had closed a kept connection before the request came."""
        silent = "ReadError", "WriteError"
        return (
            self._new is False
            and time.monotonic() - self._began < _STALE_SECONDS
            and (type(error).__name__ in silent or str(error).startswith(_NO_RESPONSE))
        )

    def begin(self, request: Any, note: Callable[[str, Any], Any]) -> None:
        """Let a transport report what it does for a request."""
        self._extensions = request.extensions
        self._extensions["trace"] = note

    def end(self) -> None:
        """Let it report no more: each report has its price."""
        if getattr(self._extensions.get("trace"), "__self__", None) is self:  # not a caller's own
            del self._extensions["trace"]

    def note(self, event: str, info: Any) -> None:
        if self._new is None and event.startswith(_SENDS):
            self._new = False
            self.end()
            return
        self._new = bool(self._new) or ".connect_" in event
        if self._pool and hasattr(stream := info.get("return_value"), "get_extra_info"):
            self._pool.opened(stream.get_extra_info("socket"))

    async def anote(self, event: str, info: Any) -> None:
        self.note(event, info)


def _allow_idle(request: Any, step: Send) -> None:
    """Once a stream has begun, silence is measured by the idle limit, not by ``timeout``."""
    if step.stream:
        request.extensions["timeout"]["read"] = step.idle_timeout


def _head(response: Any) -> Head:
    headers: dict[str, str] = {}
    encoding = response.headers.encoding
    for raw_name, raw_value in response.headers.raw:
        name, value = raw_name.decode(encoding).lower(), raw_value.decode(encoding)
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(response.status_code, headers)


# When the reads of this thread, or task, must have ended. It is not kept with the connection: that
# goes back to the pool with the last read, where another thread may take it up at once.
_END: ContextVar[float | None] = ContextVar("_END", default=None)


@cache
def _hurrying(kind: Any) -> Any:
    """Return a class of connections whose reads end in time."""

    def read(self: Any, size: int, timeout: float | None = None) -> Any:
        if (end := _END.get()) is not None:
            left = max(end - time.monotonic(), 0.001)
            timeout = left if timeout is None else min(left, timeout)
        return kind.read(self, size, timeout=timeout)

    return type(kind.__name__, (kind,), {"read": read, "hurried": True})


class _Transaction:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = os.getpid()
        self._http: Any = None
        self._pool: Pool | None = None
        self._response: Any = None
        self._chunks: Any = None
        self._secret: SecretStr | None = None
        self._connections = _Connections()

    @property
    def is_inherited(self) -> bool:
        """Whether it is a copy in a forked child: the original goes on in the parent."""
        return self._process != os.getpid()

    def _failed(self, error: Exception) -> Failure:
        closed = getattr(self._pool or self._http, "is_closed", False)
        if closed and type(error) is RuntimeError:  # raised before anything is sent
            return self._closed()
        if type(error) is RuntimeError and "loop" in str(error) and self._is_given:
            words = "http_async_client belongs to another event loop: pass one for each, or none"
            return Failure(ConfigurationError(words), error)
        stale = self._response is None and not closed and self._connections.left(error)
        found = failure(error, self._settings.base_url, stale=stale)
        if closed and not self._is_given and isinstance(found.error, ServiceConnectionError):
            return Failure(ServiceConnectionError(_CLOSED), error)
        return found

    @property
    def _is_given(self) -> bool:
        given = self._settings.http_client, self._settings.http_async_client
        return self._http is not None and self._http in given

    def _closed(self) -> Failure:
        if self._is_given:
            return Failure(ConfigurationError("the client that was handed in is closed"), None)
        words = f"{_CLOSED}, before the request"
        return Failure(ServiceConnectionError(words, unsent=True), None, stale=True)

    @contextmanager
    def _hurried(self, seconds: float) -> Iterator[None]:
        """Let the reads of the response's connection end in time, each and together."""
        if self._response.http_version.startswith("HTTP/1"):  # alone on its connection
            stream = self._response.extensions.get("network_stream")
            if hasattr(stream, "read") and not hasattr(stream, "hurried"):
                with suppress(TypeError):  # of other transports nothing is known
                    stream.__class__ = _hurrying(stream.__class__)
        _END.set(time.monotonic() + seconds)
        try:
            yield
        finally:
            _END.set(None)

    def redact(self, error: ServiceError) -> None:
        """Remove the key from an error, in case the service has echoed it."""
        if self._secret is not None:
            error.redact(self._secret.get_secret_value())


class Client(Caller):
    """Talks to one service over a pool of connections.

    Parameters:
        settings: from `Connection.settings`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._own: dict[int, Pool] = {}  # by process
        weakref.finalize(self, finish, self._own)

    def complete(self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]) -> Completion:
        """Return the whole answer; see `call` for the parameters.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        call = self.call(endpoint, prompt, values, stream=False, bare=True)
        return add_up(list(self._drive(call)))

    def stream(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> Generator[Completion, None, None]:
        """Return the increments of the answer; the last one has ``last`` set.

        Raises:
            ServiceError: see `qaip_core.errors`; what had arrived is in its ``partial``.
        """
        call = self.call(endpoint, prompt, values, stream=True)
        return cast("Generator[Completion, None, None]", self._drive(call))

    def pieces(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> Generator[Increment, None, None]:
        """Return what `stream` does, but plain text as a bare ``str``: most of what comes is."""
        return self._drive(self.call(endpoint, prompt, values, stream=True, bare=True))

    def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what an operation answers.

        Parameters:
            operation: what is asked for.
            values: its parameters by their Python names.

        Raises:
            InvalidParameterError: a parameter is unknown, out of range, or missing.
            ServiceError: see `qaip_core.errors`.
        """
        steps = fetch(self.asking(operation, values or {}), operation)
        exchange = _Exchange(self)
        reply: Any = None
        try:
            while True:
                reply = exchange.perform(steps.send(reply))
        except StopIteration as stop:
            return cast("T", stop.value)
        except ServiceError as error:
            exchange.redact(error)
            raise
        finally:
            exchange.close()

    def close(self) -> None:
        """Close the connections that were opened here; the client can be used again.

        Whoever reads from one, in another thread, gets an error at once.
        """
        close_all(self._own)

    def _drive(self, call: Call) -> Generator[Increment, None, None]:
        exchange = _Exchange(self)
        steps = run(call)
        reply: Any = None
        try:
            while True:
                step = steps.send(reply)
                if type(step) is list:
                    yield from step
                    reply = None
                else:
                    reply = exchange.perform(step)
        except StopIteration:
            return
        except ServiceError as error:
            exchange.redact(error)
            if isinstance(error, _LEFT):  # the service runs on
                self._leave(exchange, call)
            raise
        except GeneratorExit:
            aside(partial(self._leave, exchange, call))
            raise
        except BaseException:
            self._leave(exchange, call)
            raise
        finally:
            exchange.close()

    def _leave(self, exchange: _Exchange, call: Call) -> None:
        """Hang up, and tell a service that would run on, and be billed, without a reader."""
        exchange.close()
        request = None if exchange.is_inherited else self.cancellation(call)
        if request is None:
            return
        url, content = request
        with suppress(Exception):  # the caller has left: nobody to tell
            headers = self.headers(call.headers, self.settings.key_now())
            tell(self.settings, url, headers, content)

    def http(self) -> Any:
        """Return the caller's httpx client, or our own, made at the first call."""
        if self.settings.http_client is not None:
            return self.settings.http_client
        return self.pool().http

    def pool(self) -> Pool:
        """Return our own connections, made at the first call of a process."""
        process = os.getpid()
        known = self._own.get(process)
        if known is None:
            made = Pool(process, self.settings)
            known = self._own.setdefault(process, made)  # atomic: threads agree on one
            close_all(self._own, besides=process)
            if known is not made:
                made.close()
        return known


class _Exchange(_Transaction):
    """One request and its response at a time."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.settings)
        self._client = client

    def perform(self, step: Step) -> Any:
        try:
            if type(step) is Read:  # first, since it is by far the most frequent
                if step.seconds is None:
                    return next(self._chunks, b"") or self._ended()
                with self._hurried(step.seconds):
                    return next(self._chunks, b"") or self._ended()
            if type(step) is Send:
                return self._send(step)
            if type(step) is Drain:
                return self._drain()
            self.close()
            if type(step) is Pause:
                return time.sleep(step.seconds)
            return self._admit(cast("Admit", step))
        except Exception as error:
            if type(step) is Admit:
                raise
            return self._failed(error)

    def _admit(self, step: Admit) -> None:
        step.gate.admit(step.service)

    def _ended(self) -> bytes:
        """Return the end of the body, unless it is `Client.close` that has ended it."""
        if self._pool is not None and self._pool.is_closed:
            raise ServiceConnectionError(_CLOSED)
        self._response.close()  # the connection is free, while the last increment is handed out
        return b""

    def _send(self, step: Send) -> Head:
        self.close()
        self._http = http = self._settings.http_client or self._enter().http
        key = self._settings.key_now()
        self._secret = SecretStr(key) if key else None
        own = self._pool is not None
        request = self._client.request(http, step, key, own=own)
        del key  # a traceback may be printed with the values of its frames
        self._connections = connections = _Connections(self._pool)
        connections.begin(request, connections.note)
        try:
            self._response = http.send(request, stream=True, follow_redirects=False)
        finally:
            connections.end()
        _allow_idle(request, step)
        self._chunks = pieces(self._response, own=own)
        return _head(self._response)

    def _enter(self) -> Pool:
        while True:
            self._pool = pool = self._client.pool()
            if pool.enter(self):
                return pool
            pool.leave(self)  # another thread has closed it

    def _drain(self) -> None:
        end = time.monotonic() + _DRAIN_SECONDS
        with self._hurried(_DRAIN_SECONDS):
            for _ in self._chunks:
                if time.monotonic() > end:
                    return

    def close(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        pool, self._pool = self._pool, None
        try:
            if response is not None:
                response.close()
        finally:
            if pool is not None:
                pool.leave(self)


class AsyncClient(Caller):
    """Talks to one service over a pool of connections for each event loop.

    Parameters:
        settings: from `Connection.settings`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._own: weakref.WeakKeyDictionary[Any, tuple[AsyncPools, AsyncGenerator[None, None]]] = (
            weakref.WeakKeyDictionary()
        )

    async def complete(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> Completion:
        """Return the whole answer; see `call` for the parameters.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        call = self.call(endpoint, prompt, values, stream=False, bare=True)
        async with aclosing(self._increments(call)) as increments:
            return add_up([increment async for increment in increments])

    def stream(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> AsyncGenerator[Completion, None]:
        """Return the increments of the answer; the last one has ``last`` set.

        Raises:
            ServiceError: see `qaip_core.errors`; what had arrived is in its ``partial``.
        """
        increments: Any = self._increments(self.call(endpoint, prompt, values, stream=True))
        return cast("AsyncGenerator[Completion, None]", increments)

    def pieces(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> AsyncGenerator[Increment, None]:
        """Return what `stream` does, but plain text as a bare ``str``: most of what comes is."""
        return self._increments(self.call(endpoint, prompt, values, stream=True, bare=True))

    async def fetch(self, operation: Operation[T], values: Mapping[str, Any] | None = None) -> T:
        """Return what an operation answers.

        Parameters:
            operation: what is asked for.
            values: its parameters by their Python names.

        Raises:
            InvalidParameterError: a parameter is unknown, out of range, or missing.
            ServiceError: see `qaip_core.errors`.
        """
        steps = fetch(self.asking(operation, values or {}), operation)
        exchange = _AsyncExchange(self)
        reply: Any = None
        try:
            while True:
                reply = await exchange.perform(steps.send(reply))
        except StopIteration as stop:
            return cast("T", stop.value)
        except ServiceError as error:
            exchange.redact(error)
            raise
        finally:
            await exchange.close()

    async def close(self) -> None:
        """Close the connections that were opened in this event loop.

        Whoever reads from one, in another task, gets an error at once.
        """
        own = self._own.pop(asyncio.get_running_loop(), None)
        if own is not None:
            await own[1].aclose()

    def _increments(self, call: Call) -> _Increments:
        exchange = _AsyncExchange(self)
        leave = partial(self._leave, exchange, call)
        return _Increments(self._drive(call, exchange), exchange, leave)

    async def _drive(self, call: Call, exchange: _AsyncExchange) -> AsyncGenerator[Increment, None]:
        steps = run(call)
        reply: Any = None
        try:
            while True:
                step = steps.send(reply)
                if type(step) is list:
                    for increment in step:
                        yield increment
                    reply = None
                else:
                    reply = await exchange.perform(step)
        except StopIteration:
            return
        except ServiceError as error:
            exchange.redact(error)
            if isinstance(error, _LEFT):  # the service runs on
                await self._leave(exchange, call)
            raise
        except BaseException:
            await self._leave(exchange, call)
            raise
        finally:
            exchange.left = True
            await exchange.close()

    async def _leave(self, exchange: _AsyncExchange, call: Call) -> None:
        """Hang up, and tell a service that would run on, and be billed, without a reader."""
        if exchange.left:
            return
        exchange.left = True
        await exchange.close()
        request = None if exchange.is_inherited else self.cancellation(call)
        if request is None:
            return
        url, content = request
        with suppress(Exception):  # the caller has left: nobody to tell
            async with asyncio.timeout(CANCEL_SECONDS):
                headers = self.headers(call.headers, await self.settings.key_soon())
                given = self.settings.http_async_client
                if given is None:  # in a thread: an event loop that ends begins nothing more
                    await asyncio.to_thread(tell, self.settings, url, headers, content)
                else:
                    request = given.stream("POST", url, headers=headers, content=content)
                    async with request:
                        pass  # what it says could go on for ever

    async def http(self) -> Any:
        """Return the caller's httpx client, or one of our own for this loop."""
        return self.settings.http_async_client or (await self.pool()).first

    async def pool(self) -> AsyncPools:
        """Return our own connections for this event loop, made at its first call."""
        loop = asyncio.get_running_loop()
        known = self._own.get(loop)
        if known is None:
            self._forget_ended()
            pools = AsyncPools(self.settings)
            keeper = close_with_loop(pools)
            self._own[loop] = known = pools, keeper
            await anext(keeper)
        return known[0]

    def _forget_ended(self) -> None:
        for reference in self._own.keyrefs():  # a list: other threads may have loops of their own
            loop = reference()
            if loop is not None and loop.is_closed():
                self._own.pop(loop, None)


class _Increments(AsyncGenerator[Increment, None]):
    """A stream of increments which, unlike a generator, may be closed while it is being closed.

    The garbage collector, and an event loop that ends, close all generators of a chain at once,
    and the outer ones close the inner ones, too. So what takes time is done here, outside of
    the generator, which is then closed in one step.
    """

    def __init__(
        self,
        driven: AsyncGenerator[Increment, None],
        exchange: _AsyncExchange,
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        self._driven: Any = driven
        self._exchange = exchange
        self._leave = leave

    def __anext__(self) -> Any:
        return self._driven.__anext__()

    def asend(self, value: None) -> Any:
        return self._driven.asend(value)

    def athrow(self, *error: Any) -> Any:
        return self._driven.athrow(*error)

    async def aclose(self) -> None:
        if self._exchange.left:
            return
        await self._leave()
        if not self._driven.ag_running:  # else another task reads: it gets an error
            await self._driven.aclose()


class _AsyncExchange(_Transaction):
    """One request and its response at a time.

    Attributes:
        left: whether nobody reads any more.
    """

    def __init__(self, client: AsyncClient) -> None:
        super().__init__(client.settings)
        self._client = client
        self._pools: AsyncPools | None = None
        self.left = False

    async def perform(self, step: Step) -> Any:
        try:
            if type(step) is Read:  # first, since it is by far the most frequent
                if step.seconds is None:
                    return await anext(self._chunks, b"") or await self._ended()
                with self._hurried(step.seconds):
                    return await anext(self._chunks, b"") or await self._ended()
            if type(step) is Send:
                return await self._send(step)
            if type(step) is Drain:
                return await self._drain()
            await self.close()
            if type(step) is Pause:
                return await asyncio.sleep(step.seconds)
            return await self._admit(cast("Admit", step))
        except Exception as error:
            if type(step) is Admit:
                raise
            return self._failed(error)

    async def _admit(self, step: Admit) -> None:
        await step.gate.aadmit(step.service)
        if self.left:  # nobody would read what is sent now
            raise ServiceConnectionError(_LEFT_STREAM)

    async def _ended(self) -> bytes:
        if self._response is not None:  # else another task has left the stream
            await self._response.aclose()
        return b""

    async def _send(self, step: Send) -> Head:
        await self.close()
        self._http = http = self._settings.http_async_client or await self._enter()
        key = await self._settings.key_soon()
        self._secret = SecretStr(key) if key else None
        own = self._pools is not None
        request = self._client.request(http, step, key, own=own)
        del key  # a traceback may be printed with the values of its frames
        self._connections = connections = _Connections()
        connections.begin(request, connections.anote)
        try:
            self._response = await http.send(request, stream=True, follow_redirects=False)
        finally:
            connections.end()
        if self.left:  # in the meantime, in another task
            raise ServiceConnectionError(_LEFT_STREAM)
        _allow_idle(request, step)
        self._chunks = apieces(self._response, own=own)
        return _head(self._response)

    async def _enter(self) -> Any:
        pools = await self._client.pool()
        http = pools.enter()
        self._pools = pools
        return http

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in self._chunks:
                    pass

    async def close(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        pools, self._pools = self._pools, None
        try:
            if response is not None:
                await response.aclose()
        finally:
            if pools is not None:
                await pools.leave(self._http)
