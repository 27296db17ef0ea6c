"""What a run reports: numbers that are right, in memory that does not grow, and a plot."""

import json
import math
import random
import re
import sys
import tracemalloc
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from qaip_core.bulk import report
from qaip_core.bulk.amounts import duration, money, share
from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.plan import Plan
from qaip_core.bulk.plot import draw
from qaip_core.bulk.record import Record
from qaip_core.bulk.report import Report
from qaip_core.bulk.tables import Dataset
from qaip_core.bulk.tally import Latencies, Tally, Timeline

BEGAN = 1.8e9
Reporting = Callable[..., Report]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(
        dataset=Dataset.of([{"question": "What?"}]),
        columns="question",
        output=tmp_path / "answers.jsonl",
        prefix="",
        plan=Plan(),
        prices=None,
        engine="local",
        progress=False,
    )
    made.folder.mkdir()
    return made


@pytest.fixture
def reporting(job: Job) -> Iterator[Reporting]:
    """Return the report of a run in which some rows have ended."""
    ledger = Ledger(job.ledger)
    ledger.start({"dataset": "some rows"})

    def reported(
        *ended: Record, now: Snapshot | None = None, rows: int | None = None, seconds: float = 2.0
    ) -> Report:
        for record in ended:
            ledger.totals.add(record)
        ledger.write([(record.key, b"mark", "w") for record in ended], ended)
        counted = now or Snapshot(
            answered=sum(r.state == "answered" for r in ended),
            failed=sum(r.state == "failed" for r in ended),
        )
        tally = Tally()
        for record in [*ended, *[None] * ((len(ended) if rows is None else rows) - len(ended))]:
            tally.add(record)
        return report.of(job, tally, ledger.totals, counted, seconds=seconds)

    yield reported
    ledger.close()


def tallied(records: Iterable[Record]) -> Tally:
    tally = Tally()
    for record in records:
        tally.add(record)
    return tally


def answered(key: int, latency: float = 1.0, **more: Any) -> Record:
    usage = {"input_tokens": 100, "output_tokens": 20, "total_tokens": 120}
    given = {"usage": usage, "requests": 1, "ended_at": BEGAN + key, **more}
    return Record(key=f"{key}", state="answered", answer="Tea.", latency=latency, **given)


def failed(key: int, kind: str = "ServerError", **more: Any) -> Record:
    given = {"requests": 3, "ended_at": BEGAN + key, **more}
    return Record(key=f"{key}", state="failed", error_type=kind, error_message="No.", **given)


def test_a_report_counts_rows_tokens_money_and_errors(reporting: Reporting) -> None:
    rows = [answered(n, latency=n / 10, cost=0.01) for n in range(1, 101)]
    rows += [
        failed(200),
        failed(201),
        failed(202, "InterruptedCallError", requests=0, is_unsettled=True),
    ]
    made = reporting(*rows, rows=110, now=Snapshot(answered=40, failed=3, asking=2.0), seconds=9.0)
    assert (made.rows, made.answered, made.failed, made.open) == (110, 100, 3, 7)
    assert (made.answered_now, made.failed_now, made.interrupted) == (40, 3, 1)
    assert list(made.errors.items()) == [("ServerError", 2), ("InterruptedCallError", 1)]
    assert (made.requests, made.tokens) == (106, 12_000)
    assert (made.input_tokens, made.output_tokens) == (10_000, 2_000)
    assert made.cost == pytest.approx(1.0)
    assert made.rows_per_second == 21.5
    assert made.latency is not None
    assert made.latency.p50 == pytest.approx(5.0, rel=0.01)
    assert made.latency.p99 == pytest.approx(9.9, rel=0.01)
    assert made.latency.max == 10.0
    assert made.stopped is None


