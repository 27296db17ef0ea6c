"""A run shows how far it is: in a terminal, in a pipe, or not at all."""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.progress import Far, Shown, Speed
from qaip_core.bulk.tables import Dataset
from support.terminal import in_terminal


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def job(folder: Path, rows: int = 200, *, progress: bool = True) -> Job:
    return Job(
        dataset=Dataset.of([{"question": f"What is {n}?"} for n in range(rows)]),
        columns=("question",),
        output=folder / "answers.jsonl",
        prefix="",
        plan=Plan(),
        prices=None,
        engine="local",
        progress=progress,
    )


def far(**more: Any) -> Far:
    given = {"now": Snapshot(), "total": 200, "speed": None, "seconds": 1.0, **more}
    return Far(**given)


def test_a_pipe_gets_a_line_every_ten_seconds_and_a_last_one(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Shown(job(tmp_path), clock) as shown:
        for step in range(1, 101):
            clock.now += 0.25
            shown.update(Snapshot(answered=step, in_flight=8, asking=step / 4))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "40 of 200 rows (20.0 %), 4.0 rows/s, about 40 s left; 40 answered, 8 in flight",
        "80 of 200 rows (40.0 %), 4.0 rows/s, about 30 s left; 80 answered, 8 in flight",
        "100 of 200 rows (50.0 %), 4.0 rows/s, in 25 s; 100 answered, 8 in flight",
    ]


def test_what_a_run_waits_for_is_said_until_its_first_row_begins(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Shown(job(tmp_path), clock) as shown:
        shown.wait("Ray starts")
        clock.now += 8
        shown.wait("waiting for workers")
        for now in (
            Snapshot(),
            Snapshot(in_flight=8),
            Snapshot(answered=50, in_flight=8, asking=10.0),
        ):
            clock.now += 10
            shown.update(now)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "Ray starts",
        "waiting for workers",
        "0 of 200 rows (0.0 %), waiting for workers; 0 answered",
        "0 of 200 rows (0.0 %); 0 answered, 8 in flight",
        "50 of 200 rows (25.0 %), 5.0 rows/s, about 30 s left; 50 answered, 8 in flight",
        "50 of 200 rows (25.0 %), 5.0 rows/s, in 38 s; 50 answered, 8 in flight",
    ]


