"""What a service of the sandbox is: a prefix, a table of routes and its way of refusing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from starlette.datastructures import Headers
from starlette.responses import Response

from ._wire import Pace
from .answers import Answer, answer
from .documents import Document
from .index import Filter, Index

__all__ = ["Call", "Handler", "Library", "Options", "Route", "Run", "Service", "State", "bearer"]


@dataclass(frozen=True, slots=True)
class Options:
    """How the services behave; the parameters are those of `Sandbox`."""

    pace: float = 0.0
    ping_every: float = 10.0
    perplexity_profile: Literal["2026-06", "seed", "retired"] = "2026-06"
    qaip_profile: Literal["later", "seed"] = "later"


@dataclass(slots=True)
class Run:
    """A streamed answer that is still running, and whose user may stop it."""

    user: str
    stopped: bool = False


@dataclass(slots=True)
class State:
    """What the services remember between requests."""

    runs: dict[str, Run] = field(default_factory=dict[str, Run])
    conversations: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, slots=True)
class Library:
    """The documents and the index over their chunks."""

    documents: tuple[Document, ...]
    index: Index

    def answer(self, question: str, allowed: Filter = lambda _: True, limit: int = 5) -> Answer:
        """Answer `question` with at most `limit` sources that `allowed` lets through."""
        return answer(self.index, question, allowed=allowed, limit=limit)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read whole, with what a handler needs to answer it."""

    headers: Headers
    raw: bytes
    parameters: dict[str, str]
    library: Library
    options: Options
    state: State

    @property
    def pace(self) -> Pace:
        """The pace of this call's stream."""
        return Pace(self.options.pace, self.options.ping_every)


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `key_name` tells which of the service's keys opens it."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    key_name: str


@dataclass(frozen=True, slots=True)
class Service:
    """One emulated service.

    `base_path` is what a client's base URL ends with; `keys` maps environment variables to the keys
    that the service accepts; `unauthorized` answers a request whose key is missing (None) or wrong;
    `failed` answers every other failure outside a handler (404, 405, 500).
    """

    name: str
    base_path: str
    base_url_name: str
    keys: dict[str, str]
    routes: tuple[Route, ...]
    key_of: Callable[[Headers], str | None]
    unauthorized: Callable[[str | None], Response]
    failed: Callable[[int], Response]


def bearer(headers: Headers) -> str | None:
    """Return the token of an `Authorization: Bearer` header, or None without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
