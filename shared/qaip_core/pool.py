"""Connections: httpx clients of our own, and closing them under whoever may still read.

The only module that imports httpx, and not before the first client is made: that takes longer
than everything else here together.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import nullcontext, suppress
from contextvars import copy_context
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from qaip_core.connection import Settings
from qaip_core.errors import ConfigurationError
from qaip_core.surroundings import unusable

if TYPE_CHECKING:
    import httpx

__all__ = [
    "CANCEL_SECONDS",
    "AsyncPools",
    "Pool",
    "aside",
    "close_all",
    "close_with_loop",
    "finish",
    "tell",
]

H = TypeVar("H")

_CALLS = 16
"""Calls that share an httpx client: a call looks at the connections of all, for each of them."""

_KEPT = 4
"""How many such clients stay open for later calls."""

CANCEL_SECONDS = 1.0
"""How long a farewell may take."""

# Never through a proxy, whatever the address that the client was made for.
_DIRECT: Mapping[str, Any] = dict.fromkeys(
    ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")
)
_LIMITS: Mapping[str, Any] = {
    "max_connections": None,
    "max_keepalive_connections": 100,
    "keepalive_expiry": 30,
}


@cache
def _tls(*, verify: bool) -> ssl.SSLContext:
    """Return a TLS context; loading the CAs of the default one takes 20 ms, once."""
    import httpx

    return httpx.create_ssl_context(verify=verify)


def _own_client(kind: Callable[..., H], settings: Settings) -> H:
    """Return a client of our own.

    Nothing for this machine goes through a proxy: a key may go there in clear text only
    because it stays here.
    """
    import httpx

    limits = httpx.Limits(**_LIMITS)
    given = settings.verify  # a context is the user's, and not kept any longer than he does
    local = {"trust_env": False} if settings.is_local else {"mounts": _DIRECT}
    try:
        proof = _tls(verify=given) if isinstance(given, bool) else given
        return cast("H", _sparing(kind)(verify=proof, limits=limits, **local))
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        raise ConfigurationError(  # not in its words, which may hold a password
            unusable(error), service=settings.backend.name, anchor="a-corporate-proxy"
        ) from None


@cache
def _sparing(kind: Any) -> Any:
    """Return a class of clients which look for cookies only in responses that bring some.

    httpx's own look into each, which takes a tenth of a whole call.
    """
    import httpx

    class Cookies(httpx.Cookies):
        def extract_cookies(self, response: httpx.Response) -> None:
            if "set-cookie" in response.headers:
                super().extract_cookies(response)

    def cookies(_client: object) -> Cookies:
        return Cookies()

    return type(kind.__name__, (kind,), {"cookies": cached_property(cookies)})


def _client(settings: Settings) -> httpx.Client:
    import httpx

    return _own_client(httpx.Client, settings)


def async_client(settings: Settings) -> httpx.AsyncClient:
    """Return an async client of our own."""
    import httpx

    return _own_client(httpx.AsyncClient, settings)


class Pool:
    """An httpx client of our own, and the sockets that it has opened.

    Parameters:
        process: the one that opens them. A forked child must not write to them.
        settings: from `Connection.settings`.
    """

    def __init__(self, process: int, settings: Settings) -> None:
        self.http = _client(settings)
        self.is_closed = False
        self._process = process
        self._users: set[object] = set()
        self._sockets: set[weakref.ref[socket.socket]] = set()
        # So the collector cannot take the sockets before the streams that would close them.
        weakref.finalize(self, self.http.close).atexit = False

    def opened(self, sock: socket.socket) -> None:
        """Take note of a new connection."""
        self._sockets.add(weakref.ref(sock, self._sockets.discard))
        if self.is_closed:  # in the meantime, by another thread
            _hang_up(sock)

    def enter(self, user: object) -> bool:
        """Keep the connections for one who uses them; tell whether they can still be used."""
        self._users.add(user)
        return not self.is_closed

    def leave(self, user: object) -> None:
        """Use them no longer; the last one ends what was closed in the meantime."""
        self._users.discard(user)
        if self.is_closed:
            self._end()

    def dismiss(self) -> None:
        """Forget users: what they still hold will not be read."""
        self._users.clear()

    def close(self) -> None:
        """End all connections, in a child without a sign to the service."""
        if self._process != os.getpid():
            aside(self.http.close)  # a thread of the parent may have held its lock
            return
        self.is_closed = True
        for reference in self._sockets.copy():
            if sock := reference():
                _hang_up(sock)
        self._end()

    def _end(self) -> None:
        # Never under a thread that reads: the number of its socket could be given to another one.
        if not self._users:
            self.http.close()


def _hang_up(sock: socket.socket) -> None:
    """End a connection under a thread that waits for it: closing alone would not wake it up."""
    with suppress(OSError):  # it is closed
        # Not SSLSocket's own method, which would take TLS from under that thread.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def close_all(pools: dict[int, Pool], besides: int | None = None) -> None:
    """Close and forget pools: in a forked child, also its copies of its parent's."""
    for process in list(pools):
        if process != besides and (pool := pools.pop(process, None)):
            pool.close()


