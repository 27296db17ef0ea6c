"""A worker asks its rows within the desk's limits, and keeps what came of each."""

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qaip_core.bulk.desk import Desk
from qaip_core.bulk.exchange import Batch, Reply, Snapshot
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.prices import Prices
from qaip_core.bulk.record import Answered, Record
from qaip_core.bulk.worker import Worker, digest
from qaip_core.errors import ConfigurationError
from qaip_core.gate import GATE, Gate
from support.backends import KEY
from support.bulk import CoreAsker, Doing
from support.fault_server import FaultServer, Recorded, json_reply
from support.fault_server import Reply as Http

OK = {
    "id": "i",
    "model": "sonar",
    "object": "chat.completion",
    "created": 1,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Tea [1]."},
            "delta": {"role": "assistant", "content": ""},
        }
    ],
    "search_results": [{"title": "T", "url": "https://example.com/tea", "snippet": "Tea."}],
    "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
}


class Server(FaultServer):
    """Answers each question as a function of it and of how often it was asked says."""

    def __init__(self, replied: Callable[[str, int], Http]) -> None:
        super().__init__()
        self.asked: dict[str, int] = {}
        self._replied = replied

    def answer(self, request: Recorded) -> Http:
        self.requests.append(request)
        question = json.loads(request.body)["messages"][0]["content"]
        self.asked[question] = self.asked.get(question, 0) + 1
        return self._replied(question, self.asked[question])


def run_function(
    folder: Path, ask: Callable[[Any], Awaitable[Answered]], rows: dict[str, Any], plan: Plan
) -> tuple[dict[str, Record], Snapshot]:
    """Answer rows by a function, and stop after half a second."""
    desk = Desk(Ledger(folder / "ledger.sqlite"), plan, {})

    async def talk(batch: Batch) -> Reply:
        return desk.exchange(batch)

    async def answer() -> None:
        asyncio.get_running_loop().call_later(0.5, desk.stop, "enough")
        worker = Worker(Doing(ask), talk, rates=plan.rates)
        await worker.answer(list(rows.items()))
        await worker.aclose()

    asyncio.run(answer())
    desk.close()
    ledger = Ledger(folder / "ledger.sqlite", "read")
    found = dict(zip(rows, ledger.records(list(rows)), strict=True))
    ledger.close()
    kept = {key: record for key, record in found.items() if record is not None}
    return kept, desk.snapshot()


def gate() -> Gate:
    found = GATE.get()
    assert found is not None
    return found


def run(
    folder: Path,
    server: FaultServer,
    rows: dict[str, Any],
    *,
    plan: Plan | None = None,
    workers: int = 1,
    prices: Prices | None = None,
    **fields: Any,
) -> dict[str, Record]:
    """Answer rows, with as many workers as one desk may have in one process."""
    plan = plan or Plan()
    desk = Desk(Ledger(folder / "ledger.sqlite"), plan, {})

    async def talk(batch: Batch) -> Reply:
        return desk.exchange(batch)

    async def one(some: list[tuple[str, Any]]) -> None:
        fields.setdefault("max_retries", 0)
        asker = CoreAsker(server.url, KEY, fields)
        worker = Worker(asker, talk, rates=plan.rates, prices=prices)
        try:
            await worker.answer(some)
        finally:
            await worker.aclose()
            await asker.aclose()

    async def all_of_them() -> None:
        listed = list(rows.items())
        await asyncio.gather(*(one(listed[n::workers]) for n in range(workers)))

    asyncio.run(all_of_them())
    desk.close()
    ledger = Ledger(folder / "ledger.sqlite", "read")
    found = dict(zip(rows, ledger.records(list(rows)), strict=True))
    ledger.close()
    return {key: record for key, record in found.items() if record is not None}


