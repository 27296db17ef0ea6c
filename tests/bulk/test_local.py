"""A table is answered on one machine: whole, cut short, gone on with, and tried again."""

import asyncio
import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from langchain_classic.chains import create_retrieval_chain
from langchain_classic.chains.combine_documents import create_stuff_documents_chain
from langchain_core.documents import Document
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda

from langchain_qaip import ChatPerplexity
from langchain_qaip.bulk import Prices, aanswer_dataset, answer_dataset
from langchain_qaip.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidParameterError,
)
from qaip_core import errors
from qaip_core.bulk import run
from qaip_core.bulk.record import Answered
from qaip_sandbox import Sandbox
from qaip_sandbox.faults import Disconnect, Status, Truncate
from support.bulk import Doing

DOCS = Path(__file__).parents[2] / "examples/handbook"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox(DOCS) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    for name, value in running.env.items():
        monkeypatch.setenv(name, value)
    yield running
    running.reset()


@pytest.fixture
def chat(sandbox: Sandbox) -> Iterator[ChatPerplexity]:
    with ChatPerplexity(model="sonar", max_retries=0) as made:
        yield made


def rows(count: int) -> list[dict[str, str]]:
    question = "How bright is the lamp of Stennick Light?"
    return [{"no": f"{n:03}", "question": f"{question} (row {n:03})"} for n in range(count)]


def table(folder: Path, count: int) -> Path:
    path = folder / "questions.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["no", "question"])
        writer.writeheader()
        writer.writerows(rows(count))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return pq.read_table(path).to_pylist()


def asked(sandbox: Sandbox) -> Counter[str]:
    """How often each question came to the service."""
    return Counter(record.question for record in sandbox.requests)


LOCAL: dict[str, Any] = {"engine": "local", "progress": False}


