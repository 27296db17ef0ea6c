"""The process of `server.Server`: sends answers made beforehand, and does nothing else."""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import sys
import time
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])
from speed import bodies  # noqa: E402 -- below the path that it is found by

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_NAME = re.compile(rb"/([a-z]+-\d+-\d+(?:-(\d+))?)/")
_STREAMED = re.compile(rb'"stream": ?true|"response_mode": ?"streaming"')
_CPU = b"GET /cpu "
_PATIENCE = 5.0
"""Seconds that streams are held back for others that do not come."""


class _Connection:
    """One connection: what has arrived, and what is still to be sent."""

    def __init__(self, sock: socket.socket, gate: _Gate) -> None:
        self.sock, self._gate = sock, gate
        self.received = b""
        self.left = memoryview(b"")
        self.held = b""

    def take(self) -> None:
        """Take what has arrived, or send what could not be sent.

        Raises:
            ConnectionError: the client has left.
        """
        if self.left:
            self.send()
        else:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionResetError
            self.received += data
        while not self.left and not self.held and self._answer():
            pass

    def _answer(self) -> bool:
        """Answer the next request; False if it has not arrived in full."""
        head, blank, rest = self.received.partition(b"\r\n\r\n")
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if not blank or len(rest) < length:
            return False
        self.received = rest[length:]
        answer, gathering = _answer(head, rest[:length])
        if gathering:
            begin = answer.index(b"\r\n\r\n") + 4
            answer, self.held = answer[:begin], answer[begin:]
        self.left = memoryview(answer)
        self.send()
        if gathering:
            self._gate.wait(self, gathering)
        return True

    def send(self) -> None:
        """Send what can be sent at once."""
        try:
            while self.left:
                self.left = self.left[self.sock.send(self.left) :]
        except BlockingIOError:
            pass


def _answer(head: bytes, body: bytes) -> tuple[bytes, int]:
    """Return an answer, and how many streams have to begin before it goes on."""
    if head.startswith(_CPU):
        return bodies.response(json.dumps({"seconds": time.process_time()}).encode()), 0
    found = _NAME.search(head)
    assert found, head
    name, gathering = found[1].decode(), int(found[2] or 0)
    if _STREAMED.search(body):
        return bodies.stream(name), gathering
    return bodies.whole(name), 0


class _Gate:
    """Holds streams back until all have begun, so that they are open at the same time."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._waiting: set[_Connection] = set()

    @property
    def patience(self) -> float | None:
        return _PATIENCE if self._waiting else None

    def wait(self, connection: _Connection, gathering: int) -> None:
        self._waiting.add(connection)
        if len(self._waiting) >= gathering:
            self.open()

    def leave(self, connection: _Connection) -> None:
        self._waiting.discard(connection)

    def open(self) -> None:
        for connection in self._waiting:
            connection.left, connection.held = memoryview(connection.held), b""
            self._selector.modify(connection.sock, selectors.EVENT_WRITE, connection)
        self._waiting.clear()


def serve(listener: socket.socket) -> None:
    """Serve until the process is ended."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    gate = _Gate(selector)
    while True:
        ready = selector.select(gate.patience)
        if not ready:
            gate.open()
        for key, _ in ready:
            if key.data is None:
                _accept(selector, listener, gate)
            else:
                _go_on(selector, key.data, gate)


def _accept(selector: selectors.BaseSelector, listener: socket.socket, gate: _Gate) -> None:
    sock, _ = listener.accept()
    sock.settimeout(0)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(sock, selectors.EVENT_READ, _Connection(sock, gate))


def _go_on(selector: selectors.BaseSelector, connection: _Connection, gate: _Gate) -> None:
    try:
        connection.take()
    except BlockingIOError:
        return
    except ConnectionError:
        gate.leave(connection)
        selector.unregister(connection.sock)
        connection.sock.close()
        return
    wanted = selectors.EVENT_WRITE if connection.left else selectors.EVENT_READ
    selector.modify(connection.sock, wanted, connection)


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.settimeout(0)
    print(listener.getsockname()[1], flush=True)
    serve(listener)


if __name__ == "__main__":
    main()