def test_an_answer_is_kept_with_its_sources_its_tokens_and_its_price(tmp_path: Path) -> None:
    with Server(lambda _q, _n: json_reply(OK)) as server:
        prices = Prices(input=1_000_000, output=2_000_000, row=0.5)
        kept = run(tmp_path, server, {"a": "Tea?"}, prices=prices)["a"]
    assert (kept.state, kept.answer, kept.model) == ("answered", "Tea [1].", "sonar")
    assert kept.citations[0]["url"] == "https://example.com/tea"
    assert kept.usage == {"input_tokens": 2, "output_tokens": 3, "total_tokens": 5}
    assert kept.cost == 2 + 6 + 0.5
    assert kept.requests == 1
    assert kept.latency is not None
    assert 0 < kept.latency < 5
    assert abs(kept.ended_at - time.time()) < 60


def test_a_row_that_fails_keeps_its_error_and_leaves_the_others_alone(tmp_path: Path) -> None:
    def replied(question: str, _: int) -> Http:
        error = {"error": {"message": "no such thing", "type": "odd", "code": 400}}
        return json_reply(error, 400, x_request_id="r1") if question == "bad" else json_reply(OK)

    with Server(replied) as server:
        kept = run(tmp_path, server, {"a": "bad", "b": "good"})
    assert kept["b"].state == "answered"
    bad = kept["a"]
    assert (bad.state, bad.error_type, bad.error_status) == ("failed", "BadRequestError", 400)
    assert "no such thing" in (bad.error_message or "")
    assert "docs/errors.md" not in (bad.error_message or "")
    assert bad.error_request_id == "r1"
    assert bad.error_retryable is False


@pytest.mark.parametrize("question", ["", "  ", None])
def test_an_empty_question_is_not_sent(tmp_path: Path, question: str | None) -> None:
    with Server(lambda _q, _n: json_reply(OK)) as server:
        kept = run(tmp_path, server, {"a": question})["a"]
        assert server.requests == []
    assert (kept.error_type, kept.error_message) == (
        "InvalidParameterError",
        "the question is empty",
    )


def test_every_attempt_of_a_row_is_counted(tmp_path: Path) -> None:
    def replied(_: str, count: int) -> Http:
        busy = json_reply({"error": {"message": "busy"}}, 503, retry_after_ms="1")
        return busy if count < 3 else json_reply(OK)

    with Server(replied) as server:
        kept = run(tmp_path, server, {"a": "q"}, max_retries=2)["a"]
    assert (kept.state, kept.requests) == ("answered", 3)


def test_a_row_that_was_refused_for_its_rate_is_asked_again_when_the_pause_is_over(
    tmp_path: Path,
) -> None:
    def replied(_: str, count: int) -> Http:
        limit = json_reply({"error": {"message": "slow down"}}, 429, retry_after="0.3")
        return limit if count == 1 else json_reply(OK)

    with Server(replied) as server:
        kept = run(tmp_path, server, {"a": "q"})["a"]
        first, second = server.requests
    assert kept.state == "answered"
    assert second.at - first.at >= 0.3


def test_a_pause_that_one_worker_hears_of_holds_all_of_them(tmp_path: Path) -> None:
    def replied(question: str, count: int) -> Http:
        if question == "first" and count == 1:
            return json_reply({"error": {"message": "slow down"}}, 429, retry_after="0.5")
        return json_reply(OK)

    # The second worker has one row after the other, so it would go on without the first.
    rows = {f"k{n}": "first" if n == 0 else f"q{n}" for n in range(400)}
    with Server(replied) as server:
        kept = run(tmp_path, server, rows, workers=2, plan=Plan(concurrency=4, workers=2))
        times = sorted(request.at for request in server.requests)
    assert all(record.state == "answered" for record in kept.values())
    assert max(b - a for a, b in pairwise(times)) >= 0.4


