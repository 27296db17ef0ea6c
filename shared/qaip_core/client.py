"""`Client` and `AsyncClient`: the only module that does I/O.

Both drive the same steps of `qaip_core.flow`; they differ in ``await`` only.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from contextvars import copy_context
from functools import cache, partial
from typing import Any, cast

import httpx
from pydantic import SecretStr

from qaip_core.backend import Endpoint, Listing, T
from qaip_core.calls import Caller
from qaip_core.connection import Settings
from qaip_core.errors import (
    ConfigurationError,
    MalformedResponseError,
    ServiceConnectionError,
    ServiceError,
    ServiceTimeoutError,
)
from qaip_core.flow import Call, Failure, Head, Pause, Read, Send, Step, fetch, run
from qaip_core.types import Completion, Prompt, add_up

__all__ = ["AsyncClient", "Client"]

_CANCEL_SECONDS = 1.0
_STALE_SECONDS = 1.0  # a service that fails later than that may have been at work
_NO_RESPONSE = "Server disconnected without sending a response"
_DRAIN_SECONDS = 0.25
# Never through a proxy: a key may go there in clear text only because it stays on this machine.
_DIRECT: Mapping[str, Any] = dict.fromkeys(
    ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")
)
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30)

# By class name, since a caller's client may be of httpx or of its fork httpx2:
# our class, and whether the request cannot have been served.
_FAILURES: Mapping[str, tuple[type[ServiceError], bool]] = {
    "ConnectTimeout": (ServiceTimeoutError, True),
    "PoolTimeout": (ServiceTimeoutError, True),
    "TimeoutException": (ServiceTimeoutError, False),
    "ConnectError": (ServiceConnectionError, True),
    "ProxyError": (ServiceConnectionError, True),
    "LocalProtocolError": (ConfigurationError, True),
    "UnsupportedProtocol": (ConfigurationError, True),
    "InvalidURL": (ConfigurationError, True),
    "DecodingError": (MalformedResponseError, False),
    "TransportError": (ServiceConnectionError, False),
    "StreamError": (ServiceConnectionError, False),
}
# A configuration error's own text could hold a header's value: it is not repeated.
_ADVICE: Mapping[type[ServiceError], str] = {
    ServiceTimeoutError: "{url} did not answer in time ({what}); raise timeout if it needs longer",
    ServiceConnectionError: "the connection to {url} failed ({what}); check base_url, the network "
    "and proxies",
    ConfigurationError: "the request to {url} could not be made; check base_url and headers",
    MalformedResponseError: "the body from {url} could not be decompressed ({what})",
}


@cache
def _tls() -> Any:
    """Return the default TLS context; loading the CAs takes 20 ms, once."""
    return httpx.create_ssl_context()


class _Connections:
    """Notes whether a request goes out on a connection kept from an earlier one.

    httpx's own transports report what they do; of others nothing is known.
    """

    def __init__(self) -> None:
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

    def note(self, event: str, _info: Any) -> None:
        self._new = bool(self._new) or ".connect_" in event

    async def anote(self, event: str, _info: Any) -> None:
        self.note(event, _info)


def _failure(error: Exception, settings: Settings, *, stale: bool) -> Failure:
    """Translate a transport library's error; raise what is none of theirs.

    Parameters:
        stale: whether the request went out on a kept connection that the service had left.
    """
    names = [c.__name__ for c in type(error).__mro__]
    known = next((_FAILURES[n] for n in names if n in _FAILURES), None)
    if known is None or not type(error).__module__.startswith("httpx"):
        raise error
    kind, unsent = known
    unsent = unsent or (stale and kind is ServiceConnectionError)
    what = str(error) or names[0]
    ours = kind(_ADVICE[kind].format(url=settings.base_url, what=what), unsent=unsent)
    return Failure(ours, None if kind is ConfigurationError else error)


def _allow_idle(request: Any, step: Send) -> None:
    """Once a stream has begun, silence is measured by the idle limit, not by ``timeout``."""
    if step.stream:
        request.extensions["timeout"]["read"] = step.idle_timeout


def _head(response: Any) -> Head:
    return Head(response.status_code, {k.lower(): v for k, v in response.headers.items()})


class _Transaction:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._response: Any = None
        self._chunks: Any = None
        self._secret: SecretStr | None = None
        self._connections = _Connections()

    def _stale(self, error: Exception) -> bool:
        return self._response is None and self._connections.left(error)

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
        self._lock = threading.Lock()
        self._own: httpx.Client | None = None
        self._release: Any = None

    def complete(self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]) -> Completion:
        """Return the whole answer; see `call` for the parameters.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return add_up(list(self._drive(self.call(endpoint, prompt, values, stream=False))))

    def stream(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> Generator[Completion, None, None]:
        """Return the increments of the answer; the last one has ``last`` set.

        Raises:
            ServiceError: see `qaip_core.errors`; what had arrived is in its ``partial``.
        """
        return self._drive(self.call(endpoint, prompt, values, stream=True))

    def fetch(self, listing: Listing[T]) -> T:
        """Return what a read-only operation answers.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        steps = fetch(self.reading(listing), listing.decode)
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
        """Close the connections that were opened here; the client can be used again."""
        if self._release is not None:
            self._release()
        self._own = self._release = None

    def _drive(self, call: Call) -> Generator[Completion, None, None]:
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
            if isinstance(error, ServiceTimeoutError):
                self._leave(exchange, call)
            raise
        except GeneratorExit:
            _aside(partial(self._leave, exchange, call))
            raise
        except BaseException:
            self._leave(exchange, call)
            raise
        finally:
            exchange.close()

    def _leave(self, exchange: _Exchange, call: Call) -> None:
        """Hang up, and tell a service that would run on, and be billed, without a reader."""
        exchange.close()
        request = self.cancellation(call)
        if request is None:
            return
        url, content = request
        with suppress(Exception):  # the caller has left: nobody to tell
            headers = self.headers(call.headers, self.settings.key_now())
            self.http().post(url, headers=headers, content=content, timeout=_CANCEL_SECONDS)

    def http(self) -> Any:
        """Return the caller's httpx client, or our own, made at the first call."""
        if self.settings.http_client is not None:
            return self.settings.http_client
        with self._lock:  # two threads may make their first call at once
            if self._own is None:
                self._own = httpx.Client(verify=_tls(), limits=_LIMITS, mounts=_DIRECT)
                self._release = weakref.finalize(self, self._own.close)
            return self._own


def _aside(act: Callable[[], None]) -> None:
    """Do something in a thread of its own, and wait for it, but not for ever.

    The garbage collector may close an abandoned stream in the middle of anything, also while
    this very thread holds the lock of the pool that the connection goes back to.
    """
    if sys.is_finalizing():  # no other thread runs any more
        act()
        return
    thread = threading.Thread(target=copy_context().run, args=(act,), daemon=True)
    try:
        thread.start()
    except RuntimeError:  # there are no more threads to be had
        act()
    else:
        thread.join(_CANCEL_SECONDS)


@contextmanager
def _hurried(stream: Any, end: float) -> Iterator[None]:
    """Let the reads of a connection end in time: a sync read cannot be interrupted."""
    read = getattr(stream, "read", None)
    if read is None:  # no connection, or one that is shared
        yield
        return
    stream.read = lambda size, **_: read(size, timeout=max(end - time.monotonic(), 0.001))
    try:
        yield
    finally:
        del stream.read


class _Exchange(_Transaction):
    """One request and its response at a time."""

    def __init__(self, client: Client) -> None:
        super().__init__(client.settings)
        self._client = client

    def perform(self, step: Step) -> Any:
        try:
            if type(step) is Read:  # first, since it is by far the most frequent
                return next(self._chunks, b"")
            if type(step) is Send:
                return self._send(step)
            if type(step) is Pause:
                self.close()
                return time.sleep(step.seconds)
            return self._drain()
        except Exception as error:  # noqa: BLE001 -- re-raised if it is not the transport's
            return _failure(error, self._settings, stale=self._stale(error))

    def _send(self, step: Send) -> Head:
        self.close()
        http = self._client.http()
        key = self._settings.key_now()
        self._secret = SecretStr(key) if key else None
        request = self._client.request(http, step, key)
        del key  # a traceback may be printed with the values of its frames
        self._connections = _Connections()
        request.extensions["trace"] = self._connections.note
        self._response = http.send(request, stream=True, follow_redirects=False)
        _allow_idle(request, step)
        self._chunks = self._response.iter_bytes()
        return _head(self._response)

    def _drain(self) -> None:
        end = time.monotonic() + _DRAIN_SECONDS
        alone = self._response.http_version.startswith("HTTP/1")  # on its connection
        stream = self._response.extensions.get("network_stream") if alone else None
        with _hurried(stream, end):
            for _ in self._chunks:
                if time.monotonic() > end:
                    return

    def close(self) -> None:
        response, self._response, self._chunks = self._response, None, None
        if response is not None:
            response.close()


class AsyncClient(Caller):
    """Talks to one service over a pool of connections for each event loop.

    Parameters:
        settings: from `Connection.settings`.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._own: weakref.WeakKeyDictionary[Any, tuple[Any, AsyncGenerator[None, None]]] = (
            weakref.WeakKeyDictionary()
        )
        self._lock = threading.Lock()

    async def complete(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> Completion:
        """Return the whole answer; see `call` for the parameters.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        call = self.call(endpoint, prompt, values, stream=False)
        async with aclosing(self._drive(call)) as increments:
            return add_up([increment async for increment in increments])

    def stream(
        self, endpoint: Endpoint, prompt: Prompt, values: Mapping[str, Any]
    ) -> AsyncGenerator[Completion, None]:
        """Return the increments of the answer; the last one has ``last`` set.

        Raises:
            ServiceError: see `qaip_core.errors`; what had arrived is in its ``partial``.
        """
        return self._drive(self.call(endpoint, prompt, values, stream=True))

    async def fetch(self, listing: Listing[T]) -> T:
        """Return what a read-only operation answers.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        steps = fetch(self.reading(listing), listing.decode)
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
        """Close the connections that were opened in this event loop."""
        with self._lock:
            own = self._own.pop(asyncio.get_running_loop(), None)
        if own is not None:
            await own[1].aclose()

    async def _drive(self, call: Call) -> AsyncGenerator[Completion, None]:
        exchange = _AsyncExchange(self)
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
            if isinstance(error, ServiceTimeoutError):
                await self._leave(exchange, call)
            raise
        except BaseException:
            await self._leave(exchange, call)
            raise
        finally:
            await exchange.close()

    async def _leave(self, exchange: _AsyncExchange, call: Call) -> None:
        """Hang up, and tell a service that would run on, and be billed, without a reader."""
        await exchange.close()
        request = self.cancellation(call)
        if request is None:
            return
        url, content = request
        with suppress(Exception):  # the caller has left: nobody to tell
            async with asyncio.timeout(_CANCEL_SECONDS):
                headers = self.headers(call.headers, await self.settings.key_soon())
                http = await self.http()
                await http.post(url, headers=headers, content=content)

    async def http(self) -> Any:
        """Return the caller's httpx client, or our own for this loop, made at the first call."""
        if self.settings.http_async_client is not None:
            return self.settings.http_async_client
        loop = asyncio.get_running_loop()
        with self._lock:  # other threads may have loops of their own
            known = self._own.get(loop)
            for ended in [old for old in self._own if old.is_closed()]:
                del self._own[ended]
        if known is None:
            http = httpx.AsyncClient(verify=_tls(), limits=_LIMITS, mounts=_DIRECT)
            keeper = _close_with_loop(http)
            with self._lock:
                self._own[loop] = known = http, keeper
            await anext(keeper)
        return known[0]


async def _close_with_loop(http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Close a client when its event loop shuts down, or when nobody holds it any more.

    Event loops close the async generators that are still open, before they end: so the
    connections are closed in time, without any call by the user.
    """
    try:
        yield
    finally:
        await http.aclose()


class _AsyncExchange(_Transaction):
    """One request and its response at a time."""

    def __init__(self, client: AsyncClient) -> None:
        super().__init__(client.settings)
        self._client = client

    async def perform(self, step: Step) -> Any:
        try:
            if type(step) is Read:  # first, since it is by far the most frequent
                return await anext(self._chunks, b"")
            if type(step) is Send:
                return await self._send(step)
            if type(step) is Pause:
                await self.close()
                return await asyncio.sleep(step.seconds)
            return await self._drain()
        except Exception as error:  # noqa: BLE001 -- re-raised if it is not the transport's
            return _failure(error, self._settings, stale=self._stale(error))

    async def _send(self, step: Send) -> Head:
        await self.close()
        http = await self._client.http()
        key = await self._settings.key_soon()
        self._secret = SecretStr(key) if key else None
        request = self._client.request(http, step, key)
        del key  # a traceback may be printed with the values of its frames
        self._connections = _Connections()
        request.extensions["trace"] = self._connections.anote
        self._response = await http.send(request, stream=True, follow_redirects=False)
        _allow_idle(request, step)
        self._chunks = self._response.aiter_bytes()
        return _head(self._response)

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                async for _ in self._chunks:
                    pass

    async def close(self) -> None:
        if self._response is not None:
            response, self._response, self._chunks = self._response, None, None
            await response.aclose()
