"""The canned server, in a process of its own, and how much faster it is than whom it serves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from speed import bodies

__all__ = ["Server"]

_TIMES = 50


class Server:
    """Runs the server while its block lasts."""

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__).with_name("canned.py"))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def url(self, name: str) -> str:
        """Return the base URL under which a stream and its whole answer are found."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def cpu(self) -> float:
        """Return the CPU seconds that it has used."""
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            sock.sendall(b"GET /cpu HTTP/1.1\r\n\r\n")
            return float(json.loads(sock.recv(4096).partition(b"\r\n\r\n")[2])["seconds"])

    def drain(self, name: str) -> float:
        """Return the seconds that a plain socket takes to read a stream."""
        body = b'{"stream":true}'
        ask = f"POST /{name}/ HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        buffer, left = bytearray(1 << 18), len(bodies.stream(name))
        with socket.create_connection(("127.0.0.1", self.port)) as sock:
            began = time.perf_counter()
            sock.sendall(ask)
            while left:
                left -= sock.recv_into(buffer)
            return time.perf_counter() - began

    def report(self, name: str) -> dict[str, float]:
        """Return its CPU time per event, and how many events a plain socket reads in a second."""
        self.drain(name)  # made at the first request
        events = len(bodies.event_bytes(name))
        before = self.cpu()
        seconds = sorted(self.drain(name) for _ in range(_TIMES))[_TIMES // 2]
        used = (self.cpu() - before) / _TIMES
        return {"cpu_us": used / events * 1e6, "events_per_s": events / seconds}
