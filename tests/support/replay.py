"""A transport that answers at once with given bytes, in given pieces, and breaks as told.

Over a socket httpx would spend most of the time of all tests on pieces of one byte.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from support.fault_server import End, Reply

__all__ = ["BREAKS", "Played", "Replay"]

BREAKS: Mapping[End, Callable[[], Exception] | None] = {
    "clean": None,
    "cut": lambda: httpx.RemoteProtocolError(
        "peer closed connection without sending complete message body (incomplete chunked read)"
    ),
    "reset": lambda: httpx.ReadError("[Errno 104] Connection reset by peer"),
}
"""What httpx raises where a body stops, by the way in which it stops."""


@dataclass(frozen=True)
class Played:
    """What is answered: as over a socket, the pieces one by one, and then the end."""

    status: int
    headers: Sequence[tuple[str, str]]
    pieces: Sequence[bytes]
    end: End = "clean"

    def reply(self) -> Reply:
        """The same for a real socket."""
        return Reply(self.status, None, self.headers, None, list(self.pieces), end=self.end)


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Pieces that nothing joins on the way."""

    def __init__(self, played: Played) -> None:
        self._pieces, self._break = played.pieces, BREAKS[played.end]

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._break is not None:
            raise self._break()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


class Replay(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers every request with what it was told to play last; clients of it are fields."""

    def __init__(self) -> None:
        self.played = Played(501, (), ())
        self.fields: Mapping[str, Any] = {
            "http_client": httpx.Client(transport=self),
            "http_async_client": httpx.AsyncClient(transport=self),
        }

    def play(self, played: Played) -> None:
        self.played = played

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        played = self.played
        return httpx.Response(played.status, headers=list(played.headers), stream=_Body(played))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)
