"""Which settings and which connections a call uses.

Settings are read from the environment at every call. Connections are shared by all calls of a
process (sync), or of an event loop (async), whatever their keys, addresses and timeouts.
"""

from __future__ import annotations

import math
import os
import sys
import threading
from dataclasses import replace

from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.client import AsyncClient, Client
from qaip_core.connection import Connection, Settings
from qaip_core.fireworks_api.errors import InvalidParameterError

__all__ = ["async_client", "client", "settings"]

_POOLS: dict[int, Client] = {}
"""By process: a forked child must not write to its parent's sockets."""


def _pool() -> Settings:
    return Settings(backend=FIREWORKS, base_url="")


class _AsyncPools(threading.local):
    """One for each thread, since event loops belong to threads."""

    def __init__(self) -> None:
        self.own = AsyncClient(_pool())


_ASYNC_POOLS = _AsyncPools()


def settings(request_timeout: float | None) -> Settings:
    """Return the settings of one call, from the environment.

    Parameters:
        request_timeout: seconds of silence allowed, before an answer and between the events of
            a stream (connecting: at most 10); None for no limit.

    Raises:
        InvalidParameterError: the timeout is no number above 0.
        ConfigurationError: there is no key, or the base URL cannot be used.
    """
    seconds = request_timeout
    if seconds is not None and not (isinstance(seconds, int | float) and 0 < seconds < math.inf):
        raise InvalidParameterError("request_timeout must be a number of seconds above 0")
    package = sys.modules[__name__.rpartition(".")[0]]
    said = vars(package)  # `fireworks_api.api_key = ...`, as the client has it
    return Connection(
        api_key=said.get("api_key"),
        base_url=said.get("base_url"),
        timeout=seconds,
        stream_idle_timeout=seconds,
    ).settings(FIREWORKS)


def client(own: Settings) -> Client:
    """Return a client with these settings, over the connections of this process."""
    pool = _POOLS.setdefault(os.getpid(), Client(_pool()))  # atomic: threads agree on one
    return Client(replace(own, http_client=pool.http()))


async def async_client(own: Settings) -> AsyncClient:
    """Return a client with these settings, over the connections of this event loop."""
    return AsyncClient(replace(own, http_async_client=await _ASYNC_POOLS.own.http()))
