"""The desk decides for all workers together which row, and which request, may go."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qaip_core.bulk.desk import Desk
from qaip_core.bulk.exchange import Batch, Reply
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.record import Record
from qaip_core.errors import ConfigurationError

MARK = b"12345678"


class Office:
    """A desk and its ledger, opened anew for each run."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.sqlite"
        self._desk: Desk | None = None

    def run(self, **plan: Any) -> Desk:
        self.close()
        self._desk = Desk(Ledger(self._path), Plan(**plan), {})
        return self._desk

    def close(self) -> None:
        if self._desk is not None:
            self._desk.close()


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    made = Office(tmp_path)
    yield made
    made.close()


def marks(*keys: str) -> list[tuple[str, bytes]]:
    return [(key, MARK) for key in keys]


def open_rows(desk: Desk, *keys: str, worker: str = "w") -> Reply:
    return desk.exchange(Batch(worker, opened=marks(*keys)))


def begin(desk: Desk, *keys: str, worker: str = "w") -> int:
    """Open rows and begin them at once, as many as may, and count those."""
    batch = Batch(worker, opened=marks(*keys), wanted=marks(*keys))
    return sum(desk.exchange(batch).begun)


def end(desk: Desk, *keys: str, error: str | None = None, worker: str = "w", **more: Any) -> None:
    state: Any = "failed" if error else "answered"
    records = [Record(key=key, state=state, error_type=error, **more) for key in keys]
    desk.exchange(Batch(worker, ended=records))


def test_rows_that_are_answered_are_not_asked_again_in_this_run_or_the_next(office: Office) -> None:
    desk = office.run()
    assert open_rows(desk, "a", "b").todo == {"a", "b"}
    assert begin(desk, "a", "b") == 2
    end(desk, "a")
    end(desk, "b", error="ServerError")
    assert open_rows(desk, "a", "b", "c").todo == {"c"}
    again = office.run()
    assert open_rows(again, "a", "b", "c").todo == {"c"}
    assert again.snapshot().known == 2


@pytest.mark.parametrize(
    ("retry", "todo"),
    [
        (True, {"b", "c"}),
        (frozenset({"RateLimitError"}), {"c"}),
        (False, set()),
    ],
)
def test_failed_rows_are_asked_again_on_demand_and_once(
    office: Office, retry: Any, todo: set[str]
) -> None:
    desk = office.run()
    open_rows(desk, "a", "b", "c")
    begin(desk, "a", "b", "c")
    end(desk, "a")
    end(desk, "b", error="ServerError")
    end(desk, "c", error="RateLimitError")
    again = office.run(retry_failed=retry)
    assert open_rows(again, "a", "b", "c").todo == todo
    begin(again, *todo)
    end(again, *todo, error="ServerError")
    assert open_rows(again, "a", "b", "c").todo == set()


def test_rows_of_a_worker_that_died_hold_an_error_and_make_room(office: Office) -> None:
    desk = office.run(concurrency=2)
    open_rows(desk, "a", "b", "c", worker="first")
    assert begin(desk, "a", "b", "c", worker="first") == 2
    assert begin(desk, "d", worker="second") == 0
    assert open_rows(desk, "a", "b", "c", worker="second").todo == {"c"}
    assert desk.exchange(Batch("second", wanted=marks("c"))).begun == [True]
    now = desk.snapshot()
    assert (now.interrupted, now.failed, now.in_flight) == (2, 2, 1)


def test_a_row_that_a_table_holds_twice_is_asked_once(office: Office) -> None:
    desk = office.run()
    assert open_rows(desk, "a", "b", worker="first").todo == {"a", "b"}
    assert open_rows(desk, "a", worker="first").todo == set()
    assert open_rows(desk, "b", worker="second").todo == {"b"}  # the first may have died
    assert desk.exchange(Batch("first", wanted=marks("a", "a", "b"))).begun == [True, False, False]
    assert desk.exchange(Batch("second", wanted=marks("b"))).begun == [True]
    end(desk, "b", worker="second")
    assert desk.exchange(Batch("second", wanted=marks("b"))).begun == [False]
    assert desk.snapshot().in_flight == 1


def test_no_more_rows_are_asked_at_a_time_than_all_workers_may(office: Office) -> None:
    desk = office.run(concurrency=5, workers=2)
    first = begin(desk, *"abcdefgh", worker="first")
    second = begin(desk, *"ijklmnop", worker="second")
    assert (first, second) == (3, 2)  # none has all, whoever comes first
    end(desk, "a", worker="first")
    assert begin(desk, *"klmnop", worker="second") == 1


