"""On a Ray cluster, tables are answered as on one machine, and what dies is made good."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.record import Asker
from qaip_core.bulk.report import Report
from qaip_core.bulk.run import aanswer_dataset, answer_dataset
from qaip_core.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidParameterError,
    MissingKeyError,
)
from qaip_sandbox import Sandbox
from qaip_sandbox.faults import Status
from qaip_sandbox.physics import Physics
from support.bulk import CoreAsker
from support.ray_asker import Ending, Strange, Unreadable, end_worker, workers

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
import ray.data

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Two processors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT / "tests"))
        yield from started()


def started() -> Iterator[str]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield str(ray.get_runtime_context().gcs_address)
    ray.shutdown()


@pytest.fixture(scope="module")
def served() -> Iterator[Sandbox]:
    with Sandbox(ROOT / "examples/handbook", journal=100_000) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(served: Sandbox) -> Sandbox:
    served.reset()
    return served


def asker(sandbox: Sandbox, **fields: Any) -> CoreAsker:
    env = sandbox.env
    return CoreAsker(env["PERPLEXITY_BASE_URL"], env["PERPLEXITY_API_KEY"], fields)


def table(rows: int) -> list[dict[str, Any]]:
    return [{"id": n, "question": f"How bright is the lamp? (case {n:05d})"} for n in range(rows)]


def answered(
    model: Asker, rows: Any, output: Path, *, engine: Any = "ray", **options: Any
) -> Report:
    return answer_dataset(model, rows, "question", output, engine=engine, progress=False, **options)


def read(output: Path) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = pq.read_table(output).to_pylist()
    return told


def said(output: Path) -> list[tuple[Any, ...]]:
    """What does not differ from run to run."""
    names = "id", "question", "status", "answer", "usage", "requests", "error_type"
    return [tuple(row[name] for name in names) for row in read(output)]


def asked(sandbox: Sandbox) -> Counter[str]:
    return Counter(record.question for record in sandbox.requests)


def at_once(sandbox: Sandbox) -> int:
    """The greatest number of requests that were open at the same time."""
    ended = [(record.ended, -1) for record in sandbox.requests]
    moments = sorted([*ended, *((record.started, 1) for record in sandbox.requests)])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    return most


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def meanwhile(act: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    return thread


@pytest.mark.usefixtures("cluster")
def test_the_table_is_that_of_the_local_engine(sandbox: Sandbox, tmp_path: Path) -> None:
    rows = table(300)
    rows[7]["question"] = ""
    here = answered(asker(sandbox), rows, tmp_path / "local.parquet", engine="local")
    there = answered(asker(sandbox), rows, tmp_path / "ray.parquet", workers=2)
    assert said(tmp_path / "ray.parquet") == said(tmp_path / "local.parquet")
    assert (here.answered, here.failed) == (there.answered, there.failed) == (299, 1)
    cited = [row["citations"] for row in read(tmp_path / "ray.parquet")]
    assert cited == [row["citations"] for row in read(tmp_path / "local.parquet")]
    until(lambda: not workers())


@pytest.mark.usefixtures("cluster")
def test_files_are_read_by_the_workers(tmp_path: Path) -> None:
    plain, packed = tmp_path / "in/a.csv", tmp_path / "in/b.csv.gz"
    plain.parent.mkdir()
    lines = [f"{row['id']},{row['question']}\n" for row in table(50)]
    plain.write_text("id,question\n" + "".join(lines[:30]), "utf-8")
    packed.write_bytes(gzip.compress(("id,question\n" + "".join(lines[30:])).encode()))
    answered(Strange(), plain.parent, tmp_path / "out.parquet")
    found = read(tmp_path / "out.parquet")
    assert [row["answer"] for row in found] == [repr(row["question"]) for row in table(50)]


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_costs_no_answer_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.physics = Physics(first_token=0.2)

    def kill() -> None:
        until(lambda: len(sandbox.requests) > 150)
        end_worker()

    killing = meanwhile(kill)
    report = answered(asker(sandbox), table(400), tmp_path / "out.parquet", concurrency=32)
    killing.join()
    assert (report.answered + report.failed, report.open) == (400, 0)
    assert report.errors.keys() == {"InterruptedCallError"}
    assert 0 < report.failed <= 16
    assert set(asked(sandbox).values()) == {1}


@pytest.mark.usefixtures("cluster")
def test_as_many_rows_are_asked_at_a_time_as_was_said(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.physics = Physics(first_token=0.3)
    answered(asker(sandbox), table(200), tmp_path / "out.parquet", concurrency=20)
    assert 15 <= at_once(sandbox) <= 20


@pytest.mark.usefixtures("cluster")
def test_the_rate_is_that_of_all_workers_together(sandbox: Sandbox, tmp_path: Path) -> None:
    answered(asker(sandbox), table(100), tmp_path / "out.parquet", requests_per_second=20.0)
    moments = sorted(record.started for record in sandbox.requests)
    # A busy machine brings the first replies late, which makes the whole shorter; without a common
    # limit it would be half as long.
    assert moments[-1] - moments[0] >= 99 / 20 - 1.0


@pytest.mark.usefixtures("cluster")
def test_retry_after_holds_all_workers(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.physics = Physics(first_token=0.05)
    sandbox.faults.add(Status(code=429, retry_after=2, times=1, chance=0.02))
    report = answered(asker(sandbox), table(300), tmp_path / "out.parquet", concurrency=8)
    refused = next(record for record in sandbox.requests if record.status == 429)
    held = [r for r in sandbox.requests if refused.ended + 0.6 < r.started < refused.ended + 1.8]
    assert held == []
    assert report.answered == 300


@pytest.mark.usefixtures("cluster")
def test_a_key_that_is_wrong_ends_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    wrong = CoreAsker(sandbox.env["PERPLEXITY_BASE_URL"], "wrong")
    with pytest.raises(AuthenticationError):
        answered(wrong, table(2000), tmp_path / "out.parquet")
    assert len(sandbox.requests) < 100
    missing = CoreAsker(sandbox.env["PERPLEXITY_BASE_URL"], "")
    with pytest.raises(MissingKeyError):
        answered(missing, table(2000), tmp_path / "other.parquet")


@pytest.mark.usefixtures("cluster")
def test_a_model_that_workers_cannot_make_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_has"):
        answered(Unreadable(), table(100), tmp_path / "out.parquet")
    until(lambda: not workers())


@pytest.mark.usefixtures("cluster")
def test_workers_that_always_end_are_given_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="memory"):
        answered(Ending(), table(100), tmp_path / "out.parquet", workers=1)
    until(lambda: not workers())


@pytest.mark.usefixtures("cluster")
def test_what_is_asked_is_kept_when_a_row_cannot_be_read(sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.physics = Physics(first_token=0.2)
    rows = table(300)
    rows[150]["id"] = None
    with pytest.raises(InvalidParameterError, match="150"):
        answered(asker(sandbox), rows, tmp_path / "out.parquet", id_column="id")
    ledger = Ledger(tmp_path / "out.parquet.run/ledger.sqlite", "read")
    known = ledger.known([str(row["id"]) for row in rows])
    ledger.close()
    assert Counter(row.state for row in known.values()) == {"answered": len(sandbox.requests)}


@pytest.mark.usefixtures("cluster")
def test_a_dataset_of_ray_is_answered_and_the_run_can_be_awaited(tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    rows = ray.data.from_items(table(100), override_num_blocks=7)
    with pytest.raises(InvalidParameterError, match="id_column"):
        answered(Strange(), rows, output)
    run = aanswer_dataset(Strange(), rows, "question", output, id_column="id", progress=False)
    assert asyncio.run(run).answered == 100
    found = sorted(read(output), key=lambda row: row["id"])
    assert [row["answer"] for row in found] == [repr(row["question"]) for row in table(100)]


@pytest.mark.usefixtures("cluster")
def test_blocks_of_ray_may_have_types_of_their_own(tmp_path: Path) -> None:
    whole = pa.table({"id": [1, 2], "question": [10, 20]})
    broken = pa.table({"id": [3.0, 4.0], "question": [2.5, 30.0]})
    rows = ray.data.from_arrow([whole, broken])
    report = answered(Strange(), rows, tmp_path / "out.parquet", id_column="id")
    assert (report.answered, report.open) == (4, 0)
    found = {row["id"]: row["answer"] for row in read(tmp_path / "out.parquet")}
    assert found == {1: "10.0", 2: "20.0", 3: "2.5", 4: "30.0"}


@pytest.mark.usefixtures("cluster")
def test_a_budget_ends_the_run_before_all_is_read(sandbox: Sandbox, tmp_path: Path) -> None:
    began = time.monotonic()
    report = answered(
        asker(sandbox), table(50_000), tmp_path / "out.parquet", budget_tokens=44 * 40
    )
    assert report.stopped is not None
    assert report.tokens <= 44 * 40
    assert len(sandbox.requests) == report.answered
    assert time.monotonic() - began < 30
    until(lambda: not workers())


DRIVER = """
import sys, ray
from qaip_core.bulk.run import aanswer_dataset, answer_dataset
from support.bulk import CoreAsker
address, url, key, output, rows = sys.argv[1:]
ray.init(address, log_to_driver=False)
table = [{"id": n, "question": f"How bright is the lamp? (case {n:05d})"} for n in range(int(rows))]
report = answer_dataset(CoreAsker(url, key), table, "question", output, progress=False)
print(report.stopped)
"""


def driver(cluster: str, sandbox: Sandbox, output: Path, rows: int) -> subprocess.Popen[str]:
    model = asker(sandbox)
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, cluster, model.url, model.key, output, str(rows)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_nothing_is_asked_again_when_the_program_was_killed(
    cluster: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.physics = Physics(first_token=0.2)
    with driver(cluster, sandbox, tmp_path / "out.parquet", 400) as program:
        until(lambda: len(sandbox.requests) > 100)
        program.kill()
    report = answered(asker(sandbox), table(400), tmp_path / "out.parquet")
    assert set(asked(sandbox).values()) == {1}
    assert 0 < report.failed <= 32
    assert report.errors == {"InterruptedCallError": report.failed}
    again = answered(asker(sandbox), table(400), tmp_path / "out.parquet", retry_failed=True)
    assert (again.answered, again.answered_now) == (400, report.failed)
    assert set(asked(sandbox).values()) <= {1, 2}


def test_ctrl_c_ends_the_run_in_order(cluster: str, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.physics = Physics(first_token=0.2)
    with driver(cluster, sandbox, tmp_path / "out.parquet", 4000) as program:
        until(lambda: len(sandbox.requests) > 50)
        program.send_signal(signal.SIGINT)
        told, _ = program.communicate(timeout=60)
    assert told == "interrupted by Ctrl-C\n"
    counts = Counter(row["status"] for row in read(tmp_path / "out.parquet"))
    assert counts["answered"] == len(sandbox.requests)
    assert counts["failed"] == 0


ALONE = """
from qaip_core.bulk.run import answer_dataset
from support.ray_asker import Strange
import ray, sys, warnings
warnings.simplefilter("error", ResourceWarning)
report = answer_dataset(Strange(), ["Tea?", "Milk?"], "question", sys.argv[1], progress=False)
print(report.answered, ray.is_initialized())
"""


def test_a_cluster_is_started_and_ended_where_there_is_none(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, tmp_path / "out.parquet"],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests'}", "RAY_ADDRESS": "local"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "2 False\n"
