"""The sandbox: five services on loopback, answering from a folder of documents."""

import asyncio
import logging
import socket
import threading
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import quote

from .addresses import is_loopback
from .app import create_app
from .collection import Changes, Collection
from .control import environment
from .documents import Chunk, Document
from .faults import Faults
from .journal import Journal, Record
from .judging import Judge, Limits
from .physics import Physics
from .protocols import SERVICES
from .reading import MAX_BYTES, Progress, Refused
from .server import Server, listen
from .switches import Chosen
from .unread import told
from .world import World
from .writer import Writer

__all__ = ["Sandbox"]

_LOG = logging.getLogger("qaip_sandbox")
_TOLD = 5


class Sandbox:
    """An offline server for Qaip, Fireworks, PAIS, Perplexity and Dify.

    It runs in a thread of its own. Use it as a context manager, sync or async, or call `start` and
    `stop`. It may be started again after it was stopped.

    Args:
        folder: The folder whose documents the services answer from. It is only read.
        cache: A file that keeps the index, so that the next start reads only what has changed;
            None for none.
        max_bytes: The size of the largest document that is read, in bytes, above 0.
        watch: How often to look for changed documents, in seconds, above 0; None for never.
        progress: Is called with what has been read, how much there is, and a path. Without it,
            the log says which files `start` could not read; with it, `refused` alone does.
        host: The address to listen on.
        port: The port to listen on, 0 for any free one.
        token: What callers must know, at least 16 characters; it takes the place of every
            service's key, and opens the page. Needed where `host` is not a loopback address.
        allowed_hosts: Names, besides localhost and IP addresses, that requests may call it by.
        largest_request: The size of the largest request, in bytes, above 0.
        first_token: The time before the first token of an answer, in seconds, 0 or more.
        tokens_per_second: The rate of the tokens after it, above 0; None for no wait at all.
        jitter: By which share of itself each of these waits may differ, 0 to 1.
        seed: What the jitter and the faults of some chance are drawn from.
        ping_every: The silence in a stream after which a service that sends keep-alives (Qaip,
            PAIS, Perplexity, Dify) sends one, in seconds, above 0.
        journal: How many of the last requests `requests` keeps, 1 or more.
        writer: A model that words the answers; None for sentences quoted word for word.
        qaip: The switches of Qaip, as `QaipSwitches` or as a mapping, such as
            `{"profile": "seed"}`.
        fireworks: The switches of Fireworks.
        pais: The switches of PAIS.
        perplexity: The switches of Perplexity.
        dify: The switches of Dify.

    Raises:
        ValueError: a number or a switch is out of range, or a token is missing.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        cache: str | Path | None = None,
        max_bytes: int = MAX_BYTES,
        watch: float | None = None,
        progress: Progress | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        allowed_hosts: Iterable[str] = (),
        largest_request: int = 32 * 1024 * 1024,
        first_token: float = 0.0,
        tokens_per_second: float | None = None,
        jitter: float = 0.0,
        seed: int = 0,
        ping_every: float = 10.0,
        journal: int = 10_000,
        writer: Writer | None = None,
        qaip: Chosen = None,
        fireworks: Chosen = None,
        pais: Chosen = None,
        perplexity: Chosen = None,
        dify: Chosen = None,
    ) -> None:
        if not 0 <= port <= 65535:
            raise ValueError("port must be between 0 and 65535")
        if largest_request < 1:
            raise ValueError("largest_request must be 1 byte or more")
        if watch is not None and not (0 < watch < float("inf")):
            raise ValueError("watch must be above 0 seconds, or None for never")
        _check_token(host, token)
        self._collection = partial(Collection, folder, cache=cache, max_bytes=max_bytes)
        self._stopping = threading.Event()
        chosen = _by_service(qaip, fireworks, pais, perplexity, dify)
        self._world = World(
            collection=self._collection(),
            keys={n: token or key for service in SERVICES for n, key in service.keys.items()},
            switches={s.name: s.switches.chosen(chosen[s.name]) for s in SERVICES},
            physics=Physics.checked(
                first_token=first_token,
                tokens_per_second=tokens_per_second,
                jitter=jitter,
                seed=seed,
                ping_every=ping_every,
            ),
            journal=Journal(most=journal),
            writer=writer,
            token=token,
            largest=largest_request,
            hosts=frozenset(
                map(str.lower, [*allowed_hosts, *([socket.gethostname()] if token else [])])
            ),
        )
        self._watch = watch
        self._progress = progress
        self._address = (host, port)
        self._url = ""
        self._server: Server | None = None
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
        return environment(self._world, self.url)

    @property
    def page(self) -> str:
        """The address of the page that shows the documents and the requests."""
        token = f"?token={quote(self._world.token)}" if self._world.token else ""
        return f"{self.url}/{token}"

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents as they were read last; empty before the first start."""
        return self._world.collection.documents

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The passages of the documents that answers are quoted from."""
        return self._world.collection.chunks

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The files of the folder that were not read, and why."""
        return self._world.collection.refused

    @property
    def requests(self) -> list[Record]:
        """What the services were asked, oldest first. It outlives a stop."""
        return self._world.journal.records

    @property
    def faults(self) -> Faults:
        """The faults that wait for a request; `add` queues more."""
        return self._world.faults

    @property
    def physics(self) -> Physics:
        """How fast answers are; assign another to change it."""
        return self._world.physics

    @physics.setter
    def physics(self, physics: Physics) -> None:
        self._world.physics = physics

    def switch(
        self,
        *,
        qaip: Chosen = None,
        fireworks: Chosen = None,
        pais: Chosen = None,
        perplexity: Chosen = None,
        dify: Chosen = None,
    ) -> None:
        """Set switches of services while they run; what is not named stays as it is.

        Raises:
            ValueError: there is no such switch or value.
        """
        wanted = _by_service(qaip, fireworks, pais, perplexity, dify)
        self._world.switch({name: chosen for name, chosen in wanted.items() if chosen})

    def judge(self, **limits: float) -> Judge:
        """Return a judge of what is asked from now on.

        Args:
            limits: What is still good manners: `attempts` (how often one request may be sent, 3),
                `backoff` (the shortest wait before it is sent again, 0.05 s) and `linger` (how long
                a stream may outlive its call, 0.5 s).

        Raises:
            ValueError: there is no such limit, or it is out of range.
        """
        return Judge(self._world.journal, self._world.keys.values(), Limits.checked(limits))

    def reset(
        self,
        *,
        physics: Physics | None = None,
        switches: Mapping[str, Chosen] | None = None,
    ) -> None:
        """Forget what was asked and what the services remember, the faults, and all settings.

        Args:
            physics: How fast answers are from now on; None for at once.
            switches: Switches by the services' names; what is not named has its default.

        Raises:
            ValueError: there is no such service, switch or value.
        """
        world = self._world
        world.journal.clear()
        world.faults.clear()
        world.memory.clear()
        world.physics = physics or Physics()
        world.switches = {service.name: service.switches() for service in SERVICES}
        world.switch(switches or {})

    def refresh(self) -> Changes:
        """Read what has changed in the folder since the last time.

        Returns:
            What was added, changed, removed and refused.

        Raises:
            NotADirectoryError: the folder does not exist.
            RuntimeError: the sandbox has been stopped.
        """
        if self._stopping.is_set() and not self._thread:
            raise RuntimeError("a sandbox that was stopped reads nothing until it is started again")
        return self._world.collection.refresh(self._progress, self._stopping)

    def start(self) -> Self:
        """Read the folder and begin to listen.

        Raises:
            NotADirectoryError: the folder does not exist.
            OSError: the port is in use, or a file cannot be read.
            RuntimeError: the sandbox is running already.
        """
        if self._thread:
            raise RuntimeError("the sandbox is running already")
        if self._stopping.is_set():
            self._world.collection = self._collection()
            self._stopping.clear()
        self.refresh()
        if self._progress is None:
            for line in told(self.refused, _TOLD, "see Sandbox.refused"):
                _LOG.warning(line)
        host, port = self._address
        listener = listen(host, port)
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
        self._stopping.set()  # a refresh that is going on is given up
        server = self._server
        if server:
            server.end()
        if self._thread:
            self._thread.join()
        self._world.collection.close()
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
        with listener:
            server = Server(create_app(self._world), ready)
            self._world.hang_up = server.hang_up
            self._server = server
            asyncio.run(self._served(server, listener))

    async def _served(self, server: Server, listener: socket.socket) -> None:
        watching = asyncio.create_task(self._watched()) if self._watch else None
        await server.serve([listener])
        if watching:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _watched(self) -> None:
        while self._watch:
            await asyncio.sleep(self._watch)
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # noqa: BLE001 - the folder may be away for a moment
                _LOG.warning("the folder could not be read again", exc_info=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.start)

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)


def _by_service(
    qaip: Chosen, fireworks: Chosen, pais: Chosen, perplexity: Chosen, dify: Chosen
) -> dict[str, Chosen]:
    return {
        "qaip": qaip,
        "fireworks": fireworks,
        "pais": pais,
        "perplexity": perplexity,
        "dify": dify,
    }


def _check_token(host: str, token: str | None) -> None:
    if token is not None and not (len(token) >= 16 and token.isascii() and token.isprintable()):
        raise ValueError("a token needs at least 16 characters, of ASCII, that can be printed")
    if token is None and not is_loopback(host):
        raise ValueError(
            f"{host} is open to other machines: give a token too, which callers must know"
        )