def test_every_row_is_answered_once_with_its_sources(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "answers.parquet"
    report = answer_dataset(chat, table(tmp_path, 40), output=output, **LOCAL)
    assert (report.rows, report.answered, report.failed, report.open) == (40, 40, 0, 0)
    found = read(output)
    assert [row["no"] for row in found] == [f"{n:03}" for n in range(40)]
    assert {row["status"] for row in found} == {"answered"}
    assert all(row["answer"] and row["citations"] and row["usage"] for row in found)
    assert set(asked(sandbox).values()) == {1}
    assert len(asked(sandbox)) == 40


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_table_in_memory_becomes_a_file_of_any_kind(
    chat: ChatPerplexity, tmp_path: Path, suffix: str
) -> None:
    output = tmp_path / f"answers.{suffix}"
    answer_dataset(chat, rows(3), output=output, **LOCAL)
    if suffix == "parquet":
        found = read(output)
    elif suffix == "csv":
        found = list(csv.DictReader(output.read_text("utf-8").splitlines()))
        found = [{**row, "citations": json.loads(row["citations"])} for row in found]
    else:
        found = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [row["no"] for row in found] == ["000", "001", "002"]
    assert all(row["citations"][0]["url"] for row in found)


def test_a_second_run_asks_nothing_and_writes_the_same(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 20), tmp_path / "answers.parquet"
    answer_dataset(chat, path, output=output, **LOCAL)
    first = read(output)
    output.unlink()
    report = answer_dataset(chat, path, output=output, **LOCAL)
    assert read(output) == first
    assert report.answered_now == 0
    assert len(sandbox.requests) == 20


def test_failed_rows_keep_their_error_and_are_asked_again_on_demand(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 30), tmp_path / "answers.parquet"
    sandbox.faults.add(Status(code=500, times=3), Disconnect(after=0, times=2))
    report = answer_dataset(chat, path, output=output, **LOCAL)
    assert report.errors == {"ServerError": 3, "ServiceConnectionError": 2}
    failed = [row for row in read(output) if row["status"] == "failed"]
    assert Counter(row["error_type"] for row in failed) == report.errors
    assert all(row["error_message"] and row["answer"] is None for row in failed)
    assert {row["error_status"] for row in failed} == {500, None}

    again = answer_dataset(chat, path, output=output, **LOCAL)
    assert (again.failed, again.answered_now) == (5, 0)
    some = answer_dataset(chat, path, output=output, retry_failed=["ServerError"], **LOCAL)
    assert (some.failed, some.answered_now) == (2, 3)
    all_of_them = answer_dataset(chat, path, output=output, retry_failed=True, **LOCAL)
    assert (all_of_them.failed, all_of_them.answered) == (0, 30)
    assert sorted(asked(sandbox).values()) == [1] * 25 + [2] * 5


def test_a_budget_ends_the_run_in_order_and_the_next_run_goes_on(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 30), tmp_path / "answers.parquet"
    report = answer_dataset(chat, path, output=output, budget_tokens=500, **LOCAL)
    assert "budget" in (report.stopped or "")
    assert report.answered + report.open == 30
    assert 400 <= report.tokens <= 550  # rows differ in length
    status = [row["status"] for row in read(output)]
    assert Counter(status) == {"answered": report.answered, "open": report.open}
    more = answer_dataset(chat, path, output=output, **LOCAL)
    assert (more.answered, more.open) == (30, 0)
    assert set(asked(sandbox).values()) == {1}


def test_money_is_what_the_service_says_or_what_the_prices_make_of_the_tokens(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    told = answer_dataset(chat, rows(2), output=tmp_path / "a.parquet", **LOCAL)
    assert told.cost
    first = read(tmp_path / "a.parquet")[0]
    assert first["cost"] == pytest.approx(told.cost / 2, rel=0.5)
    prices = Prices(row=1.0)
    assert Prices(input=2.0, output=4.0).of({"input_tokens": 10, "output_tokens": 5}) == 40e-6
    again = answer_dataset(chat, rows(2), output=tmp_path / "b.parquet", prices=prices, **LOCAL)
    assert again.cost == pytest.approx(told.cost)


def test_a_wrong_key_ends_the_run_with_its_error_before_all_rows_are_tried(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    with (
        ChatPerplexity(model="sonar", api_key="pplx-wrong", max_retries=0) as chat,
        pytest.raises(AuthenticationError, match="401") as caught,
    ):
        answer_dataset(chat, rows(300), output=tmp_path / "a.parquet", concurrency=4, **LOCAL)
    assert str(caught.value).count("docs/errors.md") == 1
    assert "0 of 300 rows are answered" in caught.value.__notes__[0]
    assert len(sandbox.requests) < 20


def test_rows_that_a_wrong_key_failed_are_asked_with_the_right_one(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "a.parquet"
    with (
        ChatPerplexity(model="sonar", api_key="pplx-wrong", max_retries=0) as wrong,
        pytest.raises(AuthenticationError),
    ):
        answer_dataset(wrong, rows(20), output=output, concurrency=8, **LOCAL)
    report = answer_dataset(chat, rows(20), output=output, **LOCAL)
    assert (report.answered, report.failed) == (20, 0)


def test_a_file_that_is_no_output_of_a_run_is_left_alone(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "mine.csv"
    output.write_text("mine", "utf-8")
    with pytest.raises(ConfigurationError, match=r"mine\.csv is there.*move it away"):
        answer_dataset(chat, rows(2), output=output, **LOCAL)
    assert output.read_text("utf-8") == "mine"
    assert sandbox.requests == []


def test_what_may_have_been_billed_is_told_from_what_was_refused(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    sandbox.faults.add(Status(code=500, times=2), Disconnect(after=0), Truncate(times=2))
    report = answer_dataset(chat, rows(12), output=tmp_path / "a.parquet", **LOCAL)
    assert (report.failed, report.unsettled, report.interrupted) == (5, 3, 0)
    assert "asks the 5 failed again; 3 may have been billed" in str(report)


def test_one_column_in_a_list_is_asked_as_a_dict(chat: ChatPerplexity, tmp_path: Path) -> None:
    prompt = ChatPromptTemplate.from_template("{input} Say it by {context}.")
    chain = create_retrieval_chain(
        RunnableLambda(lambda asked: [Document(asked["input"])]),
        create_stuff_documents_chain(chat, prompt),
    )
    asked = [{"input": row["question"]} for row in rows(2)]
    report = answer_dataset(chain, asked, ["input"], output=tmp_path / "a.parquet", **LOCAL)
    assert report.answered == 2
    assert [len(row["citations"]) for row in read(tmp_path / "a.parquet")] == [1, 1]


def test_a_service_that_is_down_ends_the_run(chat: ChatPerplexity, tmp_path: Path) -> None:
    down = chat.model_copy(update={"base_url": "http://127.0.0.1:9"})
    report = answer_dataset(
        down, rows(100), output=tmp_path / "a.parquet", stop_after=5, concurrency=2, **LOCAL
    )
    assert "5 rows failed one after the other" in (report.stopped or "")
    assert report.failed <= 8


async def test_it_is_awaited_where_a_loop_runs(chat: ChatPerplexity, tmp_path: Path) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    async with chat:
        report = await aanswer_dataset(chat, rows(20), output=tmp_path / "a.parquet", **LOCAL)
    ticking.cancel()
    assert report.answered == 20
    assert ticks > 3
    with pytest.raises(ConfigurationError, match="await aanswer_dataset"):
        answer_dataset(chat, rows(1), output=tmp_path / "b.parquet", **LOCAL)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"question_column": "qestion"}, "question"),
        ({"output": "answers.xlsx"}, "parquet"),
        ({"engine": "spark"}, 'engine is "ray" or "local"'),
        ({"concurrency": 0}, "concurrency is a whole number from 1"),
        ({"budget_tokens": -1}, "budget_tokens is a number above 0"),
        ({"requests_per_second": 0}, "requests_per_second is a number above 0"),
        ({"concurency": 3}, "concurency"),
        ({"retry_failed": ["RateLimtError"]}, "did you mean 'RateLimitError'"),
        ({"requests_per_second": {"perplexitty": 3}}, "knows no 'perplexitty'"),
        ({"prices": {"input": 1.0}}, r"prices is Prices\("),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_sent(
    sandbox: Sandbox,
    chat: ChatPerplexity,
    tmp_path: Path,
    options: dict[str, Any],
    words: str,
) -> None:
    given = {"output": tmp_path / "a.parquet", **LOCAL, **options}
    if given["output"] == "answers.xlsx":
        given["output"] = tmp_path / "answers.xlsx"
    with pytest.raises(InvalidParameterError, match=words):
        answer_dataset(chat, rows(2), **given)
    assert sandbox.requests == []
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_that_has_changed_is_told_from_the_one_that_was_asked(
    chat: ChatPerplexity, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 4), tmp_path / "answers.parquet"
    answer_dataset(chat, path, output=output, **LOCAL)
    path.write_text(path.read_text("utf-8").replace("row 002", "row two"), "utf-8")
    with pytest.raises(InvalidParameterError, match=r"'questions.csv:2' asks something else"):
        answer_dataset(chat, path, output=output, **LOCAL)


def test_a_change_behind_the_place_where_a_run_stops_is_told_of_too(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "answers.parquet"
    named: dict[str, Any] = {"output": output, "id_column": "no", **LOCAL}
    answer_dataset(chat, rows(400)[1:], **named)
    written, sent = output.read_bytes(), len(sandbox.requests)
    table = rows(400)
    table[399]["question"] = "How high is the tower?"
    with pytest.raises(InvalidParameterError, match=r"'399' asks something else"):
        answer_dataset(chat, table, budget_tokens=1, **named)
    assert output.read_bytes() == written
    assert len(sandbox.requests) == sent


def test_rows_may_be_named_by_a_column_and_then_change_their_places(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "a.parquet"
    answer_dataset(chat, rows(6), output=output, id_column="no", **LOCAL)
    report = answer_dataset(chat, rows(9)[::-1], output=output, id_column="no", **LOCAL)
    assert (report.answered, report.answered_now) == (9, 3)
    assert [row["no"] for row in read(output)] == [f"{n:03}" for n in range(9)][::-1]
    assert set(asked(sandbox).values()) == {1}


def test_a_row_that_a_table_holds_twice_is_asked_once_and_written_twice(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "a.parquet"
    report = answer_dataset(
        chat, rows(3) * 20, output=output, id_column="no", concurrency=4, **LOCAL
    )
    assert (report.rows, report.answered, report.open) == (60, 60, 0)
    assert len(sandbox.requests) == 3
    assert {row["status"] for row in read(output)} == {"answered"}


def test_files_may_come_to_a_dataset_and_none_may_go(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "a.parquet"
    folder.mkdir()
    table(folder, 3)
    answer_dataset(chat, folder, output=output, **LOCAL)
    table(folder, 2).rename(folder / "more.csv")
    table(folder, 3)
    report = answer_dataset(chat, folder, output=output, **LOCAL)
    assert (report.rows, report.answered_now) == (5, 2)
    (folder / "questions.csv").rename(folder / "renamed.csv")  # its rows would be paid again
    with pytest.raises(ConfigurationError, match=r"holds answers for file questions.csv"):
        answer_dataset(chat, folder, output=output, **LOCAL)


SCRIPT = """
import sys
from langchain_qaip import ChatPerplexity
from langchain_qaip.bulk import answer_dataset

chat = ChatPerplexity(model="sonar", max_retries=0)
report = answer_dataset(chat, sys.argv[1], output=sys.argv[2], engine="local", concurrency=8)
print(report)
"""


def start(path: Path, output: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path), str(output)],
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(sandbox: Sandbox, requests: int) -> None:
    end = time.monotonic() + 60
    while len(sandbox.requests) < requests:
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture
def slow() -> Iterator[Sandbox]:
    with Sandbox(DOCS, first_token=0.05) as sandbox:
        yield sandbox


def test_a_run_that_was_killed_goes_on_and_asks_no_row_twice(
    slow: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 120), tmp_path / "answers.parquet"
    killed = start(path, output, slow.env)
    wait_for(slow, 40)
    killed.kill()
    killed.communicate()
    assert not output.exists()
    for name, value in slow.env.items():
        monkeypatch.setenv(name, value)
    with ChatPerplexity(model="sonar", max_retries=0) as chat:
        report = answer_dataset(chat, path, output=output, **LOCAL)
        assert report.answered + report.failed == 120
        assert set(report.errors) <= {"InterruptedCallError"}
        assert report.failed <= 8
        assert set(asked(slow).values()) == {1}
        done = answer_dataset(chat, path, output=output, retry_failed=True, **LOCAL)
    assert done.answered == 120
    assert Counter(asked(slow).values())[2] <= report.failed  # some were never sent


def test_what_a_kill_has_left_open_can_be_asked_again_at_once(
    slow: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path, output = table(tmp_path, 60), tmp_path / "answers.parquet"
    killed = start(path, output, slow.env)
    wait_for(slow, 20)
    killed.kill()
    killed.communicate()
    for name, value in slow.env.items():
        monkeypatch.setenv(name, value)
    with ChatPerplexity(model="sonar", max_retries=0) as chat:
        report = answer_dataset(chat, path, output=output, retry_failed=True, **LOCAL)
    assert (report.answered, report.failed) == (60, 0)


@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_a_signal_ends_a_run_in_order(
    slow: Sandbox, tmp_path: Path, number: int, words: str
) -> None:
    path, output = table(tmp_path, 200), tmp_path / "answers.parquet"
    process = start(path, output, slow.env)
    wait_for(slow, 30)
    process.send_signal(number)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert words in said
    status = Counter(row["status"] for row in read(output))
    assert status["answered"] + status["open"] == 200
    assert status["answered"] == len(slow.requests)
    assert "failed" not in status


def test_slow_rows_hold_up_none_of_the_others(tmp_path: Path) -> None:
    async def ask(question: Any) -> Answered:
        await asyncio.sleep(0.5 if int(question) % 10 == 0 else 0.005)
        return Answered("tea")

    report = run.answer_dataset(
        Doing(ask),
        [str(n) for n in range(400)],
        "question",
        tmp_path / "a.parquet",
        concurrency=16,
        **LOCAL,
    )
    assert report.answered == 400
    assert report.asking < 3  # 1.5 s by Little's law; 6 s in groups of 16


def test_a_refused_dataset_leaves_the_table_as_it_was(chat: ChatPerplexity, tmp_path: Path) -> None:
    output = tmp_path / "a.parquet"
    answer_dataset(chat, ["one", "two"], output=output, **LOCAL)
    before = output.read_bytes()
    with pytest.raises(InvalidParameterError, match="asks something else"):
        answer_dataset(chat, ["one", "another", "three"], output=output, **LOCAL)
    assert output.read_bytes() == before


def test_ids_that_are_not_unique_are_refused_within_a_few_rows(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    table = [{"id": "a", "question": "one"}, {"id": "a", "question": "two"}]
    with pytest.raises(InvalidParameterError, match="ids must be unique"):
        answer_dataset(chat, table, output=tmp_path / "a.parquet", id_column="id", **LOCAL)
    assert sandbox.requests == []


def test_one_type_of_error_may_be_named_alone(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "a.parquet"
    sandbox.faults.add(Status(code=500, times=1))
    answer_dataset(chat, rows(2), output=output, **LOCAL)
    report = answer_dataset(chat, rows(2), output=output, retry_failed="ServerError", **LOCAL)
    assert (report.answered, report.answered_now) == (2, 1)


def test_a_table_that_cannot_be_written_loses_no_answer(
    sandbox: Sandbox, chat: ChatPerplexity, tmp_path: Path
) -> None:
    output = tmp_path / "a.parquet"
    beside = tmp_path / ".a.parquet.part"
    beside.mkdir()
    with pytest.raises(OSError, match="part") as caught:
        answer_dataset(chat, rows(3), output=output, **LOCAL)
    assert "all answers are kept" in caught.value.__notes__[0]
    beside.rmdir()
    report = answer_dataset(chat, rows(3), output=output, **LOCAL)
    assert (report.answered, report.answered_now) == (3, 0)
    assert len(sandbox.requests) == 3


def test_a_folder_that_cannot_be_made_is_told_of(chat: ChatPerplexity, tmp_path: Path) -> None:
    (tmp_path / "a.parquet.run").write_text("a file", "utf-8")
    with pytest.raises(ConfigurationError, match=r"a\.parquet\.run cannot be made: File exists"):
        answer_dataset(chat, rows(1), output=tmp_path / "a.parquet", **LOCAL)


@pytest.mark.parametrize("times", [1, 2])
async def test_a_run_that_is_cancelled_asks_no_further_row_and_lets_go_of_its_ledger(
    slow: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, times: int
) -> None:
    for name, value in slow.env.items():
        monkeypatch.setenv(name, value)
    output = tmp_path / "a.parquet"
    async with ChatPerplexity(model="sonar", max_retries=0) as chat:
        running = asyncio.create_task(
            aanswer_dataset(chat, rows(60), output=output, concurrency=4, **LOCAL)
        )
        await asyncio.to_thread(wait_for, slow, 8)
        for _ in range(times):
            running.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.sleep(0.2)  # the sandbox notes what was under way
        count = len(slow.requests)
        await asyncio.sleep(0.2)
        assert len(slow.requests) == count < 20
        report = await aanswer_dataset(chat, rows(60), output=output, **LOCAL)
    assert report.answered + report.failed == 60
    # What is under way is awaited, and given up by who cancels again.
    assert report.failed == report.interrupted
    assert 0 < report.failed <= 4 if times == 2 else report.failed == 0
    assert set(asked(slow).values()) == {1}


async def test_a_run_that_has_stopped_by_itself_awaits_what_it_asked_when_it_is_cancelled(
    tmp_path: Path,
) -> None:
    failing = asyncio.Event()

    async def ask(question: Any) -> Answered:
        if question == "bad":
            failing.set()
            raise ValueError
        await asyncio.sleep(0.4)
        return Answered("tea")

    given: Any = (Doing(ask), ["slow", "bad"], "question", tmp_path / "a.parquet")
    running = asyncio.create_task(run.aanswer_dataset(*given, stop_after=1, **LOCAL))
    await failing.wait()
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    report = await run.aanswer_dataset(*given, **LOCAL)
    assert (report.answered, report.failed, report.interrupted) == (1, 1, 0)


def test_a_ledger_that_cannot_be_written_ends_the_run_with_its_error(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def ask(question: Any) -> Answered:
        await asyncio.sleep(0.05 if question == "first" else 0.3)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))  # as a full disk
        return Answered("tea")

    asked = ["first", *map(str, range(8))]
    try:
        with pytest.raises(errors.ConfigurationError, match=r"ledger\.sqlite cannot be written"):
            run.answer_dataset(Doing(ask), asked, "question", tmp_path / "a.parquet", **LOCAL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    report = run.answer_dataset(Doing(ask), asked, "question", tmp_path / "a.parquet", **LOCAL)
    assert report.errors == {"InterruptedCallError": 9}


async def test_a_run_leaves_the_connections_of_others_in_its_loop_alone(
    slow: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in slow.env.items():
        monkeypatch.setenv(name, value)
    async with ChatPerplexity(model="sonar", max_retries=0) as chat:
        runs = (
            aanswer_dataset(chat, rows(count), output=tmp_path / f"{count}.parquet", **LOCAL)
            for count in (4, 80)
        )
        reports = await asyncio.gather(*runs)
    assert [report.answered for report in reports] == [4, 80]


def in_background(path: Path, output: Path, env: dict[str, str]) -> subprocess.Popen[str]:
    """Start a run that ignores Ctrl-C, as shells start what is in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return start(path, output, env)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_in_the_background_ignores_ctrl_c(slow: Sandbox, tmp_path: Path) -> None:
    path, output = table(tmp_path, 60), tmp_path / "answers.parquet"
    process = in_background(path, output, slow.env)
    wait_for(slow, 10)
    process.send_signal(signal.SIGINT)
    said, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "60 (100 %)" in said
