"""What workers and the desk say to each other, and what the desk says of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from qaip_core.bulk.record import Key, Record

__all__ = ["Batch", "Reply", "Snapshot"]


@dataclass(slots=True)
class Batch:
    """What a worker tells and asks for, all at once.

    Parameters:
        worker: its name, another one after each restart.
        opened: keys of rows that it has, with the digests of their questions.
        wanted: keys of rows, with digests, that it could begin now.
        requests: how many requests are waiting, by service.
        waits: the seconds that services have asked to wait.
        ended: rows that are answered or failed.
        dropped: rows that began, but for which nothing was sent until the run was stopped.
    """

    worker: str
    opened: list[tuple[Key, bytes]] = field(default_factory=list)
    wanted: list[tuple[Key, bytes]] = field(default_factory=list)
    requests: dict[str, int] = field(default_factory=dict)
    waits: dict[str, float] = field(default_factory=dict)
    ended: list[Record] = field(default_factory=list)
    dropped: list[Key] = field(default_factory=list)


@dataclass(slots=True)
class Reply:
    """What a worker may do.

    Parameters:
        todo: the rows, of those that it opened, that are to be asked.
        begun: for the rows that it wanted, from the first, whether they begin; False for one that
            is asked already. Those beyond ask again.
        now: the time by the desk's clock, in seconds.
        delays: when requests may go, in seconds from now, by service; those beyond ask again.
        pauses: seconds for which no request may go to a service.
        stop: whether no further row is to begin.
    """

    todo: set[Key] = field(default_factory=set)
    begun: list[bool] = field(default_factory=list)
    now: float = 0.0
    delays: dict[str, list[float]] = field(default_factory=dict)
    pauses: dict[str, float] = field(default_factory=dict)
    stop: bool = False


@dataclass(slots=True, kw_only=True)
class Snapshot:
    """How far a run is.

    Parameters:
        answered, failed: rows of this run.
        known: rows that earlier runs have answered, or failed to.
        in_flight: rows that are being asked.
        asking: seconds from the first row's beginning to the last one's end.
        tokens, cost, requests: what all runs together have taken.
        interrupted: rows of which nobody knows what came, since their worker, or the last run,
            ended in the middle.
        pauses: seconds for which services want no request.
        stopped: why no further row begins.
        fatal: the row that failed with what all others would fail with, too.
        refusal: why rows cannot be told apart.
    """

    answered: int = 0
    failed: int = 0
    known: int = 0
    in_flight: int = 0
    asking: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    requests: int = 0
    interrupted: int = 0
    pauses: Mapping[str, float] = field(default_factory=dict)
    stopped: str | None = None
    fatal: Record | None = None
    refusal: str | None = None
