"""A server on loopback that says what a script says, in the dialect of a service."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from llama_index_qaip.testing._dialect import Dialect, Reply, render
from llama_index_qaip.testing._script import Answer, Refusal, Request

__all__ = ["Loopback"]

_PACE = 0.03
"""Seconds between two pings."""

_SILENCE = 1.5
"""Seconds after which a silent stream is cut, so that a client without patience limit ends."""


class Loopback:
    """A `Service` for a dialect; it runs in threads of its own while its ``with`` block does.

    Parameters:
        dialect: how it writes.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self.requests: list[Request] = []
        self.asides: list[Request] = []
        self._queue: deque[Answer | Refusal] = deque()
        self._last: Answer | Refusal = Refusal(501, "no answer was queued")
        self._open: dict[int, socket.socket] = {}
        self._answering = 0
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._http = _Server(self)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def answers(self, *given: Answer | Refusal) -> None:
        """Queue what it says, one for each request; the last one is repeated."""
        self._queue.extend(given)

    def reset(self) -> None:
        """Forget requests and answers, and drop every client."""
        with self._changed:
            for sock in self._open.values():
                with suppress(OSError):  # it has left already
                    sock.shutdown(socket.SHUT_RDWR)
        with self._changed:
            self._changed.wait_for(lambda: not self._open, 1.0)
        self.requests.clear()
        self.asides.clear()
        self._queue.clear()
        self._last = Refusal(501, "no answer was queued")

    def wait_asked(self, seconds: float) -> bool:
        """Wait until a request has come; False if none has after so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.requests), seconds)

    def wait_left(self, seconds: float) -> bool:
        """Wait until no client reads an answer; False if one still does after so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._answering, seconds)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.01,), name="Loopback", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def reply(self, request: Request) -> Reply:
        """Record a request, and return what is sent for it."""
        aside = self._dialect.aside(request)
        if aside is not None:
            self.asides.append(request)
            return Reply(body=[json.dumps(aside).encode()])
        if request.method != "POST":
            told = f"{request.method} {request.path} has no answer here: see Dialect.aside"
            return Reply(501, "text/plain", body=[told.encode()])
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
        if self._queue:
            self._last = self._queue.popleft()
        time.sleep(getattr(self._last, "wait", 0.0))
        return render(self._dialect, self._last, request)

    @contextmanager
    def client(self, sock: socket.socket) -> Iterator[int]:
        """Count a client as connected; gives its number."""
        number = next(self._numbers)
        with self._changed:
            self._open[number] = sock
        try:
            yield number
        finally:
            with self._changed:
                del self._open[number]
                self._changed.notify_all()

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Count an answer that is being sent."""
        with self._changed:
            self._answering += 1
        try:
            yield
        finally:
            with self._changed:
                self._answering -= 1
                self._changed.notify_all()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, owner: Loopback) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent: that clients leave is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536

    def handle(self) -> None:
        """Serve a client until it leaves."""
        self.owner: Loopback = self.server.owner  # type: ignore[attr-defined]
        with self.owner.client(self.connection) as self.number:
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- its name there
        """Be silent."""

    def do_GET(self) -> None:
        """Answer what is asked beside, such as a list of models."""
        self._send(self.owner.reply(self._request({})))

    def do_POST(self) -> None:
        """Answer as the script says."""
        with self.owner.answering():
            try:
                request = self._request(self._decoded(self._body()))
            except ValueError as error:
                told = f"the body of the request is no JSON: {error}"
                return self._send(Reply(400, "text/plain", body=[told.encode()], cut=True))
            return self._send(self.owner.reply(request))

    def _request(self, body: Any) -> Request:
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Request(self.path, headers, body, self.number, self.command)

    def _decoded(self, body: bytes) -> Any:
        """Return JSON; of what is none, such as an upload, its bytes as characters."""
        kind = self.headers.get("content-type", "")
        return body.decode("latin-1") if kind.startswith("multipart/") else json.loads(body)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", "0")))
        body = b""
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """What follows the last chunk says nothing of the body."""
        return body

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {**reply.headers, "content-type": reply.kind}.items():
            self.send_header(name, value)
        if reply.stream:
            self.send_header("transfer-encoding", "chunked")
        else:
            self.send_header("content-length", str(sum(map(len, reply.body)) + reply.more))
        self.end_headers()
        self.wfile.flush()
        write = self._chunk if reply.stream else self.wfile.write
        for piece in reply.body:
            write(piece)
        self.wfile.flush()
        self._end(reply)

    def _chunk(self, piece: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.flush()

    def _end(self, reply: Reply) -> None:
        if reply.hush:
            self.connection.settimeout(_SILENCE)
            self.rfile.read(1)  # nothing comes: it returns when the client leaves
        for _ in range(int(_SILENCE / _PACE) if reply.ping else 0):
            time.sleep(_PACE)
            self._chunk(reply.ping)
        if reply.cut:
            self.close_connection = True
        elif reply.stream:
            self.wfile.write(b"0\r\n\r\n")