def test_requests_get_their_times_by_the_rate_of_all_workers(office: Office) -> None:
    desk = office.run(rates={"": 10.0})
    delays: list[float] = []
    for worker in ("first", "second"):
        reply = desk.exchange(Batch(worker, requests={"qaip": 4, "dify": 1}))
        delays += reply.delays["qaip"]
    assert delays == pytest.approx([n / 10 for n in range(8)], abs=0.02)
    more = desk.exchange(Batch("first", requests={"qaip": 50})).delays["qaip"]
    assert len(more) <= 3  # those beyond the next second ask again


def test_a_pause_holds_the_requests_of_all_workers_and_of_no_other_service(office: Office) -> None:
    desk = office.run(rates={"": 100.0})
    desk.exchange(Batch("first", waits={"qaip": 0.5}))
    reply = desk.exchange(Batch("second", requests={"qaip": 1, "dify": 1}))
    assert reply.pauses["qaip"] == pytest.approx(0.5, abs=0.05)
    assert reply.delays["qaip"] == [pytest.approx(0.5, abs=0.05)]
    assert reply.delays["dify"] == [pytest.approx(0, abs=0.05)]


def test_a_pause_is_over_when_its_time_has_come(office: Office) -> None:
    desk = office.run()
    desk.exchange(Batch("w", waits={"qaip": 0.02}))
    time.sleep(0.03)
    assert desk.exchange(Batch("w")).pauses == {}


def test_a_service_that_asks_to_wait_too_long_ends_the_run(office: Office) -> None:
    desk = office.run(longest_pause=60.0)
    reply = desk.exchange(Batch("w", waits={"qaip": 3600.0}))
    assert reply.stop
    assert desk.snapshot().stopped == "qaip asks to wait for 3,600 s"


USAGE = {"total_tokens": 10, "input_tokens": 4, "output_tokens": 6}


def drain(desk: Desk, rows: int, **more: Any) -> int:
    """Ask as many rows as may begin, one after the other in groups, and count them."""
    left = [f"k{n}" for n in range(rows)]
    asked = 0
    while begun := begin(desk, *left[:8]):
        end(desk, *left[:begun], **more)
        del left[:begun]
        asked += begun
    return asked


def test_a_budget_of_tokens_ends_the_run_before_it_is_exceeded(office: Office) -> None:
    desk = office.run(budget_tokens=105)
    assert drain(desk, 50, usage=USAGE) == 10
    now = desk.snapshot()
    assert now.tokens == 100
    assert now.stopped == "the budget of 105 (tokens) is spent: 100 are gone, and a row takes 10"


def test_a_budget_is_one_for_all_runs(office: Office) -> None:
    assert drain(office.run(budget_tokens=50), 50, usage=USAGE) == 5
    again = office.run(budget_tokens=50)
    assert begin(again, "z") == 0
    assert again.snapshot().stopped is not None
    more = office.run(budget_tokens=70)
    assert begin(more, "x", "y", "z") == 2  # what earlier rows took is known


def test_a_budget_of_money_ends_the_run_before_it_is_exceeded(office: Office) -> None:
    desk = office.run(budget_cost=1.0)
    assert drain(desk, 50, cost=0.125) == 8
    assert desk.snapshot().cost == 1.0


@pytest.mark.parametrize("plan", [{"budget_cost": 5.0}, {"budget_tokens": 500}])
def test_a_budget_that_cannot_be_measured_ends_the_run(
    office: Office, plan: dict[str, Any]
) -> None:
    desk = office.run(**plan)
    assert drain(desk, 50) == 1
    assert "the service" in (desk.snapshot().stopped or "")


def test_an_error_that_all_rows_would_have_ends_the_run_at_once(office: Office) -> None:
    desk = office.run()
    assert begin(desk, "a", "b") == 2
    end(desk, "a", error="AuthenticationError")
    assert begin(desk, "c") == 0
    now = desk.snapshot()
    assert now.fatal is not None
    assert now.fatal.key == "a"


def test_failures_in_a_row_end_the_run_and_an_answer_between_them_does_not(office: Office) -> None:
    desk = office.run(stop_after=3)
    begin(desk, *"abcdef")
    end(desk, "a", "b", error="ServerError")
    end(desk, "c")
    end(desk, "d", "e", error="ServerError")
    assert desk.snapshot().stopped is None
    end(desk, "f", error="ServerError")
    assert "3 rows failed one after the other" in (desk.snapshot().stopped or "")


