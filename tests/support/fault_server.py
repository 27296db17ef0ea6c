"""A TCP server that breaks HTTP on purpose, byte for byte.

An ASGI server repairs what a test wants broken: it writes its own framing, adds headers, and
cannot reset a connection. This one sends what a `Reply` says and nothing else, records what it
was asked, and notices when a client leaves.

    with FaultServer() as server:
        server.replies(json_reply({}, 503, retry_after="1"), sse_reply('{"n":1}', end="cut"))
        httpx.post(server.url + "/completions")
        assert server.requests[0].method == "POST"
"""

import asyncio
import itertools
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import client as http_client
from typing import Any, Literal, Self

__all__ = [
    "End",
    "FaultServer",
    "Framing",
    "Recorded",
    "Reply",
    "cut",
    "html_reply",
    "json_reply",
    "sse_reply",
]

Framing = Literal["chunked", "length", "close"]
End = Literal["clean", "cut", "reset", "hang"]
Headers = Mapping[str, str] | Sequence[tuple[str, str]]

_LINE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; `connection` is the number, from 0, of the one that it came by."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What the server sends for one request.

    body: pieces are written and flushed one by one; a float among them is a pause in seconds.
        Without a pause between them the client's kernel may still hand over several at once.
    framing: "chunked" makes every piece a chunk, "length" sends Content-Length, "close" ends
        by closing.
    content_length: the announced length, if it shall not be the true one; the connection
        closes after such a lie.
    end: "clean" finishes the framing, and keeps the connection unless the framing is "close";
        "cut" closes without the last chunk, or short of the announced length; "reset" sends
        RST; "hang" goes silent until the client leaves.
    wrong_chunk_size: the last chunk announces one byte more than it has.
    delay: seconds before the status line.
    raw: exactly these bytes, or pieces and pauses like those of `body`; only `delay` and `end`
        count beside it, and "clean" closes too.
    """

    status: int = 200
    reason: str | None = None
    headers: Headers = ()
    content_type: str | None = "application/json"
    body: bytes | Sequence[bytes | float] = b""
    framing: Framing = "chunked"
    content_length: int | None = None
    end: End = "clean"
    wrong_chunk_size: bool = False
    delay: float = 0.0
    raw: bytes | Sequence[bytes | float] | None = None

    @property
    def keeps_connection(self) -> bool:
        honest = self.raw is None and self.content_length is None and not self.wrong_chunk_size
        return honest and self.end == "clean" and self.framing != "close"

    def pieces(self) -> Iterator[bytes | float]:
        """All that is sent, in order: bytes to flush and pauses to make."""
        yield self.delay
        if self.raw is not None:
            yield from [self.raw] if isinstance(self.raw, bytes) else self.raw
            return
        yield self._head()
        yield from self._framed() if self.framing == "chunked" else self._body()

    def _body(self) -> Sequence[bytes | float]:
        return [self.body] if isinstance(self.body, bytes) else self.body

    def _framed(self) -> Iterator[bytes | float]:
        body = [piece for piece in self._body() if piece != b""]  # an empty chunk ends the body
        last = max((i for i, piece in enumerate(body) if isinstance(piece, bytes)), default=-1)
        for i, piece in enumerate(body):
            if isinstance(piece, bytes):
                size = len(piece) + (self.wrong_chunk_size and i == last)
                yield b"%x\r\n%b\r\n" % (size, piece)
            else:
                yield piece
        if self.end == "clean":
            yield b"0\r\n\r\n"

    def _head(self) -> bytes:
        reason = _phrase(self.status) if self.reason is None else self.reason
        lines = [f"HTTP/1.1 {self.status} {reason}"]
        if self.content_type is not None:
            lines.append(f"Content-Type: {self.content_type}")
        lines.append(self._framing_header())
        given = self.headers.items() if isinstance(self.headers, Mapping) else self.headers
        lines += [f"{name}: {value}" for name, value in given]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _framing_header(self) -> str:
        if self.framing == "chunked":
            return "Transfer-Encoding: chunked"
        if self.framing == "close":
            return "Connection: close"
        if self.content_length is not None:
            return f"Content-Length: {self.content_length}"
        sent = sum(len(piece) for piece in self._body() if isinstance(piece, bytes))
        missing = self.end != "clean"  # an unfinished body must be short of what was announced
        return f"Content-Length: {sent + missing}"


def json_reply(obj: object, status: int = 200, **headers: str) -> Reply:
    """A JSON body with its length; `retry_after="1"` becomes the header `retry-after: 1`."""
    body = json.dumps(obj, ensure_ascii=False).encode()
    return Reply(status=status, headers=_hyphenated(headers), body=body, framing="length")


def sse_reply(
    *events: str | bytes,
    newline: str = "\n",
    end: End = "clean",
    framing: Framing = "chunked",
    **headers: str,
) -> Reply:
    """An event stream, one chunk per event: a str is an event's data, bytes are sent as is."""
    body = [e if isinstance(e, bytes) else f"data: {e}{newline}{newline}".encode() for e in events]
    return Reply(
        headers=_hyphenated(headers),
        content_type="text/event-stream; charset=utf-8",
        body=body,
        framing=framing,
        end=end,
    )


def html_reply(status: int, **headers: str) -> Reply:
    """The page that a proxy shows in the place of the service."""
    title = f"{status} {_phrase(status)}"
    page = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\r\n"
    return Reply(
        status=status,
        headers=_hyphenated(headers),
        content_type="text/html",
        body=page.encode(),
        framing="length",
    )