def finish(pools: dict[int, Pool]) -> None:
    """Close all, when nobody has the client any more, or the interpreter ends."""
    for pool in pools.values():
        pool.dismiss()
    close_all(pools)


def tell(settings: Settings, url: str, headers: Mapping[str, str], content: bytes) -> None:
    """Send a request whose answer does not matter.

    Without a client that was handed in it has a connection of its own: the others may be about
    to be closed, with their event loop or by another thread.
    """
    given = settings.http_client
    with nullcontext(given) if given else _client(settings) as http:
        request = http.stream("POST", url, headers=headers, content=content, timeout=CANCEL_SECONDS)
        with request:
            pass  # what it says could go on for ever


def aside(act: Callable[[], None]) -> None:
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
        thread.join(CANCEL_SECONDS)


class AsyncPools:
    """The httpx clients of one event loop, each for so many calls at a time.

    httpx looks at all connections of a client when a call begins, and when it ends: with a
    thousand in one that would cost more than what comes over them.

    Parameters:
        settings: from `Connection.settings`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._calls: dict[httpx.AsyncClient, int] = {}

    @property
    def first(self) -> httpx.AsyncClient:
        """A client to hand on, whose calls are not counted."""
        if not self._calls:
            self._calls[async_client(self._settings)] = 0
        return next(iter(self._calls))

    def enter(self) -> httpx.AsyncClient:
        """Return a client for one call."""
        free = (http for http, calls in self._calls.items() if calls < _CALLS)
        http = next(free, None) or async_client(self._settings)
        self._calls[http] = self._calls.get(http, 0) + 1
        return http

    async def leave(self, http: httpx.AsyncClient) -> None:
        """Give a client back after a call; of those without any, a few stay open."""
        if http not in self._calls:  # closed in the meantime
            return
        self._calls[http] -= 1
        if not self._calls[http] and http is not self.first and len(self._calls) > _KEPT:
            del self._calls[http]
            await asyncio.shield(http.aclose())  # a call that is cancelled does not interrupt it

    async def aclose(self) -> None:
        """Close all; whoever reads from one gets an error at once."""
        while self._calls:
            http, _ = self._calls.popitem()
            await http.aclose()


_OPEN: dict[AsyncPools, asyncio.AbstractEventLoop] = {}
"""Held until they are closed: the collector would close their sockets behind the event loop's back,
which would then take the next connection with the number of one of them for that one."""


async def close_with_loop(pools: AsyncPools) -> AsyncGenerator[None, None]:
    """Close connections when their event loop shuts down, or when nobody holds them any more.

    Event loops close the async generators that are still open, before they end: so the
    connections are closed in time, without any call by the user.
    """
    for known, loop in _OPEN.copy().items():
        if loop.is_closed():  # without a word to its generators
            _OPEN.pop(known, None)
    _OPEN[pools] = asyncio.get_running_loop()
    try:
        yield
    finally:
        try:
            await pools.aclose()
        finally:
            _OPEN.pop(pools, None)