def test_a_row_that_asks_something_else_under_the_same_name_ends_the_run(office: Office) -> None:
    desk = office.run()
    open_rows(desk, "a")
    begin(desk, "a")
    end(desk, "a")
    reply = desk.exchange(Batch("w", opened=[("a", b"another.")]))
    assert reply.stop
    assert reply.todo == set()
    assert "'a' asks something else" in (desk.snapshot().refusal or "")


def test_rows_of_one_name_that_ask_different_things_are_refused_before_any_is_asked(
    office: Office,
) -> None:
    desk = office.run()
    both = [("a", b"first..."), ("a", b"another.")]
    reply = desk.exchange(Batch("w", opened=both, wanted=both[:1]))
    assert reply.stop
    assert reply.begun == []
    assert "'a' asks something else" in (desk.snapshot().refusal or "")


def test_a_desk_that_cannot_begin_lets_go_of_its_ledger(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    Desk(Ledger(path), Plan(), {"model": "a"}).close()
    with pytest.raises(ConfigurationError, match="another model") as kept:
        Desk(Ledger(path), Plan(), {"model": "b"})
    Desk(Ledger(path), Plan(), {"model": "a"}).close()
    assert kept.value.__traceback__  # as notebooks keep the last error, with all that it holds


def test_places_of_a_worker_that_has_gone_silent_are_given_to_others(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qaip_core.bulk.desk._SILENT", 0.05)
    desk = office.run(concurrency=2)
    assert begin(desk, "a", "b", worker="first") == 2
    assert begin(desk, "c", "d", worker="second") == 0
    time.sleep(0.1)
    assert begin(desk, "c", "d", worker="second") == 2
    end(desk, "a", worker="first")  # it was slow, but lives
    now = desk.snapshot()
    assert (now.answered, now.in_flight) == (1, 2)
    assert begin(desk, "e", worker="first") == 0


@pytest.mark.parametrize("error", [None, "ServerError"])
def test_what_comes_late_of_a_worker_that_was_given_up_is_counted_once(
    office: Office, error: str | None
) -> None:
    desk = office.run()
    begin(desk, "a", worker="first")
    for _ in range(2):
        open_rows(desk, "a", "a", worker="second")
    now = desk.snapshot()
    assert (now.interrupted, now.failed) == (1, 1)
    end(desk, "a", worker="first", error=error)
    now = desk.snapshot()
    assert (now.interrupted, now.answered + now.failed) == (0, 1)


def test_a_row_for_which_nothing_was_sent_makes_room_and_is_asked_by_the_next_run(
    office: Office,
) -> None:
    desk = office.run(concurrency=1)
    begin(desk, "a")
    desk.exchange(Batch("w", dropped=["a"]))
    assert desk.snapshot().in_flight == 0
    assert open_rows(office.run(), "a").todo == {"a"}


def test_rows_that_are_free_are_not_asked_one_after_the_other_for_a_budget(office: Office) -> None:
    desk = office.run(budget_cost=1.0, concurrency=8)
    assert begin(desk, *"abcdefgh") == 1
    end(desk, "a", cost=0.0)
    assert begin(desk, *"bcdefgh") == 7


def test_a_budget_may_be_infinite(office: Office) -> None:
    desk = office.run(budget_cost=float("inf"), concurrency=4)
    begin(desk, "a")
    end(desk, "a", cost=0.1)
    assert begin(desk, *"bcdef") == 4


def test_an_answer_of_a_cache_does_not_end_a_run_with_a_budget(office: Office) -> None:
    desk = office.run(budget_cost=5.0, budget_tokens=500)
    begin(desk, "a")
    end(desk, "a", cost=0.5, usage=USAGE, requests=1)
    begin(desk, "b", "c")
    end(desk, "b")
    assert desk.snapshot().stopped is None
    end(desk, "c", requests=1)
    assert "tells no price" in (desk.snapshot().stopped or "")


def test_a_budget_of_millions_is_told_in_full(office: Office) -> None:
    desk = office.run(budget_tokens=1_300_000)
    drain(desk, 9, usage={"total_tokens": 400_000})
    assert desk.snapshot().stopped == (
        "the budget of 1,300,000 (tokens) is spent: 1,200,000 are gone, and a row takes 400,000"
    )