def cut(body: bytes, *, sizes: int) -> list[bytes]:
    """The body in pieces of `sizes` bytes, the last one perhaps shorter."""
    return [body[i : i + sizes] for i in range(0, len(body), sizes)]


def _phrase(status: int) -> str:
    return http_client.responses.get(status, "")


def _hyphenated(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class FaultServer:
    """Serves queued replies on a loopback port, from a thread of its own.

    tls: speaks HTTPS with these certificates; a client that refuses them sends no request.
    """

    requests: list[Recorded]

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests = []
        self._queue: deque[Reply] = deque()
        self._last = json_reply({"error": "FaultServer: no reply was queued"}, 501)
        self._connections: set[_Connection] = set()
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._stop = asyncio.Event()

    @property
    def url(self) -> str:
        """The base URL; after the `with` block it is an address where nobody listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._port}"

    @property
    def open_connections(self) -> int:
        """Clients that are connected now, idle kept-alive ones included."""
        return len(self._connections)

    @property
    def busy_connections(self) -> int:
        """Clients that are connected now, in the middle of an answer."""
        return sum(connection.busy for connection in list(self._connections))

    def replies(self, *replies: Reply) -> None:
        """Queue replies, one per request in order of arrival; the last of all is repeated."""
        self._queue.extend(replies)

    def reset(self) -> None:
        """Forget what was queued and what was asked, for the next case of a table."""
        self._queue.clear()
        self.requests.clear()

    def wait_closed(self, timeout: float = 5.0) -> bool:
        """Wait until no client is connected; False if one still is after `timeout` seconds.

        It blocks. In a coroutine: `await asyncio.to_thread(server.wait_closed)`.
        """
        with self._changed:
            return self._changed.wait_for(lambda: not self._connections, timeout)

    def wait_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Wait until `count` requests have arrived; False after `timeout` seconds. It blocks."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.requests) >= count, timeout)

    def __enter__(self) -> Self:
        # Socket and loop are made here: a failure is raised here, and the port is known at once.
        # It names TCP, since asyncio turns Nagle's algorithm off for such sockets only.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._port = self._socket.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="FaultServer", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(
            lambda: _Connection(self), sock=self._socket, backlog=2048, ssl=self._tls
        )
        await self._stop.wait()
        # A client accepted just now needs some turns, and an open server, to become a connection.
        self._loop.remove_reader(self._socket)
        for _ in range(4):
            await asyncio.sleep(0)
        server.close()
        remaining = list(self._connections)
        for connection in remaining:
            connection.abort()
        await asyncio.gather(*(connection.gone.wait() for connection in remaining))

    def _opened(self, connection: "_Connection") -> int:
        with self._changed:
            self._connections.add(connection)
        return next(self._numbers)

    def _closed(self, connection: "_Connection") -> None:
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def answer(self, request: Recorded) -> Reply:
        """Return what is sent for a request; another server may override it."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        if self._queue:
            self._last = self._queue.popleft()
        return self._last


class _Connection(asyncio.Protocol):
    """One client. A protocol, not streams: it hears at once that the client left."""

    def __init__(self, server: FaultServer) -> None:
        self._server = server
        self._reader = asyncio.StreamReader(limit=_LINE_LIMIT)
        self.gone = asyncio.Event()
        self.busy = False
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        # "Drained" shall mean: handed to the kernel. Under TLS, 0 would never be reached again.
        transport.set_write_buffer_limits(high=1 if self._server._tls else 0)
        self._number = self._server._opened(self)
        self._task = asyncio.create_task(self._converse())

    def data_received(self, data: bytes) -> None:
        self._reader.feed_data(data)

    def eof_received(self) -> None:
        self._transport.abort()  # nobody half-closes on purpose: the client is gone

    def connection_lost(self, exc: Exception | None) -> None:
        self._task.cancel()
        self._server._closed(self)
        self.gone.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def abort(self) -> None:
        self._transport.abort()

    async def _converse(self) -> None:
        while True:
            try:
                request = await _read_request(self._reader, self._number)
            except ValueError as error:  # the client wrote no HTTP: say so instead of hanging
                await self._play(b"HTTP/1.1 400 Not HTTP: %b\r\n\r\n" % repr(error).encode())
                return self._transport.abort()
            reply = self._server.answer(request)
            self.busy = True
            for piece in reply.pieces():
                await self._play(piece)
            self.busy = reply.end == "hang"
            wants_close = request.headers.get("connection", "").lower() == "close"
            if wants_close or not reply.keeps_connection:
                return await self._end(reply.end)

    async def _play(self, piece: bytes | float) -> None:
        if isinstance(piece, bytes):
            self._transport.write(piece)
            await self._writable.wait()
        await asyncio.sleep(0 if isinstance(piece, bytes) else piece)

    async def _end(self, end: End) -> None:
        if end == "hang":
            await asyncio.Event().wait()  # until the client leaves or the server stops
        if end == "reset":
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
        self._transport.abort()


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Recorded:
    start = await reader.readexactly(1)
    if not start.isalpha():
        raise ValueError("no method: is it TLS?")
    head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    request_line, *lines = head.rstrip("\r\n").split("\r\n")
    method, path, _version = request_line.split(" ", 2)
    fields = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in fields}
    body = await _read_body(reader, headers)
    return Recorded(method, path, headers, body, time.monotonic(), connection)


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    chunks = []
    while size := int(await reader.readline(), 16):
        chunks.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(chunks)
