"""What a service of the sandbox is: a prefix, a table of routes and its way of refusing."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from starlette.datastructures import Headers
from starlette.responses import Response

from .journal import Record
from .physics import Pace
from .switches import Switches
from .world import Library, World

__all__ = ["Call", "Handler", "Library", "Route", "Service", "bearer"]

_Kept = TypeVar("_Kept")
_Switches = TypeVar("_Switches", bound=Switches)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read whole, with what a handler needs to answer it.

    `parameters` are those of the path and of the query; `record` is its line in the journal.
    """

    headers: Headers
    raw: bytes
    parameters: dict[str, str]
    world: World
    switches: Switches
    pace: Pace
    record: Record

    @property
    def library(self) -> Library:
        """The documents as they are now."""
        return self.world.library

    def key(self, name: str) -> str:
        """Return the key that is valid now for an environment variable."""
        return self.world.keys[name]

    def switched(self, kind: type[_Switches]) -> _Switches:  # noqa: ARG002 - its type counts
        """Return the switches of this call, as the class that the service declares."""
        return cast("_Switches", self.switches)

    def remembered(self, kind: Callable[[], _Kept]) -> _Kept:
        """Return the one `kind` that lasts as long as the sandbox, made when first asked for."""
        if kind not in self.world.memory:
            self.world.memory[kind] = kind()
        return cast("_Kept", self.world.memory[kind])


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    `key_name` tells which of the service's keys opens it; `base` is the prefix of `path`, where
    that is not the service's own.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    handler: Handler
    key_name: str
    base: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One emulated service.

    `base_path` is what a client's base URL ends with; `keys` maps environment variables to the keys
    that the service accepts; `switches` are its profile and what else can be chosen.

    `authorize` returns the refusal of a call whose key is missing or wrong, or None. `failed` is
    every other failure outside a handler, in the service's shape: a status (404, 405, 413, 429,
    500, ...), the switches, and words for it, or None for the service's own. `error_event` is an
    error in the middle of a stream and `ping` a keep-alive, both as bytes; empty where the service
    has none. `key_header` is where a key stands; in the first, behind "Bearer".
    """

    name: str
    base_path: str
    base_url_name: str
    keys: dict[str, str]
    routes: tuple[Route, ...]
    authorize: Callable[[Call, str], Response | None]
    failed: Callable[[int, Switches, str | None], Response]
    error_event: Callable[[Switches, str | None], bytes]
    ping: Callable[[Switches], bytes]
    switches: type[Switches] = Switches
    key_header: Literal["authorization", "x-api-key"] = "authorization"

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of its routes, its own first."""
        return tuple(
            dict.fromkeys([self.base_path, *(r.base or self.base_path for r in self.routes)])
        )


def bearer(headers: Headers) -> str | None:
    """Return the token of an `Authorization: Bearer` header, or None without one."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
