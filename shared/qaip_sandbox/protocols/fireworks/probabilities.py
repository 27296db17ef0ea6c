"""Token ids and log-probabilities, made up from the tokens themselves: the same every time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

from qaip_sandbox._wire import Json

__all__ = ["Logprobs", "offsets", "token_id"]

_SURE = -0.1
_VOCABULARY = 128_000
_OTHERS = (-3.0, -4.0, -5.0, -6.0)


def token_id(token: str) -> int:
    """Return a number for a token, the same for the same token."""
    return crc32(token.encode("utf-8", "replace")) % _VOCABULARY


def offsets(parts: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield the parts of a text, each with its offset in characters."""
    offset = 0
    for part in parts:
        yield part, offset
        offset += len(part)


@dataclass(frozen=True, slots=True)
class Logprobs:
    """What a request wants to know of each token.

    Args:
        wanted: A number for the legacy object, true for the new one, false or None for neither.
        most: How many of the likeliest tokens are told of each place, 0 to 5; None for as many as
            the number says.
        legacy: Whether the service has the legacy object only.
        sampling: Whether the new object tells `sampling_logprob` too.
    """

    wanted: bool | int | None
    most: int | None = None
    legacy: bool = False
    sampling: bool = True

    def of(self, parts: Sequence[str], offset: int) -> Json:
        """Return the object for some tokens that begin at `offset`, or None if none is wanted."""
        if self.wanted is None or self.wanted is False:
            return None
        if self.wanted is True and not self.legacy:
            return self.new(parts, offset)
        count = int(self.wanted) if self.most is None else self.most
        return {
            "tokens": list(parts),
            "token_logprobs": [_SURE] * len(parts),
            "top_logprobs": [dict(_likeliest(t, count)) for t in parts] if count else None,
            "text_offset": [offset + start for _, start in offsets(parts)],
            "token_ids": [token_id(token) for token in parts],
        }

    def new(self, parts: Sequence[str], offset: int) -> Json:
        """Return the new object for some tokens that begin at `offset`."""
        return {"content": [self._entry(part, offset + start) for part, start in offsets(parts)]}

    def _entry(self, token: str, offset: int) -> Json:
        sampling = {"sampling_logprob": _SURE} if self.sampling else {}
        return {
            "token": token,
            "logprob": _SURE,
            **sampling,
            "bytes": _bytes(token),
            "top_logprobs": [
                {"token": other, "logprob": p, "token_id": token_id(other), "bytes": _bytes(other)}
                for other, p in _likeliest(token, self.most or 0)
            ],
            "token_id": token_id(token),
            "text_offset": offset,
        }


def _likeliest(token: str, count: int) -> list[tuple[str, float]]:
    """Return a token, and made-up others that could stand in its place."""
    space = " " if token.startswith(" ") else ""
    others = (f"{space}{word}" for word in ("the", "a", "of", "and", "in"))
    found = [other for other in others if other != token]
    return list(zip([token, *found], [_SURE, *_OTHERS], strict=False))[:count]


def _bytes(token: str) -> list[int]:
    return list(token.encode("utf-8", "replace"))