def test_requests_of_all_workers_keep_to_one_rate_attempts_included(tmp_path: Path) -> None:
    def replied(_: str, count: int) -> Http:
        busy = json_reply({"error": {"message": "busy"}}, 503, retry_after_ms="1")
        return busy if count == 1 else json_reply(OK)

    rows = {f"k{n}": f"q{n}" for n in range(20)}
    plan = Plan(rates={"perplexity": 50.0}, workers=2)
    with Server(replied) as server:
        run(tmp_path, server, rows, workers=2, plan=plan, max_retries=1)
        times = sorted(request.at for request in server.requests)
    assert len(times) == 40
    assert times[-1] - times[0] >= 39 / 50 * 0.95
    in_a_window = [sum(start <= t < start + 0.2 for t in times) for start in times]
    assert max(in_a_window) <= 14  # 10, and what a busy machine sends late


def test_no_more_rows_are_asked_at_a_time_than_the_plan_says(tmp_path: Path) -> None:
    open_now: list[int] = []
    with Server(lambda _q, _n: json_reply(OK)) as server:
        server_answer = server.answer

        def counting(request: Recorded) -> Http:
            open_now.append(server.busy_connections)
            return server_answer(request)

        server.answer = counting  # type: ignore[method-assign]
        rows = {f"k{n}": f"q{n}" for n in range(60)}
        run(tmp_path, server, rows, workers=2, plan=Plan(concurrency=3, workers=2))
    assert len(open_now) == 60
    assert max(open_now) <= 3


def test_a_desk_that_is_gone_ends_the_worker_with_its_error(tmp_path: Path) -> None:
    async def talk(_: Batch) -> Reply:
        raise OSError("no space left on device")

    async def ask() -> None:
        worker = Worker(CoreAsker("http://127.0.0.1:9", KEY), talk)
        try:
            await worker.answer([("a", "q")])
        finally:
            await worker.aclose()

    with pytest.raises(OSError, match="no space left"):
        asyncio.run(ask())


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Panic(BaseException):
    """As Rust's come to Python."""


@pytest.mark.parametrize("kind", [asyncio.CancelledError, Panic, UnspeakableError])
def test_a_row_keeps_whatever_a_chain_raises(tmp_path: Path, kind: type[BaseException]) -> None:
    async def ask(question: str) -> Answered:
        if question == "bad":
            raise kind
        return Answered("tea")

    rows = {"a": "good", "b": "bad", "c": "good"}
    kept, _ = run_function(tmp_path, ask, rows, Plan())
    assert [record.state for record in kept.values()] == ["answered", "failed", "answered"]
    assert kept["b"].error_type == kind.__name__


def test_any_question_has_a_digest_of_its_own() -> None:
    asked = ["tea", "half \ud83d", "half \ud83e", b"\xff", b"\xfe", {"a": b"\xff"}, None, 1]
    assert len({digest(question) for question in asked}) == len(asked)
    assert digest("half \ud83d") == digest("half \ud83d")


@pytest.mark.parametrize("rate", [0.5, 1e9])
def test_rows_that_wait_to_send_when_the_run_is_stopped_are_not_asked(
    tmp_path: Path, rate: float
) -> None:
    async def ask(question: str) -> Answered:
        await gate().aadmit("qaip")
        gate().heard("qaip", 200, None)
        if rate > 1:
            gate().heard("qaip", 429, 60.0)
        return Answered(question)

    rows = {f"k{n}": "q" for n in range(8)}
    began = time.monotonic()
    kept, now = run_function(tmp_path, ask, rows, Plan(rates={"": rate}, concurrency=2))
    assert time.monotonic() - began < 3
    assert 1 <= len(kept) <= 2
    assert {record.state for record in kept.values()} == {"answered"}
    assert (now.answered, now.failed, now.in_flight) == (len(kept), 0, 0)


def test_a_row_that_has_been_answered_in_part_goes_on_when_the_run_is_stopped(
    tmp_path: Path,
) -> None:
    async def ask(question: str) -> Answered:
        for _ in range(3):
            await gate().aadmit("qaip")
            gate().heard("qaip", 200, None)
        return Answered(question)

    kept, _ = run_function(tmp_path, ask, {"a": "q"}, Plan(rates={"": 2.0}))
    assert (kept["a"].state, kept["a"].requests) == ("answered", 3)


