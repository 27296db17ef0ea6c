"""The sandbox: five services on loopback, answering from a folder of documents."""

import asyncio
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import uvicorn

from .app import Record, create_app
from .documents import Chunk, Document, read_folder
from .index import Index
from .protocols import SERVICES
from .service import Library, Options

__all__ = ["Sandbox"]


class Sandbox:
    """An offline server for Qaip, Fireworks, PAIS, Perplexity and Dify.

    It runs in a thread of its own. Use it as a context manager, sync or async, or call `start` and
    `stop`. It may be started again after it was stopped.

    Args:
        folder: The folder whose text and Markdown files the services answer from. It is read once,
            at the start.
        host: The address to listen on.
        port: The port to listen on, 0 for any free one.
        pace: The time between two pieces of a stream, in seconds, 0 or more.
        ping_every: The silence in a stream after which a service that sends keep-alives (PAIS,
            Perplexity, Dify) sends one, in seconds, above 0.
        perplexity_profile: The shape of Perplexity's answers: that of June 2026, "seed" for that
            of 2024, or "retired" for the refusal that valid keys get since September 2026.
        qaip_profile: The generation of Qaip's parameters and citations.

    Attributes:
        requests: What the services were asked, oldest first. It outlives a stop.
        documents: The documents as they were read; empty before the first start.
        chunks: The passages of the documents that answers are quoted from.

    Raises:
        ValueError: a time or the port is out of range.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        pace: float = 0.0,
        ping_every: float = 10.0,
        perplexity_profile: Literal["2026-06", "seed", "retired"] = "2026-06",
        qaip_profile: Literal["later", "seed"] = "later",
    ) -> None:
        if pace < 0 or ping_every <= 0:
            raise ValueError("pace must be 0 or more, ping_every above 0 seconds")
        if not 0 <= port <= 65535:
            raise ValueError("port must be between 0 and 65535")
        self.requests: list[Record] = []
        self.documents: tuple[Document, ...] = ()
        self.chunks: tuple[Chunk, ...] = ()
        self._folder = Path(folder)
        self._address = (host, port)
        self._options = Options(pace, ping_every, perplexity_profile, qaip_profile)
        self._url = ""
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None
        self._failure: Exception | None = None

    @property
    def url(self) -> str:
        """The root address, without a trailing slash.

        Raises:
            RuntimeError: the sandbox has not been started.
        """
        if not self._url:
            raise RuntimeError("the sandbox has no address before it is started")
        return self._url

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that point every client at the sandbox, keys included."""
        variables: dict[str, str] = {}
        for service in SERVICES:
            variables[service.base_url_name] = self.url + service.base_path
            variables |= service.keys
        return variables

    def start(self) -> Self:
        """Read the folder and begin to listen.

        Raises:
            NotADirectoryError: the folder does not exist.
            OSError: the port is in use, or a file cannot be read.
            RuntimeError: the sandbox is running already.
        """
        if self._thread:
            raise RuntimeError("the sandbox is running already")
        self.documents = tuple(read_folder(self._folder))
        self.chunks = tuple(chunk for document in self.documents for chunk in document.chunks())
        host, port = self._address
        listener = _listen(host, port)
        shown = f"[{host}]" if ":" in host else host
        self._url = f"http://{shown}:{listener.getsockname()[1]}"
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, ready), name="qaip-sandbox", daemon=True
        )
        self._thread.start()
        ready.wait()
        if self._failure:
            self.stop()
        return self

    def stop(self) -> None:
        """Close every connection, also those in the middle of a stream, and end the thread.

        Raises:
            RuntimeError: the server had failed.
        """
        server = self._server
        if server:
            server.end()
        if self._thread:
            self._thread.join()
        failure, self._failure = self._failure, None
        self._thread = self._server = None
        if failure:
            raise RuntimeError("the sandbox failed") from failure

    def _run(self, listener: socket.socket, ready: threading.Event) -> None:
        try:
            self._serve(listener, ready)
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self._failure = error
        finally:
            self._server = None
            ready.set()

    def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        # The index lives and dies in this thread, because SQLite ties it to its maker.
        with listener, Index(self.chunks) as index:
            app = create_app(Library(self.documents, index), self._options, self.requests)
            config = uvicorn.Config(
                app, http="h11", ws="none", lifespan="off", loop="asyncio", log_config=None,
                access_log=False, server_header=False,
            )  # fmt: skip
            server = _Server(config, ready)
            self._server = server
            asyncio.run(server.serve([listener]))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.stop)


def _listen(host: str, port: int) -> socket.socket:
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


class _Server(uvicorn.Server):
    """A server that says when it listens, and that ends without waiting for its clients."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """End the server, from another thread."""
        if self._loop:
            self._loop.call_soon_threadsafe(self._ending.set)

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
