"""The pieces of HTTP that the protocols share: JSON in its dialects, events, paced streams."""

import json
import math
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse
from starlette.types import Send

__all__ = [
    "Json",
    "Refusal",
    "Stream",
    "compact",
    "event",
    "interleave",
    "json_response",
    "parse_json",
    "request_id",
    "spaced",
]

_Item = TypeVar("_Item")

Json = Any
"""A JSON value; requests are checked by the protocols, not by the type checker."""


class Refusal(Exception):  # noqa: N818 - it carries an answer, which is not always an error
    """Ends a handler early with the response it carries."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def compact(value: Json) -> bytes:
    """Encode `value` without spaces, as raw UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # A request may hold half a surrogate pair, which no encoding of an echo can carry.
    return text.encode("utf-8", "replace")


def spaced(value: Json) -> bytes:
    """Encode `value` with `", "` and `": "`, and with ASCII escapes."""
    return json.dumps(value).encode()


def json_response(
    value: Json,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    encode: Callable[[Json], bytes] = compact,
) -> Response:
    """Answer with `value` as application/json."""
    return Response(encode(value), status, headers, "application/json")


def event(value: Json, ending: str = "\n", encode: Callable[[Json], bytes] = compact) -> bytes:
    """Return `value` as one Server-Sent Event whose lines end with `ending`."""
    return b"data: " + encode(value) + 2 * ending.encode()


def parse_json(raw: bytes) -> Json:
    """Parse a request body.

    Raises:
        UnicodeDecodeError: the body is not UTF-8.
        json.JSONDecodeError: the body is not JSON, or holds what cannot be written as JSON again:
            NaN, and numbers that are too large.
    """
    text = raw.decode("utf-8")

    def refuse(constant: str) -> None:
        raise json.JSONDecodeError("Expecting value", text, text.find(constant))

    def finite(number: str) -> float:
        if math.isinf(float(number)):
            refuse(number)
        return float(number)

    try:
        return json.loads(text, parse_constant=refuse, parse_float=finite)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        raise json.JSONDecodeError("Too deeply nested", text, 0) from None
    except ValueError as error:  # an integer of thousands of digits
        raise json.JSONDecodeError(str(error), text, 0) from None


def request_id() -> str:
    """Return a new random id."""
    return str(uuid.uuid4())


def interleave(columns: Iterable[Iterable[_Item]]) -> list[_Item]:
    """Merge the parts of several choices in turns, as engines do for n > 1."""
    waiting = [list(column) for column in columns]
    longest = max(map(len, waiting), default=0)
    return [column[row] for row in range(longest) for column in waiting if row < len(column)]


class Stream(StreamingResponse):
    """A streamed body that is closed at once when the client goes away.

    `error_event` and `ping` are its own words for a failure in its middle and for a keep-alive,
    where a service has several kinds of streams; None for those of the service.
    """

    def __init__(
        self,
        frames: AsyncGenerator[bytes, None],
        media_type: str = "text/event-stream",
        headers: Mapping[str, str] | None = None,
        *,
        error_event: Callable[[str | None], bytes] | None = None,
        ping: bytes | None = None,
    ) -> None:
        super().__init__(frames, headers=headers, media_type=media_type)
        self.error_event = error_event
        self.ping = ping
        self.frames = frames

    async def stream_response(self, send: Send) -> None:
        """Send the frames one by one."""
        async with aclosing(self.frames):
            await super().stream_response(send)