def test_after_a_pause_requests_keep_to_the_rate(tmp_path: Path) -> None:
    times: list[float] = []

    async def ask(question: str) -> Answered:
        await gate().aadmit("qaip")
        times.append(time.monotonic())
        gate().heard("qaip", 200, 0.0)
        if len(times) == 1:
            gate().heard("qaip", 503, 0.2)
        return Answered(question)

    rows = {f"k{n}": "q" for n in range(12)}
    run_function(tmp_path, ask, rows, Plan(rates={"": 50.0}))
    later = sorted(times)[1:]
    assert len(later) == 11
    assert later[0] - times[0] >= 0.19
    assert later[-1] - later[0] >= 10 / 50 * 0.6  # not at once


@pytest.mark.parametrize("rates", [{}, {"": 100.0}])
def test_requests_of_other_threads_and_their_loops_pass_the_gate(
    tmp_path: Path, rates: dict[str, float]
) -> None:
    def ask_sync() -> None:
        gate().admit("qaip")
        asyncio.run(gate().aadmit("qaip"))  # type: ignore[arg-type]

    async def ask(question: str) -> Answered:
        await asyncio.to_thread(ask_sync)
        return Answered(question)

    rows = {f"k{n}": "q" for n in range(5)}
    kept, _ = run_function(tmp_path, ask, rows, Plan(rates=rates))
    assert [(record.state, record.requests) for record in kept.values()] == [("answered", 2)] * 5


def test_a_thread_that_the_loop_waits_for_does_not_wait_for_the_loop(tmp_path: Path) -> None:
    async def ask(question: str) -> Answered:
        thread = threading.Thread(target=copy_context().run, args=(gate().admit, "qaip"))
        thread.start()
        thread.join(30)  # as LlamaIndex's sync engines do in async code
        return Answered(question)

    began = time.monotonic()
    kept, _ = run_function(tmp_path, ask, {"a": "q"}, Plan(rates={"": 100.0}))
    assert time.monotonic() - began < 10
    assert kept["a"].requests == 1


def test_a_thread_that_waits_when_the_worker_ends_gets_an_error() -> None:
    async def never(_: Batch) -> Reply:
        await asyncio.sleep(60)
        return Reply()

    async def ask(_: Any) -> Answered:
        return Answered("")

    async def end() -> None:
        worker = Worker(Doing(ask), never, rates={"": 1.0})
        line = worker._line
        waiting = asyncio.create_task(
            asyncio.to_thread(line.admit_in_thread, "qaip", to_the_end=False)
        )
        await asyncio.sleep(0.1)
        await worker.aclose()
        with pytest.raises(ConfigurationError, match="the run has ended"):
            await waiting

    asyncio.run(end())


def test_many_rows_that_wait_do_not_travel_each_time(tmp_path: Path) -> None:
    desk = Desk(Ledger(tmp_path / "ledger.sqlite"), Plan(concurrency=1000), {})
    wanted: list[int] = []

    async def talk(batch: Batch) -> Reply:
        wanted.append(len(batch.wanted))
        return desk.exchange(batch)

    async def ask(_: Any) -> Answered:
        return Answered("tea")

    async def answer() -> None:
        worker = Worker(Doing(ask), talk)
        await worker.answer([(f"k{n}", "q") for n in range(2000)])
        await worker.aclose()

    began = time.monotonic()
    asyncio.run(answer())
    desk.close()
    assert sum(wanted) >= 2000
    assert max(wanted) <= 256
    assert time.monotonic() - began < 5


def test_a_worker_may_end_in_the_moment_in_which_a_row_says_something() -> None:
    async def talk(_: Batch) -> Reply:
        return Reply()

    async def ask(_: Any) -> Answered:
        return Answered("")

    async def end() -> None:
        worker = Worker(Doing(ask), talk)
        await asyncio.sleep(0.01)
        worker._line.pause("qaip", 1.0)
        await asyncio.sleep(0)
        await asyncio.wait_for(worker.aclose(), 5)

    asyncio.run(end())
