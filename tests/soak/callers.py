"""Those who call: they read to the end, or leave early in one of several ways."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from llama_index.core.llms import ChatMessage

from soak.cases import Case
from soak.faults import LIMIT, RETRIES
from support.faults.subjects import SUBJECTS, Outcome, Subject

__all__ = ["Objects", "Seen", "aask", "ask"]


class Objects:
    """One object of each class (and each client of the core), which all callers share."""

    def __init__(self, url: str) -> None:
        fields: Mapping[str, Any] = {
            "max_retries": RETRIES, "timeout": LIMIT, "stream_idle_timeout": LIMIT,
        }  # fmt: skip
        self._made: dict[str, Any] = {}
        self._sync: dict[str, Any] = {}
        self._async: dict[str, Any] = {}
        for s in SUBJECTS:
            key = _key(s)
            if key not in self._made:
                self._made[key] = s.make(f"{url}/{s.service}", **fields)
            (self._async if s.is_async else self._sync)[key] = self._made[key]

    def of(self, subject: Subject) -> Any:
        """Return what a subject asks."""
        return self._made[_key(subject)]

    def close(self) -> None:
        """Close the connections of sync calls."""
        for made in self._sync.values():
            made.__exit__(None, None, None)

    async def aclose(self) -> None:
        """Close the connections that belong to the running event loop."""
        for made in self._async.values():
            await made.__aexit__(None, None, None)


def _key(subject: Subject) -> str:
    """Name the object: the classes of the frameworks serve sync and async calls alike."""
    if subject.layer == "core":
        return f"{subject.service} {subject.operation} {subject.is_async}"
    return subject.name.partition(".")[0]


class Seen(NamedTuple):
    """What a caller saw.

    last: the last object that it was given.
    left: whether it left before the end.
    seconds: how long it took.
    """

    outcome: Outcome
    last: Any
    left: bool
    seconds: float


class _LeftError(Exception):
    """The reader breaks off."""


class _Reader:
    """Reads as its subject does, but leaves when its time has come."""

    def __init__(self, case: Case) -> None:
        self.way = case.subject.way
        leaving = case.leaving
        breaks = leaving is not None and leaving.way == "breaks off"
        self._pieces = leaving.after if leaving and breaks else None
        self._count = 0
        self._began = time.monotonic()
        self.outcome = Outcome()
        self.last: Any = None
        self.asking = replace(
            case.subject,
            way=replace(
                self.way, question=_question(case), read=self._read, after=self._read_after
            ),
        )

    def _read(self, outcome: Outcome, piece: Any) -> None:
        self.outcome = outcome
        if self._count == self._pieces:
            raise _LeftError
        self._count += 1
        self.way.read(outcome, piece)
        self.last = piece

    def _read_after(self, outcome: Outcome, began: Any) -> None:
        self.way.after(outcome, began)
        self.last = getattr(began, "source_nodes", self.last)

    def seen(self, *, left: bool = False) -> Seen:
        left = left or isinstance(self.outcome.error, _LeftError)
        return Seen(self.outcome, self.last, left, time.monotonic() - self._began)


def _question(case: Case) -> Any:
    if isinstance(case.subject.way.question, str):
        return case.question
    return (ChatMessage(role="user", content=case.question),)


def ask(case: Case, made: Any) -> Seen:
    """Ask, in this thread."""
    reader = _Reader(case)
    if case.leaving and case.leaving.way == "drops the stream":
        _drop(reader, made, case.leaving.after)
        return reader.seen(left=True)
    reader.outcome = reader.asking.ask_of(made)
    return reader.seen()


async def aask(case: Case, made: Any) -> Seen:
    """Ask, in this event loop."""
    reader = _Reader(case)
    left = True
    try:
        match case.leaving:
            case ("drops the stream", after):
                await _adrop(reader, made, after)
                return reader.seen(left=True)
            case ("is cancelled", after):
                reader.outcome = await _cancelled(reader, made, after / 1000)
            case ("runs out of time", after):
                async with asyncio.timeout(after / 1000):
                    reader.outcome = await reader.asking.aask_of(made)
            case _:
                reader.outcome = await reader.asking.aask_of(made)
        left = False
    except (asyncio.CancelledError, TimeoutError):
        if case.leaving is None:
            raise
    return reader.seen(left=left)


async def _cancelled(reader: _Reader, made: Any, seconds: float) -> Outcome:
    task = asyncio.create_task(reader.asking.aask_of(made))
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        return await task
    finally:
        timer.cancel()


def _drop(reader: _Reader, made: Any, after: int) -> None:
    """Read some pieces and let go of the stream, without closing it."""
    outcome = Outcome()
    try:
        pieces = iter(reader.way.pieces(reader.asking.open(made)))
        for _, piece in zip(range(after), pieces, strict=False):
            reader.asking.way.read(outcome, piece)
    except Exception as error:  # noqa: BLE001 -- it is the outcome
        reader.outcome.error = error.with_traceback(None)


async def _adrop(reader: _Reader, made: Any, after: int) -> None:
    outcome = Outcome()
    try:
        pieces = aiter(reader.way.apieces(await reader.asking.aopen(made)))
        for _ in range(after):
            reader.asking.way.read(outcome, await anext(pieces))
    except StopAsyncIteration:
        pass
    except Exception as error:  # noqa: BLE001 -- it is the outcome
        reader.outcome.error = error.with_traceback(None)
