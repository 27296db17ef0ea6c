"""`Desk`: decides, for all workers together, which row and which request may go, and when.

It does no I/O but the ledger's. The local engine calls it; on a cluster it is the one actor that
all workers talk to, so that its limits hold for all of them together.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from qaip_core.bulk.amounts import few
from qaip_core.bulk.exchange import Batch, Reply, Snapshot
from qaip_core.bulk.ledger import Known, Ledger, changed, interrupted
from qaip_core.bulk.pace import Pace
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.record import Key, Record

__all__ = ["Desk"]

_SILENT = 30.0
"""Seconds after which others get the places of a worker that has said nothing; see `Line`."""

_FOR_ALL = frozenset({"AuthenticationError", "MissingKeyError", "PaymentRequiredError"})
"""The errors that every further row would have, too."""


class Desk:
    """Holds the ledger and the limits of a run.

    Parameters:
        ledger: what earlier runs have done; it is written here only.
        plan: the limits.
        facts: what the answers depend on; see `Ledger.start`.

    Raises:
        ConfigurationError: the ledger is of other data or another question.
    """

    def __init__(self, ledger: Ledger, plan: Plan, facts: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._plan = plan
        self._due: dict[Key, tuple[str, bytes]] = {}  # rows to be asked: who has them, and what
        self._flight: dict[Key, str] = {}
        self._lost: set[Key] = set()  # rows of workers that must have died
        self._seen: dict[str, float] = {}  # when each worker last said something
        self._held: dict[str, int] = {}  # rows in flight, by worker
        self._pace = Pace(plan)
        self._in_a_row = 0
        self._began: float | None = None
        try:
            self.now = Snapshot(interrupted=ledger.start(facts))
        except BaseException:
            ledger.close()  # an error that is kept, as notebooks do, keeps the file locked
            raise
        self._note()

    def exchange(self, batch: Batch) -> Reply:
        """Take what a worker tells, and return what it may do.

        Parameters:
            batch: all that it has to say.
        """
        self._seen[batch.worker] = time.monotonic()
        for service, seconds in batch.waits.items():
            if seconds <= self._plan.longest_pause:
                self._pace.pause(service, seconds)
            else:  # those in flight are refused, and keep that
                self.stop(f"{service} asks to wait for {seconds:,.0f} s")
        reply = Reply()
        lost: list[Record] = []
        if batch.opened:
            lost = self._open(batch, reply)
        for record in batch.ended:
            self._end(record)
        for key in batch.dropped:
            self._land(key)
        begun = self._begin(batch, reply)
        if begun and self._began is None:
            self._began = time.monotonic()
        if begun or batch.ended or lost or batch.dropped:
            asked = [(key, digest, batch.worker) for key, digest in begun]
            self._ledger.write(asked, [*batch.ended, *lost], batch.dropped)
            self._note()
        reply.now = now = time.monotonic()
        reply.delays = {s: self._pace.delays(s, n, now) for s, n in batch.requests.items()}
        reply.pauses = self._pace.pauses()
        reply.stop = self.now.stopped is not None
        return reply

    def stop(self, why: str) -> None:
        """Let no further row begin; those in flight come to their end."""
        self.now.stopped = self.now.stopped or why

    def snapshot(self) -> Snapshot:
        """Return how far the run is."""
        self.now.in_flight = len(self._flight)
        self.now.pauses = self._pace.pauses()
        return self.now

    def close(self) -> None:
        """Let go of the ledger."""
        self._ledger.close()

    def _open(self, batch: Batch, reply: Reply) -> list[Record]:
        """Say which rows are to be asked, and return those whose worker must have died."""
        known = self._ledger.known([key for key, _ in batch.opened])
        lost: list[Record] = []
        for key, digest in batch.opened:
            row = known.get(key)
            if digest != (row.digest if row else self._due.get(key, (None, digest))[1]):
                self.now.refusal = changed(key)
                self.stop("the dataset has changed")
            elif row is None or self._is_due(row):
                self._take(key, digest, batch.worker, reply)
            elif row.state == "asked" and row.worker != batch.worker:
                # Its rows come to another one, so it is no more; or the table has the row twice.
                self._land(key)
                if key not in self._lost:
                    self._lost.add(key)
                    lost.append(interrupted(key))
            elif row.state != "asked":
                self.now.known += row.run != self._ledger.run
        self.now.interrupted += len(lost)
        self.now.failed += len(lost)
        return lost

    def _is_due(self, row: Known) -> bool:
        """Tell whether a row that failed in an earlier run is to be asked again."""
        again = self._plan.retry_failed
        if row.state != "failed" or row.run == self._ledger.run:
            return False
        if row.error_type in _FOR_ALL:  # refused, and its reason may be gone
            return True
        return again if isinstance(again, bool) else row.error_type in again

    def _take(self, key: Key, digest: bytes, worker: str, reply: Reply) -> None:
        """Let a worker have a row, unless it has it: a table may hold the same row twice."""
        if self._due.get(key) != (worker, digest):
            self._due[key] = worker, digest
            reply.todo.add(key)

    def _begin(self, batch: Batch, reply: Reply) -> list[tuple[Key, bytes]]:
        """Let as many rows begin as there is room for, and none twice."""
        worker = batch.worker
        room = self._room(worker, len(batch.wanted))
        begun: list[tuple[Key, bytes]] = []
        for key, digest in batch.wanted:
            is_due = self._due.get(key) == (worker, digest)
            if is_due and len(begun) == room:
                break
            reply.begun.append(is_due)
            if is_due:
                del self._due[key]
                self._flight[key] = worker
                begun.append((key, digest))
        self._held[worker] = self._held.get(worker, 0) + len(begun)
        return begun

    def _room(self, worker: str, wanted: int) -> int:
        if self.now.stopped is not None or not wanted:
            return 0
        self._release()
        plan = self._plan
        share = -(-plan.concurrency // plan.workers)  # else the first to come has all
        room = min(plan.concurrency - len(self._flight), share - self._held.get(worker, 0), wanted)
        return max(0, min(room, self._affordable()))

    def _release(self) -> None:
        """Let others have the places of workers that seem to be gone; their rows stay asked."""
        late = time.monotonic() - _SILENT
        silent = {worker for worker, moment in self._seen.items() if moment < late}
        if not silent:
            return
        self._flight = {key: who for key, who in self._flight.items() if who not in silent}
        for worker in silent:
            del self._seen[worker]
            self._held.pop(worker, None)

    def _affordable(self) -> int:
        """Return how many more rows the budget allows, if they take what the others took."""
        plan, totals = self._plan, self._ledger.totals
        limits = (
            ("tokens", plan.budget_tokens, totals.tokens),
            ("money", plan.budget_cost, totals.cost),
        )
        most: float = plan.concurrency
        for what, budget, spent in limits:
            if budget is None or (totals.answered and not spent):  # free, so far
                continue
            each = spent / (totals.answered or 1)
            rows = (budget - spent) / each if each else 1  # the first one tells what rows take
            if rows < 1 and not self._flight:
                self.stop(
                    f"the budget of {budget:,.12g} ({what}) is spent: {spent:,.12g} are gone, and "
                    f"a row takes {few(each)}"
                )
                return 0
            most = min(most, rows - len(self._flight))
        return int(most)

    def _end(self, record: Record) -> None:
        """Count a row that has ended, and stop where the others would fare no better."""
        self._land(record.key)
        self.now.asking = time.monotonic() - (self._began or time.monotonic())
        if record.key in self._lost:  # its worker lives
            self._lost.remove(record.key)
            self.now.failed -= 1
            self.now.interrupted -= 1
        self._ledger.totals.add(record)
        if record.state == "answered":
            self.now.answered += 1
            self._in_a_row = 0
            self._check_measured(record)
            return
        self.now.failed += 1
        self._in_a_row += 1
        if record.error_type in _FOR_ALL:
            self.now.fatal = self.now.fatal or record
            self.stop(f"every further row would fail, too: {record.error_type}")
        elif self._in_a_row >= self._plan.stop_after:
            self.stop(
                f"{self._in_a_row} rows failed one after the other, the last with "
                f"{record.error_type}: {record.error_message}"
            )

    def _check_measured(self, record: Record) -> None:
        """Stop where a budget cannot be held; what a cache answers is not counted by anyone."""
        plan, totals = self._plan, self._ledger.totals
        if not record.requests and (totals.cost or totals.tokens):
            return
        if plan.budget_cost is not None and record.cost is None:
            self.stop("the service tells no price, so the budget needs prices=...")
        if plan.budget_tokens is not None and not record.usage:
            self.stop("the service counts no tokens, so a budget of them cannot be held")

    def _land(self, key: Key) -> None:
        worker = self._flight.pop(key, None)
        if worker is not None:
            self._held[worker] -= 1

    def _note(self) -> None:
        totals = self._ledger.totals
        self.now.tokens, self.now.cost = totals.tokens, totals.cost
        self.now.requests = totals.requests
