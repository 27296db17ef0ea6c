"""The server: a socket that listens, and an end that waits for nobody."""

import asyncio
import logging
import os
import socket
import threading
from contextlib import suppress
from typing import Any

import uvicorn
from starlette.types import ASGIApp

__all__ = ["Server", "listen"]

# A stop cancels what is still being answered, which uvicorn would print with its traceback.
logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the address or the port cannot be used; the message names both.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only for sockets that name TCP; with it on, every second
    # small write of a stream would wait 40 ms for an acknowledgement.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"{error.strerror}: {host}, port {port}") from error
    return listener


class Server(uvicorn.Server):
    """A server that says when it listens, and that ends without waiting for its clients."""

    def __init__(self, app: ASGIApp, ready: threading.Event) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                access_log=False,
                server_header=False,
            )
        )
        self._ready = ready
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """End the server, from another thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._ending.set)

    def hang_up(self, client: Any) -> None:
        """Cut the connection of the client with this address, within the server's thread."""
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == tuple(client):
                connection.transport.abort()

    async def main_loop(self) -> None:
        """Serve until the end, then drop the connections that are left."""
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        while not self._ending.is_set():
            # Refreshes the Date header; the wait replaces a poll every tenth of a second.
            await self.on_tick(0)
            try:
                await asyncio.wait_for(self._ending.wait(), 1)
            except TimeoutError:
                continue
        self.force_exit = True
        # A client accepted just now needs some turns, and an open server, to become a connection.
        for listener in [known for server in self.servers for known in server.sockets]:
            with suppress(NotImplementedError):  # event loops without readers
                self._loop.remove_reader(listener.fileno())
        for _ in range(4):
            await asyncio.sleep(0)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
