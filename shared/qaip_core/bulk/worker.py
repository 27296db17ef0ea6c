"""`Worker`: asks the rows that it is given, as many at a time as the desk allows."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import PydanticSerializationError, to_json

from qaip_core.bulk.exchange import Batch, Reply
from qaip_core.bulk.line import Line
from qaip_core.bulk.prices import Prices
from qaip_core.bulk.record import Answered, Asker, Key, Record, taken
from qaip_core.errors import (
    InvalidParameterError,
    RateLimitError,
    ServiceError,
    TransportError,
)
from qaip_core.gate import through

__all__ = ["Due", "Worker", "digest"]

_TRIES = 3
"""How often a row is asked that the service refuses for its rate limit, beyond `max_retries`."""

_LONGEST = 2_000
"""Characters of an error's message that are kept."""


class Due(NamedTuple):
    """A row that is to be asked."""

    key: Key
    digest: bytes
    question: Any


class Worker:
    """Asks rows.

    Parameters:
        asker: the model or chain.
        talk: brings a batch to the desk, and its reply back.
        rates: requests a second by service, "" for each; where there are none, requests go
            without asking the desk first.
        prices: what tokens cost, where the service does not tell.
    """

    def __init__(
        self,
        asker: Asker,
        talk: Callable[[Batch], Awaitable[Reply]],
        *,
        rates: Mapping[str, float] | None = None,
        prices: Prices | None = None,
    ) -> None:
        self._asker = asker
        self._prices = prices
        self._line = Line(_name(), talk, rates or {})

    async def answer(self, rows: Sequence[tuple[Key, Any]]) -> None:
        """Ask those of the rows that are to be asked; return when all are written down.

        Parameters:
            rows: their keys and questions.
        """
        due = await self.due(rows)
        # None is left to go on by itself when another one cannot.
        ended = await asyncio.gather(*map(self.ask, due), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def due(self, rows: Sequence[tuple[Key, Any]]) -> list[Due]:
        """Return those of the rows that are to be asked, each once.

        Parameters:
            rows: their keys and questions.
        """
        found = [Due(key, digest(question), question) for key, question in rows]
        todo = await self._line.open([(row.key, row.digest) for row in found])
        return list({row.key: row for row in found if row.key in todo}.values())

    async def aclose(self) -> None:
        """Say no more. The connections are left to whom the event loop belongs."""
        await self._line.aclose()

    async def ask(self, row: Due) -> None:
        """Ask a row, once it may begin; return when it is written down what came of it.

        Parameters:
            row: one that is to be asked.
        """
        if not await self._line.begin(row.key, row.digest):
            return
        turn = Turn(self._line)
        record = await self._asked(row.key, row.question, turn)
        if turn.was_refused and not turn.requests and record.state == "failed":
            await self._line.drop(row.key)  # nothing is lost: the next run asks it
            return
        record.latency = time.monotonic() - (turn.began or turn.made)
        record.requests = turn.requests
        record.ended_at = time.time()
        await self._line.end(record)

    async def _asked(self, key: Key, question: Any, turn: Turn) -> Record:
        if question is None or (isinstance(question, str) and not question.strip()):
            return _failed(key, InvalidParameterError("the question is empty"))
        for left in itertools.count(_TRIES - 1, -1):
            try:
                with through(turn):
                    answered = await self._asker.ask(question)
                return self._answered(key, answered)
            except BaseException as error:  # the row keeps it, whatever a chain raises
                if _is_end(error):
                    raise
                # Of a chain, calls that were answered would be paid twice.
                is_last = not left or turn.was_answered or self._line.stopped
                if is_last or not isinstance(error, RateLimitError):
                    record = self._priced(_failed(key, error))
                    record.is_unsettled = record.is_unsettled or turn.was_answered
                    return record
                # Where the service has said how long, the gate waits before the next request.
                await asyncio.sleep(0 if error.retry_after else _TRIES - left)
        raise AssertionError  # pragma: no cover -- the last try returns

    def _answered(self, key: Key, answered: Answered) -> Record:
        record = Record(
            key=key,
            state="answered",
            answer=answered.answer,
            citations=answered.citations,
            usage=answered.usage,
            cost=answered.cost,
            model=answered.model,
            finish_reason=answered.finish_reason,
        )
        return self._priced(record)

    def _priced(self, record: Record) -> Record:
        """Return a record with its price, where only `Prices` tell it."""
        is_taken = record.state == "answered" or record.usage is not None
        if record.cost is None and self._prices is not None and is_taken:
            record.cost = self._prices.of(record.usage)
        return record


class Turn:
    """The gate of one row: counts its requests, and keeps them to the common pace.

    Attributes:
        made: when the row began, by the monotonic clock.
        began: when its first request went; None if none did.
        requests: how many went.
        was_answered: whether a service has taken one of them.
        was_refused: whether one did not go, since the run was stopped while it waited.
    """

    __slots__ = ("_line", "began", "made", "requests", "was_answered", "was_refused")

    def __init__(self, line: Line) -> None:
        self._line = line
        self.made = time.monotonic()
        self.began: float | None = None
        self.requests = 0
        self.was_answered = False
        self.was_refused = False

    def admit(self, service: str) -> None:
        """Wait, in a thread, until a request may go.

        Raises:
            RateLimitError: the run was stopped, and nothing has been paid for the row.
        """
        self._count(self._line.admit_in_thread(service, to_the_end=self.was_answered))

    async def aadmit(self, service: str) -> None:
        """Do what `admit` does, without blocking."""
        self._count(await self._line.admit(service, to_the_end=self.was_answered))

    def heard(self, service: str, status: int, retry_after: float | None) -> None:
        """Hold all requests to a service that asks for it."""
        self.was_answered = self.was_answered or status < 400
        if status in (429, 503) and retry_after:
            self._line.pause(service, retry_after)

    def _count(self, is_admitted: bool) -> None:
        if not is_admitted:
            self.was_refused = True
            raise RateLimitError("the run was stopped while the request waited for its time")
        self.requests += 1
        if self.began is None:
            self.began = time.monotonic()


def digest(question: Any) -> bytes:
    """Return what tells a question from others, in eight bytes."""
    try:
        text = to_json(question, bytes_mode="base64", fallback=repr)
    except PydanticSerializationError:  # half a character
        text = repr(question).encode()
    return hashlib.blake2b(text, digest_size=8).digest()


def _is_end(error: BaseException) -> bool:
    """Tell whether the program or the row's task ends; libraries raise CancelledError, too."""
    task = asyncio.current_task()
    is_cancelled = isinstance(error, asyncio.CancelledError) and task and task.cancelling()
    return bool(is_cancelled) or isinstance(error, GeneratorExit | KeyboardInterrupt | SystemExit)


def _failed(key: Key, error: BaseException) -> Record:
    record = Record(key=key, state="failed", error_type=type(error).__name__)
    record.usage, record.cost = taken(error)
    try:
        record.error_message = str(error)[:_LONGEST]
    except Exception:  # noqa: BLE001 -- a class of others may fail at it
        record.error_message = ""
    if isinstance(error, ServiceError):
        record.error_message = error.told("")[:_LONGEST]
        partial = error.partial
        record.error_status = error.status
        record.error_code = error.code
        record.error_request_id = error.request_id
        record.error_retryable = error.is_retryable
        record.is_unsettled = isinstance(error, TransportError) and not error.unsent
        record.partial_answer = error.partial_text or None
        if partial is not None and partial.citations:
            record.citations = [citation.as_dict() for citation in partial.citations]
    return record


def _name() -> str:
    """Return a name that no other worker has, nor this one after a restart."""
    return f"{os.getpid()}-{os.urandom(6).hex()}"
