"""Asks a service, whole or streamed, and gets the answer that a test says."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from qaip_core import Client, Completion
from qaip_core.operation import Operation
from qaip_core.types import add_up
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply
from support.right_bodies import Right

__all__ = ["Asker", "asking"]

T = TypeVar("T")


class Asker:
    """Asks over one connection: a server and a client for each row would take most of its time."""

    def __init__(self, server: FaultServer, http: httpx.Client) -> None:
        self._server, self._http = server, http

    def whole(self, right: Right, body: Any, **values: Any) -> Completion:
        """The answer that a whole body means; NaN and infinity are written as Python does."""
        return self.sent(right, json_reply(body), **values)

    def sent(self, right: Right, reply: Reply, **values: Any) -> Completion:
        """The whole answer that a reply means."""
        self._server.replies(reply)
        if right.endpoint.backend.name == "dify":
            values["response_mode"] = "blocking"
        return self._client(right).complete(right.endpoint, "q", _values(right, values))

    def streamed(self, right: Right, events: Sequence[Any], **values: Any) -> Completion:
        """The sum of the increments of a stream; bytes among its events are sent as they are."""
        data = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        media = "text/plain" if right.lines else "text/event-stream"
        frame = b"%b\n" if right.lines else b"data: %b\n\n"
        self._server.replies(Reply(content_type=media, body=b"".join(frame % d for d in data)))
        increments = self._client(right).stream(right.endpoint, "q", _values(right, values))
        return add_up(increments)

    def listed(self, right: Right, listing: Operation[T], body: Any) -> T:
        """What a service's list means."""
        self._server.replies(json_reply(body))
        return self._client(right).fetch(listing)

    def _client(self, right: Right) -> Client:
        return Client(settings(right.endpoint, self._server.url, http_client=self._http))


@contextmanager
def asking() -> Iterator[Asker]:
    """A server and a connection to it."""
    with FaultServer() as server, httpx.Client(verify=False) as http:
        yield Asker(server, http)


def _values(right: Right, values: Mapping[str, Any]) -> dict[str, Any]:
    return {**dict.fromkeys(right.endpoint.required, "m"), **right.values, **values}