def test_a_report_tells_people_what_came_of_it_and_how_to_go_on(
    reporting: Reporting, job: Job
) -> None:
    rows = [answered(n, cost=0.125) for n in range(8)]
    rows += [failed(8), failed(9, "InterruptedCallError", requests=0, is_unsettled=True)]
    now = Snapshot(answered=5, failed=2, asking=1.0, stopped="the budget is spent\x1b[2J")
    assert str(reporting(*rows, rows=20, now=now)).splitlines() == [
        "rows       20, in 2.0 s (1.0 s of asking, 7.0 rows/s)",
        "answered   8 (40.0 %), 5 of them in this run",
        "failed     2 (10.0 %)",
        "not asked  10",
        "errors     1 ServerError, 1 InterruptedCallError",
        "requests   11",
        "tokens     960 (800 input, 160 output)",
        "cost       1.00",
        "latency    p50 1.0 s, p90 1.0 s, p99 1.0 s, max 1.0 s",
        "stopped    the budget is spent[2J",
        f"output     {job.output}",
        f"plot       {job.folder / 'report.svg'}",
        "to go on   run it again for the 10 not asked, retry_failed=True asks the 2 failed again; "
        "1 may have been billed",
    ]


def test_a_run_in_which_all_went_well_leaves_nothing_to_do(reporting: Reporting) -> None:
    told = str(reporting(answered(1)))
    assert "to go on" not in told
    assert "stopped" not in told
    assert "not asked" not in told
    assert "answered  1 (100 %)\n" in told


def test_what_nobody_told_is_not_made_up(reporting: Reporting) -> None:
    made = reporting(answered(1, usage=None))
    assert made.cost is None
    assert "cost" not in str(made)
    assert "tokens" not in str(made)
    assert reporting(answered(2, cost=0.0)).cost == 0.0


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [answered(1)],
        [answered(1, latency=0.0), answered(2, latency=0.0)],
        [failed(n) for n in range(5)],
        [failed(1, "Käse$x^$<&>" + "x" * 99, latency=0.0, ended_at=0.0)],
        [failed(n, f"Error{n}") for n in range(12)],
        [answered(n * 1_000_000, latency=10.0 ** (n % 9 - 4)) for n in range(20)],
    ],
    ids=["none", "one", "zero", "failed", "odd name", "many types", "long breaks"],
)
def test_any_run_has_a_report_and_a_plot(reporting: Reporting, rows: list[Record]) -> None:
    made = reporting(*rows, seconds=0.0)
    assert made.no_plot is None
    assert made.plot is not None
    assert ET.fromstring(made.plot.read_text("utf-8")).tag.endswith("svg")
    assert str(made)
    assert made.latency is None or made.latency.p99 <= made.latency.max


def test_the_report_is_written_as_json(reporting: Reporting, job: Job) -> None:
    made = reporting(answered(1), failed(2), now=Snapshot(stopped="what is \udc80?"))
    assert json.loads((job.folder / "report.json").read_text("utf-8")) == made.as_dict()
    assert made.as_dict()["output"] == str(job.output)
    assert made.as_dict()["latency"]["p50"] == 1.0
    assert sorted(path.name for path in job.folder.glob("report*")) == ["report.json", "report.svg"]


def test_a_notebook_shows_the_report_with_its_plot(reporting: Reporting) -> None:
    made = reporting(answered(1), failed(2), now=Snapshot(stopped="<script>no</script>"))
    page = made._repr_html_()
    assert "&lt;script&gt;no" in page
    assert "<script" not in page
    image = re.search(r"base64,([^\"]+)", page)
    assert image
    assert made.plot is not None
    assert b64decode(image[1]) == made.plot.read_bytes()
    made.plot.unlink()
    assert "<img" not in made._repr_html_()


def test_without_matplotlib_the_report_says_how_to_get_the_plot(
    reporting: Reporting, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reporting(answered(1)).plot is not None
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "qaip_core.bulk.plot")
    made = reporting(answered(2))
    assert made.plot is None
    assert 'pip install "qaip-integrations[bulk]"' in str(made)
    assert not (job.folder / "report.svg").exists()  # the old one told of another run


def test_a_plot_that_cannot_be_written_does_not_lose_the_run(
    reporting: Reporting, job: Job
) -> None:
    (job.folder / "report.svg").mkdir()
    made = reporting(answered(1))
    assert made.plot is None
    assert "plot      none: IsADirectoryError" in str(made)


