"""The faults that a sandbox can inject, one request each, and the queue that they wait in."""

import json
import random
import threading
from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from .names import ServiceName
from .switches import reason

__all__ = [
    "KINDS",
    "Corrupt",
    "Disconnect",
    "Drip",
    "ErrorEvent",
    "Fault",
    "Faults",
    "OnlyPings",
    "Page",
    "Stall",
    "Status",
    "Truncate",
    "fault_of",
]

_Chance = Annotated[float, Field(gt=0, le=1)]
_Count = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_HeaderText = Annotated[str, Field(pattern="^[ -~]*$")]


class _Fault(BaseModel):
    """What all faults have in common.

    Args:
        service: The service whose next request is hit, or None for any.
        path: How the path of that request ends, for example "/search"; "" for any.
        chance: The share of these requests that is hit, above 0 to 1, drawn from the seed.
        times: How many requests are hit, 1 or more; None for no end.
        after: How many events of a stream are sent before, 0 or more. Of an answer that is no
            stream, 0 means nothing, and anything else half of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    service: ServiceName | None = None
    path: str = ""
    chance: _Chance = 1.0
    times: Annotated[int, Field(ge=1)] | None = 1
    after: _Count = 2


class Status(_Fault):
    """A refusal with an HTTP status, in the words and the shape of the service.

    Args:
        code: The status, 400 to 599.
        retry_after: The value of the Retry-After header, in seconds, 0 or more, or as an HTTP
            date (printable ASCII); None for no such header.
        message: What the body says; None for the service's own words.
    """

    kind: Literal["status"] = "status"
    code: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: _Seconds | _HeaderText | None = None
    message: str | None = None


class Page(_Fault):
    """An HTML page, as proxies send it.

    Args:
        code: Its status, 200 to 599.
    """

    kind: Literal["page"] = "page"
    code: Annotated[int, Field(ge=200, le=599)] = 502


class Truncate(_Fault):
    """A body that ends early, although its transfer is complete."""

    kind: Literal["truncate"] = "truncate"


class Disconnect(_Fault):
    """A connection that is cut in the middle of the body; with `after=0`, before any answer."""

    kind: Literal["disconnect"] = "disconnect"


class Stall(_Fault):
    """A body that stops and goes no further.

    Args:
        seconds: How long the silence lasts before the answer goes on, 0 or more; None for as long
            as the client stays.
    """

    kind: Literal["stall"] = "stall"
    seconds: _Seconds | None = None


class OnlyPings(_Fault):
    """A stream that sends nothing but keep-alives from some event on.

    Where a service has none, and in an answer that is no stream, nothing is sent at all.

    Args:
        every: The time between them, in seconds, above 0.
        seconds: How long that lasts before the answer goes on; None for as long as the client
            stays.
    """

    kind: Literal["pings"] = "pings"
    every: Annotated[float, Field(gt=0)] = 0.1
    seconds: _Seconds | None = None


class Corrupt(_Fault):
    """A body with broken bytes in it: half of an event is missing, or half of the answer."""

    kind: Literal["corrupt"] = "corrupt"


class Drip(_Fault):
    """A body whose bytes arrive in small pieces.

    Args:
        size: The bytes of a piece, 1 or more.
        every: The time between the pieces, in seconds, 0 or more.
    """

    kind: Literal["drip"] = "drip"
    after: _Count = 0
    size: Annotated[int, Field(ge=1)] = 1
    every: _Seconds = 0.001


class ErrorEvent(_Fault):
    """An error that the service reports in the middle of a stream.

    A whole answer becomes its status 500; a refusal stays as it is.

    Args:
        message: What it says; None for the service's own words.
    """

    kind: Literal["error"] = "error"
    message: str | None = None


Fault = Status | Page | Truncate | Disconnect | Stall | OnlyPings | Corrupt | Drip | ErrorEvent
KINDS: dict[str, type[_Fault]] = {
    kind.model_fields["kind"].default: kind for kind in get_args(Fault)
}
"""The classes of faults by the kinds that requests name them by."""

_FAULT: TypeAdapter[Fault] = TypeAdapter(Annotated[Fault, Field(discriminator="kind")])


def fault_of(given: Any) -> Fault:
    """Return the fault that a JSON object or a line of text describes.

    Args:
        given: An object with the key "kind", or text such as
            `status; code=429; retry_after=1; service=dify`.

    Raises:
        ValueError: there is no such fault; the message says which there are.
    """
    try:
        return _FAULT.validate_python(_parsed(given) if isinstance(given, str) else given)
    except ValidationError as error:
        raise ValueError(f"no such fault: {reason(error)}") from None


def _parsed(text: str) -> dict[str, Any]:
    kind, *settings = (part.strip() for part in text.split(";"))
    pairs = (setting.partition("=") for setting in settings if setting)
    return {"kind": kind, **{name.strip(): _value(value.strip()) for name, _, value in pairs}}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


class Faults:
    """The faults that wait for their request. It may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._drawing: dict[int, random.Random] = {}

    def __len__(self) -> int:
        """Return how many requests the faults will hit; one without an end counts once."""
        return sum(fault.times or 1 for fault in self.waiting)

    @property
    def waiting(self) -> Sequence[Fault]:
        """The faults that have not hit yet, in the order in which they will."""
        with self._lock:
            return tuple(self._waiting)

    def add(self, *faults: Fault) -> None:
        """Queue faults. Each hits the first requests that it fits and is drawn for."""
        with self._lock:
            self._waiting.extend(faults)

    def clear(self) -> None:
        """Drop all faults that have not hit, and begin the draws anew."""
        with self._lock:
            self._waiting.clear()
            self._drawing.clear()

    def take(self, service: str, path: str, seed: int = 0) -> Fault | None:
        """Return the first fault that hits a request, and drop or count it; None without one.

        Args:
            service: The service that is asked.
            path: The path of the request.
            seed: What the draws for a `chance` below 1 come from: the same requests in the same
                order are hit again.
        """
        with self._lock:
            for place, fault in enumerate(self._waiting):
                fits = fault.service in (None, service) and path.endswith(fault.path)
                if fits and self._drawn(fault, seed):
                    self._waiting[place : place + 1] = _rest(fault)
                    return fault
        return None

    def drawn(self, fault: Fault, seed: int = 0) -> bool:
        """Say whether `fault` hits a request that it fits, whatever waits here."""
        with self._lock:
            return self._drawn(fault, seed)

    def _drawn(self, fault: Fault, seed: int) -> bool:
        if fault.chance == 1:
            return True
        if seed not in self._drawing:
            self._drawing = {seed: random.Random(seed)}  # noqa: S311 - no secret
        return self._drawing[seed].random() < fault.chance


def _rest(fault: Fault) -> list[Fault]:
    """Return what waits on after `fault` has hit once."""
    if fault.times is None:
        return [fault]
    return [fault.model_copy(update={"times": fault.times - 1})] if fault.times > 1 else []