def test_a_terminal_shows_what_a_run_waits_for(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_terminal(monkeypatch, width=100) as look:
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        with Shown(job(tmp_path), clock) as shown:
            shown.wait("Ray starts")
            starting = look().text
            shown.update(Snapshot(in_flight=8))
            begun = look().text
    assert "0 of 200 rows (0.0 %), Ray starts" in starting
    assert "Ray starts" not in begun


def test_a_run_that_fails_before_it_begins_leaves_the_word_to_its_error(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        with Shown(job(tmp_path), clock) as shown:
            shown.wait("Ray starts")
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert capsys.readouterr().err == "Ray starts\n"


def test_the_longer_a_run_the_rarer_the_lines(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Shown(job(tmp_path), clock) as shown:
        for _ in range(10 * 3600):
            clock.now += 1
            shown.update(Snapshot(answered=1))
    assert 600 < len(capsys.readouterr().err.splitlines()) < 700


def test_a_terminal_shows_a_bar_that_is_drawn_anew(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_terminal(monkeypatch, width=100) as look:
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        with Shown(job(tmp_path), clock) as shown:
            for step in range(9):
                clock.now += 1
                now = Snapshot(known=100, answered=step * 10, asking=float(step))
                shown.update(replace(now, pauses={"perplexity": 12.0}))
            growing = look().text
            assert not look().cursor
            sys.stdout.write("A word of the program.\n")
        seen = look()
    assert "━" in growing
    assert "180 of 200 rows (90.0 %)" in growing
    assert "10 rows/s, about 2.0 s left" in growing
    assert growing.endswith("100 known, 80 answered, paused 12 s by perplexity")
    assert seen.cursor
    assert seen.text.count("rows/s") == 1  # drawn anew, not once more
    assert "A word of the program." in seen.text
    assert seen.text.endswith("100 known, 80 answered")
    assert seen.unknown == []


def test_a_narrow_terminal_shows_it_too(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_terminal(monkeypatch, width=30) as look:
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        with Shown(job(tmp_path), clock) as shown:
            shown.update(Snapshot(answered=20, stopped="the budget is spent " * 30))
        assert "20 of 200 rows" in look().text


def test_a_terminal_that_can_draw_nothing_gets_lines(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_terminal(monkeypatch) as look:
        monkeypatch.setattr(sys, "stderr", sys.stdout)
        monkeypatch.setenv("TERM", "dumb")
        with Shown(job(tmp_path), clock) as shown:
            shown.update(Snapshot(answered=20))
        assert look().text == "20 of 200 rows (10.0 %), in 0 s; 20 answered"


def test_a_run_that_is_not_to_show_anything_is_silent(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Shown(job(tmp_path, progress=False), clock) as shown:
        shown.wait("Ray starts")
        clock.now += 60
        shown.update(Snapshot(answered=20))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("gone", ["closed", "none"])
def test_a_run_goes_on_where_nobody_reads(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream if gone == "closed" else None)
    with Shown(job(tmp_path), clock) as shown:
        stream.close()
        clock.now += 60
        shown.update(Snapshot(answered=20))


def test_a_run_that_fails_says_how_far_it_came(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        with Shown(job(tmp_path), clock) as shown:
            shown.update(Snapshot(answered=20))
            raise KeyError

    with pytest.raises(KeyError):
        run()
    assert "20 of 200 rows" in capsys.readouterr().err


def test_an_empty_dataset_is_shown_too(
    tmp_path: Path, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with Shown(job(tmp_path, rows=0), clock):
        pass
    assert capsys.readouterr().err == "0 rows, in 0 s; 0 answered\n"


def test_the_speed_is_that_of_the_last_minute() -> None:
    speed = Speed()
    assert speed.add(0.0, 0) is None
    assert speed.add(0.9, 50) is None
    assert speed.add(1.0, 100) == 100
    found = [speed.add(float(second), 100 + 2 * second) for second in range(2, 200)]
    assert found[-1] == pytest.approx(2)


def test_no_speed_is_told_before_a_row_has_ended() -> None:
    speed = Speed()
    assert [speed.add(float(second), 0) for second in range(9)] == [None] * 9
    assert speed.add(10.0, 5) == 0.5


def test_rows_of_earlier_runs_are_done_but_do_not_count_for_the_speed() -> None:
    resumed = far(now=Snapshot(known=100, answered=50, failed=10), speed=10.0)
    assert resumed.headline == "160 of 200 rows (80.0 %), 10 rows/s, about 4.0 s left"
    assert resumed.details == "100 known, 50 answered, 10 failed"


def test_a_dataset_of_unknown_length_has_no_end_in_sight() -> None:
    assert far(total=None, speed=10.0, now=Snapshot(answered=1234)).headline == (
        "1,234 rows, 10 rows/s"
    )


def test_a_run_that_stops_says_why_and_names_no_time() -> None:
    now = Snapshot(answered=50, stopped="the last failed:\x1b[2J\nNo. " + "x" * 400)
    stopping = far(now=now, speed=10.0)
    assert stopping.headline == "50 of 200 rows (25.0 %), 10 rows/s"
    assert stopping.stopped.startswith("stopping: the last failed:[2J No. xxx")
    assert len(stopping.stopped) < 220
    assert far(now=now, ended=True).stopped.startswith("stopped: ")


def test_what_rows_take_is_told_where_it_is_known() -> None:
    now = Snapshot(answered=2, tokens=12345, cost=0.01234, in_flight=3)
    assert far(now=now).details == "2 answered, 3 in flight, 12,345 tokens, cost 0.0123"
