"""What is known of a client: its requests, what they became, and what its application says."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from qaip_sandbox._wire import compact
from qaip_sandbox.journal import Record

from .limits import Limits

__all__ = ["Case", "Chain", "Deed", "bare", "broken", "failed", "pairs", "served", "whole"]

Chain = tuple[Record, ...]
"""One request and its repetitions: each but the first followed a failure."""

_CUTS = frozenset({"truncate", "disconnect", "error", "corrupt"})
_NOTICE = 0.02
_ASIDE = re.compile(r"<think>.*?</think>|\[\d+(?:\s*,\s*\d+)*\]|\s+", re.S)


@dataclass(slots=True)
class Deed:
    """One call of the application, and what came of it.

    Args:
        first: The number of the last request before it.
        last: The number of the last request in it; None while it runs.
        ended: When it ended, in seconds of `time.monotonic()`.
        outcome: "left" is a call that was cancelled; "" one that still runs.
        text: What it returned; None where that is not known.
        part: Whether the text is meant to be a part of the answer only.
    """

    first: int
    last: int | None = None
    ended: float = 0.0
    outcome: Literal["", "ok", "error", "left"] = ""
    text: str | None = None
    part: bool = False

    def covers(self, number: int) -> bool:
        """Say whether request `number` was made while this call ran."""
        return self.first < number and (self.last is None or number <= self.last)


def broken(record: Record) -> bool:
    """Say whether an answer began well and was not what it should be."""
    if record.fault == "page":
        return 0 < record.status < 400
    return record.hit and record.fault in _CUTS


def failed(record: Record) -> bool:
    """Say whether a request came to nothing that a client may take for an answer."""
    if not record.status or record.status >= 400 or broken(record) or record.unfinished:
        return True
    # Without a fault, a client that goes away may just have heard enough, if it has heard a thing.
    return record.state == "aborted" and (record.hit or not record.frames)


def whole(record: Record) -> bool:
    """Say whether a request was answered, to the end."""
    return record.state == "complete" and not failed(record)


def served(record: Record) -> list[str]:
    """Return the texts of an answer, without markers and white space."""
    return [text for said in record.said if (text := bare(said.text))]


def bare(text: str) -> str:
    """Return `text` without markers, reasoning and white space."""
    return _ASIDE.sub("", text)


def pairs(chain: Chain) -> Iterator[tuple[Record, Record]]:
    """Yield each failure with the attempt that followed it."""
    yield from pairwise(chain)


@dataclass(frozen=True)
class Case:
    """All that a verdict rests on.

    Args:
        records: The requests, oldest first.
        deeds: The calls of the application.
        limits: What is still good manners.
        now: The time of the verdict, in seconds of `time.monotonic()`.
        ended: When the client had nothing more to do, or `now`.
    """

    records: Sequence[Record]
    deeds: Sequence[Deed]
    limits: Limits
    now: float
    ended: float

    def owners(self, record: Record) -> tuple[int, ...]:
        """Return the places of the calls that a request may belong to."""
        return tuple(p for p, deed in enumerate(self.deeds) if deed.covers(record.number))

    @cached_property
    def chains(self) -> list[tuple[tuple[int, ...], Chain]]:
        """Every request with its repetitions, and the calls that it may belong to."""
        alike: dict[Any, list[Record]] = {}
        for record in self.records:
            print_ = (record.service, record.method, record.path, record.query)
            same = (self.owners(record), *print_, compact(record.body))
            alike.setdefault(same, []).append(record)
        return [
            (owners, tuple(chain))
            for (owners, *_), records in alike.items()
            for chain in _told_apart(records, len(owners))
        ]

    def judged(self) -> Iterator[tuple[Deed, list[Chain]]]:
        """Yield the calls that have ended, with the requests that are theirs beyond doubt."""
        for place, deed in enumerate(self.deeds):
            own = [chain for owners, chain in self.chains if owners == (place,)]
            if own and deed.outcome and not self.overlapping(place):
                yield deed, own

    def overlapping(self, place: int) -> bool:
        """Say whether another call ran at the time of this one, with requests of both."""
        return any(place in owners and len(owners) > 1 for owners, _ in self.chains)


def _told_apart(records: Sequence[Record], senders: int) -> list[list[Record]]:
    """Return requests for the same thing as chains of repetitions, of `senders` calls."""
    chains: list[list[Record]] = []
    for batch in _batches(records):
        first = batch[0].number
        for record in batch:
            before = [c for c in chains if c[-1].number < first and failed(c[-1])]
            # Each of several calls may have sent this one for itself.
            if before and len(chains) >= senders:
                # Of several that failed, the one that waits longest: nobody is accused in doubt.
                min(before, key=lambda chain: chain[-1].ended).append(record)
            else:
                chains.append([record])
    return chains


def _batches(records: Sequence[Record]) -> list[list[Record]]:
    """Return the requests that ran at the same time together: none of them repeats another."""
    batches: list[list[Record]] = []
    end = 0.0
    for record in records:
        if not batches or record.started >= end:
            batches.append([])
        batches[-1].append(record)
        # The server hears of a client that has gone a moment after it has.
        notice = _NOTICE if record.state == "aborted" else 0.0
        end = max(end, (record.ended or math.inf) - notice)
    return batches
