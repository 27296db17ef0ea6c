"""What the sandbox was asked, what it answered, and who follows along."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from ._wire import Json

__all__ = ["Cited", "Journal", "Record", "Said"]

_MOST = 10_000
_BEHIND = 1_000


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

    `headers` lacks every header that carries a key. `body` is the parsed JSON body, or None.
    `status` is 0 where the connection was cut before an answer. `state` is "open" while the answer
    is being sent, then "complete", or "aborted" when the client went away, or a fault cut the
    connection, before its end. `said` are the answers that it holds. `fault` is the kind of the
    fault that was injected, or "". `started`, `first_byte` and `ended` are in seconds of
    `time.monotonic()`, 0.0 for what has not happened; `at` is the Unix time of the start.
    `frames` and `sent` count what left of the body: messages and bytes. `connection` is the
    client's port, the same for requests on one kept connection.
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


class Journal:
    """The records, oldest first; the oldest are dropped after ten thousand."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.count = 0
        self._readers: set[asyncio.Queue[Record]] = set()

    def next_number(self) -> int:
        """Return the number of the next request, from 1."""
        self.count += 1
        return self.count

    def begin(self, record: Record) -> None:
        """Write down a request whose answer begins."""
        self.records.append(record)
        if len(self.records) > _MOST:
            del self.records[: len(self.records) - _MOST]
        self._tell(record)

    def end(self, record: Record) -> None:
        """Tell the readers that an answer has ended."""
        self._tell(record)

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
