"""Answers without a socket, where most of the time would go into chunks of one byte."""

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import httpx

from support.faults.subjects import Subject

__all__ = ["NOWHERE", "Handed"]

NOWHERE = "http://127.0.0.1:1"
"""The address to ask: nobody listens there, nor is it called."""


class _Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in pieces that nothing joins on the way."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class Handed(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers every request with the same success, in pieces that may be changed between two.

    Parameters:
        media: the label of the body; None for none.
        pieces: the body.
    """

    def __init__(self, media: str | None, pieces: Iterable[bytes] = ()) -> None:
        self._headers = {"content-type": media} if media else {}
        self.pieces = pieces

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=self._headers, stream=_Pieces(self.pieces))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)

    def fields(self, subject: Subject) -> dict[str, Any]:
        """What an object is made with, so that it is answered from here."""
        if subject.is_async:
            return {"http_async_client": httpx.AsyncClient(transport=self, trust_env=False)}
        return {"http_client": httpx.Client(transport=self, trust_env=False)}
