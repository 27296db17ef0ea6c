"""What a judge is: a table of calls that a client makes, and of what must come of each."""

import asyncio
import inspect
import signal
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ANSWER", "QUESTION", "SOURCE", "Call", "Judge", "Said", "outcome"]

QUESTION = "How often does the lamp of the Merrøw lighthouse flash?"
ANSWER = "The lamp of the Merrøw lighthouse flashes twice every eleven seconds."
SOURCE = "lighthouse.md"
_SECONDS = 60


@dataclass(frozen=True)
class Said:
    """What a client handed to its user.

    `pieces` make up the text, one for each part of a stream; `sources` are the addresses or the
    names of what it cites; `tokens` is the total of the usage.
    """

    pieces: Sequence[str]
    sources: Sequence[str] = ()
    tokens: int | None = None


@dataclass(frozen=True)
class Call:
    """One call of a client, and what must come of it.

    `service` and `profile` are those of the sandbox that it meets, `switches` what is set there
    besides, and `fault` what is injected. `says` must be in the text; with `raises`, an error whose
    class has this name, with `says` in its message, must come instead. `cites` and `counts` ask for
    the source and for the usage too.
    """

    name: str
    service: str
    profile: str
    switches: Mapping[str, Any]
    fault: str
    says: str
    raises: str
    cites: bool
    counts: bool
    ask: Callable[[], Said | Awaitable[Said]] = field(repr=False)

    @property
    def streamed(self) -> bool:
        """Whether the answer must come in more than one piece."""
        return "_streamed" in self.name and not self.raises

    @property
    def id(self) -> str:
        """The name of the call with its setting, unique in its judge."""
        switches = (f"{name}={value}" for name, value in self.switches.items())
        return f"{self.name}[{' '.join((self.service, self.profile, *switches))}]"


class Judge:
    """The calls of one client, in the order in which they are written."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def call(
        self,
        service: str,
        *profiles: str,
        says: str = "",
        raises: str = "",
        fault: str = "",
        cites: bool = False,
        counts: bool = False,
        **switches: Any,
    ) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
        """Add a function to the calls, once for each profile of the service.

        The keywords that a call has no field for are switches of the service.
        """
        said = says or ("" if raises else ANSWER)

        def add(ask: Callable[[], Any]) -> Callable[[], Any]:
            name = ask.__name__
            self.calls += [
                Call(name, service, profile, switches, fault, said, raises, cites, counts, ask)
                for profile in profiles
            ]
            return ask

        return add


def outcome(call: Call) -> dict[str, Any]:
    """Make a call, and return what the client said or raised."""
    found: dict[str, Any] = {"name": call.id}
    try:
        said = _within(_SECONDS, call.ask)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the result
        kinds = [kind.__name__ for kind in type(error).__mro__]
        return {**found, "errors": kinds, "message": _words(error)}
    return {**found, "errors": [], "text": "".join(said.pieces), **asdict(said)}


def _words(error: BaseException) -> str:
    """Return what an error says, with its cause and with the answer that it carries.

    One without words, such as an assertion, is told by the line that raised it.
    """
    line = traceback.extract_tb(error.__traceback__)[-1].line
    cause = error.__cause__ or ""
    return f"{str(error) or line} {cause} {getattr(error, 'body', '')}".rstrip()


def _within(seconds: int, ask: Callable[[], Any]) -> Said:
    def late(*_: object) -> None:
        raise TimeoutError(f"no answer within {seconds} seconds")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        return asyncio.run(ask()) if inspect.iscoroutinefunction(ask) else ask()
    finally:
        signal.alarm(0)
