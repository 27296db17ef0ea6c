"""Connections: httpx clients of our own, and closing them under whoever may still read.

The only module that imports httpx.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import nullcontext, suppress
from contextvars import copy_context
from functools import cache
from typing import Any, TypeVar

import httpx

from qaip_core.connection import Settings
from qaip_core.errors import ConfigurationError

__all__ = [
    "CANCEL_SECONDS",
    "Pool",
    "aside",
    "async_client",
    "close_all",
    "close_with_loop",
    "finish",
    "tell",
]

H = TypeVar("H")

CANCEL_SECONDS = 1.0
"""How long a farewell may take."""

# Never through a proxy, whatever the address that the client was made for.
_DIRECT: Mapping[str, Any] = dict.fromkeys(
    ("all://localhost", "all://*.localhost", "all://127.0.0.1", "all://[::1]")
)
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=30)


@cache
def _tls() -> Any:
    """Return the default TLS context; loading the CAs takes 20 ms, once."""
    return httpx.create_ssl_context()


def _own_client(kind: Callable[..., H], settings: Settings) -> H:
    """Return a client of our own.

    Nothing for this machine goes through a proxy: a key may go there in clear text only
    because it stays here.
    """
    try:
        return kind(verify=_tls(), limits=_LIMITS, mounts=_DIRECT, trust_env=not settings.is_local)
    except (ImportError, ValueError, OSError, httpx.InvalidURL):  # their text may hold a password
        raise ConfigurationError(
            "the environment's proxies (HTTPS_PROXY, ALL_PROXY, NO_PROXY; socks:// needs "
            "httpx[socks]) or certificates (SSL_CERT_FILE, SSL_CERT_DIR) cannot be used",
            service=settings.backend.name,
        ) from None


def async_client(settings: Settings) -> httpx.AsyncClient:
    """Return an async client of our own."""
    return _own_client(httpx.AsyncClient, settings)


class Pool:
    """An httpx client of our own, and the sockets that it has opened.

    Parameters:
        process: the one that opens them. A forked child must not write to them.
        settings: from `Connection.settings`.
    """

    def __init__(self, process: int, settings: Settings) -> None:
        self.http = _own_client(httpx.Client, settings)
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
    with nullcontext(given) if given else _own_client(httpx.Client, settings) as http:
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


async def close_with_loop(http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Close a client when its event loop shuts down, or when nobody holds it any more.

    Event loops close the async generators that are still open, before they end: so the
    connections are closed in time, without any call by the user.
    """
    try:
        yield
    finally:
        await http.aclose()
