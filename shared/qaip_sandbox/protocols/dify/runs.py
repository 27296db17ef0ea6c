"""The runs that are going on: who may stop them, and how many there may be."""

import asyncio
import time
import weakref
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from qaip_sandbox._wire import request_id

from .profiles import profile_of
from .refusals import invalid
from .switches import DifySwitches

__all__ = ["APP", "Run", "Runs"]

APP = "0d5c7c0e-6d7f-4f0b-9d3a-5a1d5d1b0a01"
"""The id of the app, which the service tells where it has too much to do."""


@dataclass(slots=True, weakref_slot=True, eq=False)
class Run:
    """An answer on its way; `ended` frees its place, `halted` says that it shall go no further.

    As a context manager it ends when the block fails: before that, it ends with its last event.
    """

    user: str
    id: str = field(default_factory=request_id)
    started: float = field(default_factory=time.monotonic)
    ended: bool = False
    halted: bool = False
    patience: asyncio.Timeout | None = None

    def halt(self) -> None:
        """End the run now, also in the middle of a wait."""
        self.halted = True
        if self.patience and not self.ended:
            self.patience.reschedule(asyncio.get_running_loop().time())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended = self.ended or error is not None


class Runs:
    """The runs by their task ids. One that nobody sends any more is forgotten by itself."""

    def __init__(self) -> None:
        self._runs: weakref.WeakValueDictionary[str, Run] = weakref.WeakValueDictionary()

    def begin(self, switches: DifySwitches, user: str) -> Run:
        """Return a new run.

        Raises:
            Refusal: there are as many as there may be.
        """
        most = switches.concurrency
        if most is not None and sum(not run.ended for run in self._runs.values()) >= most:
            app = "" if profile_of(switches).restful else f" for {APP}"
            words = f"The current maximum concurrent requests allowed{app} is {most}."
            raise invalid(switches, f"Too many requests. Please try again later. {words}")
        run = Run(user)
        self._runs[run.id] = run
        return run

    def stop(self, task: str, user: str) -> None:
        """Halt a run of this user; another's, and an unknown one, goes on."""
        run = self._runs.get(task)
        if run and run.user == user:
            run.halt()