def test_the_plot_is_the_same_each_time_and_leaves_other_plots_alone(tmp_path: Path) -> None:
    rng = random.Random(1)
    rows = [answered(n, rng.lognormvariate(0, 1), ended_at=BEGAN + n / 9) for n in range(2_000)]
    drawn = []
    for name, ink in (("a.svg", "black"), ("b.svg", "red")):
        with mpl.rc_context({"text.color": ink, "svg.hashsalt": name, "axes.facecolor": "black"}):
            before = dict(mpl.rcParams)
            draw(tallied(rows), tmp_path / name)
            assert dict(mpl.rcParams) == before
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) < 100_000
    told = " ".join(ET.fromstring(drawn[0]).itertext())
    for words in ("rows per s", "Latency of answers", "p99", "no errors", "answered 2,000"):
        assert words in told


@pytest.mark.parametrize("share", [0.01, 0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("spread", [0.001, 0.5, 3.0])
def test_percentiles_are_at_most_one_percent_off(share: float, spread: float) -> None:
    rng = random.Random(7)
    seconds = sorted(0.01 + rng.lognormvariate(0, spread) for _ in range(5_000))
    found = Latencies()
    for one in seconds:
        found.add(one)
    exact = seconds[math.ceil(share * len(seconds)) - 1]
    assert found.quantile(share) == pytest.approx(exact, rel=0.01)


def test_of_no_rows_and_of_one_row_percentiles_are_exact() -> None:
    found = Latencies()
    assert found.quantile(0.5) == 0.0
    assert found.bars(9) == []
    found.add(0.123)
    assert found.quantile(0.5) == found.quantile(0.99) == 0.123


def test_bars_hold_all_rows_without_a_hole() -> None:
    found = Latencies()
    for n in range(1, 1_000):
        found.add(n * n / 1_000)
    bars = found.bars(40)
    assert len(bars) <= 40
    assert sum(bar.rows for bar in bars) == 999
    assert [bar.low for bar in bars[1:]] == pytest.approx([bar.high for bar in bars[:-1]])


def test_a_timeline_holds_all_rows_in_few_bins() -> None:
    found = Timeline()
    for n in range(50_000):
        found.add(BEGAN + n / 3, failed=n % 10 == 0)
    (stretch,) = found.stretches()
    assert len(stretch.answered) <= 122
    assert (sum(stretch.answered), sum(stretch.failed)) == (45_000, 5_000)
    assert max(stretch.answered) * 3 // 10 <= found.width  # a bin is not counted twice


def test_a_night_between_two_runs_is_left_out_of_the_plot_and_a_pause_is_not() -> None:
    found = Timeline()
    for start in (0, 130, 40_000):
        for n in range(100):
            found.add(BEGAN + start + n, failed=False)
    first, second = found.stretches()
    assert (first.idle, sum(first.answered), sum(second.answered)) == (0, 200, 100)
    assert second.idle == pytest.approx(40_000 - 230, abs=2 * found.width)
    assert 0 in first.answered


def test_rows_that_are_far_apart_are_drawn_in_few_bins() -> None:
    found = Timeline()
    for n in range(100):
        found.add(BEGAN + n * 86_400, failed=False)
    assert sum(len(s.answered) for s in found.stretches()) <= 480
    assert sum(sum(s.answered) for s in found.stretches()) == 100


def test_memory_does_not_grow_with_the_rows() -> None:
    def rows(count: int) -> Iterator[Record]:
        for n in range(count):
            yield failed(n) if n % 20 == 0 else answered(n, n % 97 / 10, ended_at=BEGAN + n / 50)

    peaks = []
    for count in (10_000, 100_000):
        tracemalloc.start()
        tallied(rows(count))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5 + 20_000


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0 s"),
        (0.0421, "0.042 s"),
        (1.04, "1.0 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.9, "1 min"),
        (500.0, "8 min 20 s"),
        (3_599.9, "1 h"),
        (7_500.0, "2 h 5 min"),
        (273_600.0, "3 d 4 h"),
    ],
)
def test_times_are_told_in_at_most_two_units(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_only_all_of_it_is_a_hundred_percent_and_small_sums_keep_their_places() -> None:
    assert share(99_999, 100_000) == "99.9 %"
    assert share(5, 5) == "100 %"
    assert share(0, 0) == "0 %"
    assert [money(m) for m in (0.0, 0.001234, 1.0, 1234.5)] == [
        "0.00",
        "0.00123",
        "1.00",
        "1,234.50",
    ]
