"""A server that sends bytes made before, and costs next to nothing beside what is measured."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from support.fault_server import Reply

__all__ = ["Canned", "canned", "wire"]


def wire(reply: Reply) -> bytes:
    """All that a `FaultServer` would send for a request."""
    return b"".join(piece for piece in reply.pieces() if isinstance(piece, bytes))


class Canned:
    """Answers every request with `answer`, in one piece; use `canned`."""

    answer: bytes = b""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def run(self) -> None:
        with suppress(OSError):  # the listener was shut down
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):  # the client left in the middle
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while _read_request(connection):
                connection.sendall(self.answer)


def _read_request(connection: socket.socket) -> bool:
    """Read a request to its end; tell whether one came."""
    got = b""
    while b"\r\n\r\n" not in got:
        if not (data := connection.recv(65536)):
            return False
        got += data
    head, _, body = got.partition(b"\r\n\r\n")
    _, _, after = head.lower().partition(b"content-length:")
    missing = int(after.split(b"\r\n")[0] or 0) - len(body)
    while missing > 0:
        missing -= len(connection.recv(missing))
    return True


@contextmanager
def canned() -> Iterator[Canned]:
    """A server on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Canned(listener)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)  # wakes up the thread that accepts
        thread.join()
