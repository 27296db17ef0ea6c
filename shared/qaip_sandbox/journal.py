"""What the sandbox was asked, what it answered, and who follows along."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import unquote_plus

from starlette.types import Scope

from ._wire import Json, compact
from .asked import asked

__all__ = ["RECORD", "Cited", "Journal", "Record", "Said", "record_of", "without"]

RECORD = "qaip_sandbox.record"
"""Where a request's scope holds its record."""

_BYTES = 64 * 1024 * 1024
_BEHIND = 1_000
_FOR_KEYS = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie"})
_SECRET = _FOR_KEYS | {"api-key"}


@dataclass(frozen=True, slots=True)
class Cited:
    """A chunk that an answer gives as its source, and the sentences that were taken from it."""

    chunk_id: str
    url: str
    title: str
    text: str
    quotes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """An answer as it was meant, before a protocol or a fault has shaped it."""

    question: str
    text: str
    sources: tuple[Cited, ...]


@dataclass(slots=True)
class Record:
    """One request that the sandbox has answered.

    `headers` lacks every header that carries a key; elsewhere `***` stands for the sandbox's keys.
    `body` is the parsed JSON body, or None, also for one that was dropped to save memory.
    `status` is 0 where the connection was cut before an answer. `state` is "open" while the answer
    is being sent, then "complete", whether or not the client has read it, or "aborted" when the
    client went away, or a fault cut the connection, before its end. `said` are the answers that it
    holds. `fault` is the kind of the fault that was injected, or ""; `hit` says that it came into a
    body before its end mark, and `told` that some text of a stream had been sent by then. `query`
    is the query of the URL, and `unfinished` says that a switch lets the service itself report a
    failure, or leave out the end.
    `key_places` are the places where a key was found that is no business of theirs. `started`,
    `first_byte` and `ended` are in seconds of `time.monotonic()`, 0.0 for what has not happened;
    `at` is the Unix time of the start. `frames` and `sent` count what left of the body: messages
    and bytes. `connection` is the client's port, the same for requests on one kept connection.
    """

    number: int
    service: str
    method: str
    path: str
    headers: dict[str, str]
    body: Json = None
    status: int = 0
    state: Literal["open", "complete", "aborted"] = "open"
    said: list[Said] = field(default_factory=list[Said])
    fault: str = ""
    retry_after: str = ""
    at: float = 0.0
    started: float = 0.0
    first_byte: float = 0.0
    ended: float = 0.0
    frames: int = 0
    sent: int = 0
    connection: int = 0
    streamed: bool = False
    hit: bool = False
    told: bool = False
    unfinished: bool = False
    query: str = ""
    key_places: tuple[str, ...] = ()

    @property
    def question(self) -> str:
        """What was asked: as it was answered, or else, as of a refusal, what the body says."""
        return self.said[0].question if self.said else asked(self.body)


def record_of(scope: Scope, number: int, service: str, keys: Collection[str]) -> Record:
    """Return the record of a request that has just arrived.

    Args:
        scope: The request, as ASGI describes it.
        number: Its number in the journal.
        service: The service it is for, or "".
        keys: The keys that open the services; where else they appear is noted, they are not.
    """
    headers = {n.decode("latin-1"): v.decode("latin-1") for n, v in scope["headers"]}
    query = unquote_plus(scope.get("query_string", b"").decode("latin-1"))
    strangers = {f"the header {n}": v for n, v in headers.items() if n not in _FOR_KEYS}
    places = {"the path": scope["path"], "the query": query, **strangers}
    return Record(
        number=number,
        service=service,
        method=scope["method"],
        path=without(keys, scope["path"]),
        headers={n: without(keys, v) for n, v in headers.items() if n not in _SECRET},
        at=time.time(),
        started=time.monotonic(),
        connection=(scope["client"] or ("", 0))[1],
        query=without(keys, query),
        key_places=tuple(n for n, text in places.items() if any(key in text for key in keys)),
    )


def without(keys: Collection[str], text: str) -> str:
    """Return `text` with `***` in place of each key."""
    for key in keys:
        text = text.replace(key, "***")
    return text


def _bare(keys: Collection[str], value: Json) -> Json:
    """Return a JSON value without the keys in its strings."""
    if isinstance(value, str):
        return without(keys, value)
    if isinstance(value, dict):
        return {without(keys, name): _bare(keys, item) for name, item in value.items()}
    return [_bare(keys, item) for item in value] if isinstance(value, list) else value


class Journal:
    """The records, in the order in which their answers began; the oldest are dropped in time.

    The oldest lose their bodies where all of them take more than 64 MiB. `count` is the number of
    the latest request, and `running` holds the numbers of those that have not ended.

    Args:
        keys: The keys that open the services, which no record shows.
        most: How many records are kept, 1 or more.

    Raises:
        ValueError: no record could be kept.
    """

    def __init__(self, keys: Collection[str] = (), most: int = 10_000) -> None:
        if most < 1:
            raise ValueError("the journal must keep 1 record or more")
        self.records: list[Record] = []
        self.count = 0
        self.running: set[int] = set()
        self.keys = keys
        self._most = most
        self._cleared = 0
        self._readers: set[asyncio.Queue[Record]] = set()
        self._lock = threading.Lock()
        self._bodies: dict[int, tuple[Record, int]] = {}
        self._bytes = 0

    def next_number(self) -> int:
        """Return the number of the next request, from 1."""
        self.count += 1
        self.running.add(self.count)
        return self.count

    def clear(self) -> None:
        """Drop all records, also those of requests that still run; the counting goes on."""
        with self._lock:
            self._cleared = self.count
            self.records.clear()
            self._bodies.clear()
            self._bytes = 0

    def begin(self, record: Record) -> None:
        """Write down a request whose answer begins, or that has ended without one."""
        if record.ended:
            self.running.discard(record.number)
        size = self._hide(record)
        with self._lock:
            if record.number <= self._cleared:
                return
            self.records.append(record)
            self._bodies[record.number] = (record, size)
            self._bytes += size
            self._drop()
        self._tell(record)

    def end(self, record: Record) -> None:
        """Tell the readers that an answer has ended."""
        self._hide_said(record)
        self.running.discard(record.number)
        self._tell(record)

    def _hide(self, record: Record) -> int:
        """Take the keys out of what a record holds, and return the bytes of its body."""
        self._hide_said(record)
        try:
            body = compact(record.body) if record.body is not None else b""
        except RecursionError:
            body, record.body = b"", None
        if any(key.encode() in body for key in self.keys):
            record.body = _bare(self.keys, record.body)
            record.key_places += ("the body",)
        return len(body)

    def _hide_said(self, record: Record) -> None:
        record.said[:] = [
            replace(s, question=without(self.keys, s.question), text=without(self.keys, s.text))
            for s in record.said
        ]

    def _drop(self) -> None:
        """Drop the oldest records where there are too many, and bodies where they are too large."""
        for record in self.records[: -self._most]:
            _, size = self._bodies.pop(record.number, (record, 0))
            self._bytes -= size
        del self.records[: -self._most]
        while self._bytes > _BYTES:
            record, size = self._bodies.pop(next(iter(self._bodies)))
            record.body = None
            self._bytes -= size

    async def follow(self) -> AsyncGenerator[Record, None]:
        """Yield each record when it is written and when its answer has ended."""
        queue: asyncio.Queue[Record] = asyncio.Queue(_BEHIND)
        self._readers.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._readers.discard(queue)

    def _tell(self, record: Record) -> None:
        for queue in self._readers:
            with suppress(asyncio.QueueFull):  # a reader that is far behind misses some
                queue.put_nowait(record)
