"""What a running sandbox consists of, shared by its server and by the thread that owns it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answers import Answer, answer
from .collection import Collection
from .documents import Document
from .faults import Faults
from .index import Filter, Index
from .journal import Journal
from .physics import Pace, Physics
from .switches import Chosen, Switches
from .writer import Writer

__all__ = ["Library", "World"]


@dataclass(frozen=True, slots=True)
class Library:
    """The documents and the index over their chunks."""

    documents: tuple[Document, ...]
    index: Index

    def answer(self, question: str, allowed: Filter = lambda _: True, limit: int = 5) -> Answer:
        """Answer `question` with at most `limit` sources that `allowed` lets through."""
        return answer(self.index, question, allowed=allowed, limit=limit)


@dataclass(slots=True)
class World:
    """The state of a sandbox.

    `keys` maps environment variables to the keys that are valid; `writer` words the answers, None
    for quotes alone; `token` guards the page and the control paths, None for no guard; `hosts` are
    further names that the Host header may have; `largest` is the size in bytes of the largest
    request; `hang_up` cuts the connection of a client's address; `memory` holds what the services
    remember, by its type.
    """

    collection: Collection
    keys: Mapping[str, str]
    switches: dict[str, Switches]
    largest: int
    physics: Physics = field(default_factory=Physics)
    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    memory: dict[Any, Any] = field(default_factory=dict[Any, Any])
    writer: Writer | None = None
    token: str | None = None
    hosts: frozenset[str] = frozenset()
    hang_up: Callable[[Any], None] = lambda _: None

    def __post_init__(self) -> None:
        """Tell the journal which keys it must not show."""
        self.journal.keys = tuple(self.keys.values())

    @property
    def library(self) -> Library:
        """The documents and the index as they are now."""
        return Library(self.collection.documents, self.collection.index)

    def switch(self, wanted: Mapping[str, Chosen]) -> None:
        """Set switches of services, by the services' names; the others stay as they are.

        Raises:
            ValueError: there is no such service, switch or value.
        """
        for name in wanted.keys() - self.switches.keys():
            raise ValueError(f"no service {name!r}; there are {', '.join(self.switches)}")
        now = self.switches
        self.switches = now | {n: type(now[n]).chosen(w, now[n]) for n, w in wanted.items()}

    def pace(self, number: int) -> Pace:
        """Return the pace of the answer to request `number`."""
        return Pace(self.physics, number)
