"""The judge: watches what a client asks, hears what its application says, and decides."""

import asyncio
import time
from collections.abc import Collection, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from qaip_sandbox.journal import Journal, without

from .case import Case, Deed
from .limits import Limits
from .rules import findings
from .verdict import Verdict

__all__ = ["Judge", "JudgedCall", "pending", "verdict"]

_LOOK = 0.005


class JudgedCall:
    """One call of an application, as a context manager, sync or async.

    An exception that leaves it is its outcome, and is raised on.
    """

    def __init__(self, deed: Deed, journal: Journal) -> None:
        self._deed = deed
        self._journal = journal

    def returned(self, text: str | None, *, part: bool = False) -> None:
        """Tell what the application returned.

        Args:
            text: The text of the answer, as the client library gave it; "" or None for nothing.
            part: Whether that is meant to be a part of the answer only, as with stop sequences.

        Raises:
            TypeError: it is no text.
        """
        if not isinstance(text, str | None):
            raise TypeError(f"give the text of the answer, not a {type(text).__name__}")
        self._deed.text = text or ""
        self._deed.part = part

    def failed(self) -> None:
        """Tell that the application reported an error, without an exception."""
        self._deed.outcome = "error"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deed.last = self._journal.count
        self._deed.ended = time.monotonic()
        if error:
            self._deed.outcome = "error" if isinstance(error, Exception) else "left"
        self._deed.outcome = self._deed.outcome or "ok"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


class Judge:
    """Judges the client of a sandbox by what it asks from now on.

    Use it as a context manager, sync or async, or as it is. At its end it waits, for at most
    `linger` seconds, until the streams of the client are closed.

    Args:
        journal: What the sandbox is asked.
        keys: The keys that open its services.
        limits: What is still good manners.
    """

    def __init__(self, journal: Journal, keys: Collection[str], limits: Limits) -> None:
        self._journal = journal
        self._keys = frozenset(keys)
        self._limits = limits
        self._since = journal.count
        self._until: int | None = None
        self._ended = 0.0
        self._deeds: list[Deed] = []

    def call(self) -> JudgedCall:
        """Return a context manager for one call of the application, which begins now."""
        self._deeds.append(Deed(self._journal.count))
        return JudgedCall(self._deeds[-1], self._journal)

    @property
    def verdict(self) -> Verdict:
        """What is found so far.

        Where a stream is still open, this waits until it is closed, or until it may be called a
        leak. Within an event loop it does not wait; `async with` does, without blocking the loop.
        """
        if not _in_loop():
            self._settle()
        ended = self._ended or time.monotonic()
        last = self._journal.count if self._until is None else self._until
        numbers = range(self._since + 1, last + 1)
        return verdict(
            self._journal, numbers, self._deeds, limits=self._limits, keys=self._keys, ended=ended
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        if not _in_loop():
            self._settle()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        while self._unsettled():  # noqa: ASYNC110 - what is waited for is in another thread
            await asyncio.sleep(_LOOK)

    def _end(self) -> None:
        self._until = self._journal.count
        self._ended = time.monotonic()

    def _settle(self) -> None:
        while self._unsettled():
            time.sleep(_LOOK)

    def _unsettled(self) -> bool:
        last = self._journal.count if self._until is None else self._until
        ends = [self._ended, *(deed.ended for deed in self._deeds)]
        return pending(self._journal, range(self._since + 1, last + 1), max(ends), self._limits)


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def pending(journal: Journal, numbers: range, ended: float, limits: Limits) -> bool:
    """Say whether it is too early to judge: some requests run, and may yet end in time."""
    if not any(number in numbers for number in tuple(journal.running)):
        return False
    return time.monotonic() <= ended + limits.linger + _LOOK


def verdict(
    journal: Journal,
    numbers: range,
    deeds: Sequence[Deed],
    *,
    limits: Limits,
    keys: Collection[str],
    ended: float,
) -> Verdict:
    """Return the verdict on the requests with these numbers.

    Args:
        journal: What the sandbox was asked.
        numbers: The numbers of the requests.
        deeds: The calls of the application.
        limits: What is still good manners.
        keys: The keys that open the services; no finding shows them.
        ended: When the client had nothing more to do, in seconds of `time.monotonic()`.
    """
    records = [record for record in tuple(journal.records) if record.number in numbers]
    records.sort(key=lambda record: record.number)
    # As in the journal: what was told is compared with it.
    told = [replace(d, text=d.text and without(keys, d.text)) for d in deeds]
    case = Case(records, told, limits, time.monotonic(), ended)
    return Verdict(findings(case), len(records), len(deeds))
