"""Unpacks compressed bodies in pieces, so that a small body cannot fill the memory.

httpx inflates all that one read brings as a whole, a thousandfold, and once more for each coat.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeAlias

from qaip_core.errors import MalformedResponseError

__all__ = ["ACCEPTED", "apieces", "pieces"]

ACCEPTED = "gzip, deflate"
"""What is asked for, and understood."""

_CODINGS = frozenset({"br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"})
_PIECE_BYTES = 1024 * 1024
_Unpack: TypeAlias = Callable[[bytes], Iterator[bytes]]


def pieces(response: Any) -> Iterator[bytes]:
    """Return the body of a response as it comes, unpacked.

    Raises:
        MalformedResponseError: it is packed in another way than its head says, or was asked for.
    """
    if response.is_stream_consumed:  # a transport of the caller's made it as a whole
        return iter(response.iter_bytes())
    unpack = _unpacking(response)
    return iter(response.iter_raw()) if unpack is None else _each(response.iter_raw(), unpack)


def apieces(response: Any) -> AsyncIterator[bytes]:
    """Do what `pieces` does, awaiting."""
    if response.is_stream_consumed:
        return aiter(response.aiter_bytes())
    unpack = _unpacking(response)
    return aiter(response.aiter_raw()) if unpack is None else _aeach(response.aiter_raw(), unpack)


def _each(chunks: Iterator[bytes], unpack: _Unpack) -> Generator[bytes, None, None]:
    for chunk in chunks:
        yield from unpack(chunk)


async def _aeach(chunks: AsyncIterator[bytes], unpack: _Unpack) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        for piece in unpack(chunk):
            yield piece


def _unpacking(response: Any) -> _Unpack | None:
    """Return what unpacks a body; None for one that is not packed."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    is_packed = not _CODINGS.isdisjoint(coding.replace(",", " ").split())
    return _Inflater(coding).feed if is_packed else None  # some name what is no coding, as utf-8


class _Inflater:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflater: Any = None

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unpack to."""
        while chunk:
            if self._inflater is None:
                self._inflater = self._begin(chunk)
            try:
                piece = self._inflater.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedResponseError(
                    f"the body could not be decompressed ({error})"
                ) from error
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            if self._inflater.eof:
                self._inflater = None  # what follows is another file
            if piece:
                yield piece

    def _begin(self, chunk: bytes) -> Any:
        if self._coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._coding == "deflate":  # with the head of zlib, as it should be, or without
            return zlib.decompressobj(zlib.MAX_WBITS * (1 if chunk[0] & 0x0F == 8 else -1))
        raise MalformedResponseError(
            f"the body could not be decompressed: it is packed as {self._coding!r}, and "
            f"{ACCEPTED} were asked for"
        )
