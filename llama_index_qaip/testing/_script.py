"""What a service shall answer, in neutral terms, and what a service is to the suite."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

__all__ = [
    "FAULT",
    "SOURCES",
    "Answer",
    "Call",
    "Refusal",
    "Request",
    "Service",
    "Source",
    "leaves",
]

FAULT = "The lamp went out."
"""What services say when they report an error."""


@dataclass(frozen=True)
class Source:
    """A source of an answer."""

    title: str
    url: str
    text: str
    score: float = 0.5


SOURCES: Sequence[Source] = (
    Source("Harbour chronicle", "https://chronicle.example/1823", "Lit in May 1823.", 0.75),
    Source("Lights of the coast", "https://lights.example/list", "Electric since 1911.", 0.25),
)


@dataclass(frozen=True)
class Call:
    """A tool call of the model.

    Parameters:
        arguments: as they are meant, or a text that is sent as it is.
        cut: characters that are left out at the end of the arguments.
    """

    name: str
    arguments: Mapping[str, Any] | str
    id: str = "call_a1"
    cut: int = 0

    @property
    def text(self) -> str:
        """Its arguments as they are sent."""
        given = self.arguments
        written = given if isinstance(given, str) else json.dumps(given)
        return written[: len(written) - self.cut]


@dataclass(frozen=True)
class Answer:
    """An answer of the service.

    Parameters:
        pieces: its text, as a stream brings it.
        end: how it ends: as it should, broken off, without the events that complete it, with
            an error that the service reports, with an event that cannot be read, with silence,
            or with pings and nothing else.
        wait: seconds before it begins.
        newline: what ends the lines of a stream.
        bom: whether a stream begins with a byte order mark.
        sizes: bytes of each write; None writes an event at a time.
    """

    pieces: Sequence[str] = ("The lamp ", "was lit ", "in 1823.")
    reasoning: str = ""
    sources: Sequence[Source] = ()
    calls: Sequence[Call] = ()
    prompt_tokens: int = 11
    completion_tokens: int = 7
    cost: float = 0.0125
    finish: str = "stop"
    id: str = "answer-7c21"
    model: str = "lamp-1"
    end: Literal["well", "cut", "short", "error", "malformed", "silence", "pings"] = "well"
    wait: float = 0.0
    newline: bytes = b"\n"
    bom: bool = False
    sizes: int | None = None

    @property
    def text(self) -> str:
        """All of its text."""
        return "".join(self.pieces)

    @property
    def usage(self) -> dict[str, int]:
        """Its token counts, by the names that OpenAI gave them."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


@dataclass(frozen=True)
class Refusal:
    """An error status in place of an answer; ``page`` is sent in place of its JSON body."""

    status: int
    message: str = FAULT
    headers: Mapping[str, str] = field(default_factory=dict)
    page: str | None = None


@dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Parameters:
        headers: by their names in lower case.
        body: the decoded JSON; empty for a GET; the bytes as characters, for an upload.
        connection: the number of the connection that it came by.
    """

    path: str
    headers: Mapping[str, str]
    body: Any
    connection: int
    method: str = "POST"

    def says(self, text: str) -> bool:
        """Tell whether a text stands anywhere in the body."""
        return any(text in leaf for leaf in leaves(self.body))


def leaves(value: Any) -> Iterator[str]:
    """Return all keys and values that JSON holds, as text."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield str(value)


class Service(Protocol):
    """A server on loopback that speaks the dialect of the LLM under test."""

    @property
    def url(self) -> str:
        """Its base URL."""
        ...

    @property
    def requests(self) -> Sequence[Request]:
        """What it was asked since the last `reset`."""
        ...

    def answers(self, *given: Answer | Refusal) -> None:
        """Queue what it says, one for each request; the last one is repeated."""
        ...

    def reset(self) -> None:
        """Forget requests and answers, and drop every client."""
        ...

    def wait_asked(self, seconds: float) -> bool:
        """Wait until a request is in `requests`; False if none has come after so many seconds."""
        ...

    def wait_left(self, seconds: float) -> bool:
        """Wait until no client reads an answer; False if one still does after so many seconds."""
        ...
