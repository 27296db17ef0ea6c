"""Unpacks compressed bodies in pieces, so that a small body cannot fill the memory.

httpx inflates all that one read brings as a whole, a thousandfold, and once more for each coat.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

from qaip_core.errors import MalformedResponseError, ServiceConnectionError

__all__ = ["ACCEPTED", "apieces", "pieces"]

ACCEPTED = "gzip, deflate"
"""What is asked for, and understood."""

_CODINGS = frozenset({"br", "compress", "deflate", "gzip", "x-compress", "x-gzip", "zstd"})
_PIECE_BYTES = 1024 * 1024


def pieces(response: Any, *, own: bool = False) -> Iterator[bytes]:
    """Return the body of a response as it comes, unpacked.

    Parameters:
        response: httpx's.
        own: whether it came over a client of our own, whose transport sends no empty pieces, and
            which is closed here: what `iter_raw` does for others need not be done twice.

    Raises:
        MalformedResponseError: it is packed in another way than its head says, or was asked for.
        ServiceConnectionError: it ends before what is packed in it.
    """
    if response.is_stream_consumed:  # a transport of the caller's made it as a whole
        return iter(response.iter_bytes())
    unpack = _unpacking(response)
    raw = iter(response.stream if own else response.iter_raw())
    return raw if unpack is None else _each(raw, unpack)


def apieces(response: Any, *, own: bool = False) -> AsyncIterator[bytes]:
    """Do what `pieces` does, awaiting."""
    if response.is_stream_consumed:
        return aiter(response.aiter_bytes())
    unpack = _unpacking(response)
    raw = aiter(response.stream if own else response.aiter_raw())
    return raw if unpack is None else _aeach(raw, unpack)


def _each(chunks: Iterator[bytes], packed: _Inflater) -> Generator[bytes, None, None]:
    for chunk in chunks:
        yield from packed.feed(chunk)
    packed.close()


async def _aeach(chunks: AsyncIterator[bytes], packed: _Inflater) -> AsyncGenerator[bytes, None]:
    async for chunk in chunks:
        for piece in packed.feed(chunk):
            yield piece
    packed.close()


def _unpacking(response: Any) -> _Inflater | None:
    """Return what unpacks a body; None for one that is not packed."""
    if "content-encoding" not in response.headers:
        return None
    named = response.headers["content-encoding"].lower().replace(",", " ").split()
    codings = [coding for coding in named if coding in _CODINGS]  # some name others, as utf-8
    return _Inflater(" ".join(codings)) if codings else None


class _Inflater:
    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._inflater: Any = None
        self._has_ended = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield what the next bytes unpack to."""
        is_full = False  # then zlib may hold more, though it has taken all that came
        while chunk or is_full:
            if self._inflater is None:
                chunk = chunk.lstrip(b"\0") if self._has_ended else chunk
                if not chunk:
                    return
                self._inflater = self._begin(chunk)
            try:
                piece = self._inflater.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise MalformedResponseError(
                    f"the body could not be decompressed ({error})"
                ) from error
            is_full = len(piece) == _PIECE_BYTES and not self._inflater.eof
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            if self._inflater.eof:
                self._inflater, self._has_ended = None, True  # what follows is one more, or padding
            if piece:
                yield piece

    def close(self) -> None:
        """Raise, if the body ended before what is packed in it."""
        if self._inflater is not None:
            raise ServiceConnectionError("the body ended before what is packed in it")

    def _begin(self, chunk: bytes) -> Any:
        if self._coding in ("gzip", "x-gzip"):
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        if self._coding == "deflate":  # with the head of zlib, as it should be, or without
            return zlib.decompressobj(zlib.MAX_WBITS * (1 if chunk[0] & 0x0F == 8 else -1))
        raise MalformedResponseError(
            f"the body could not be decompressed: it is packed as {self._coding!r}, and "
            f"{ACCEPTED} were asked for"
        )
