"""The ledger keeps what was asked and what came of it, also where a process ends at once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.record import Record
from qaip_core.errors import ConfigurationError

FACTS = {"dataset": "three rows", "model": "m"}
MARK = b"12345678"


def answered(key: str, text: str = "tea", **more: object) -> Record:
    return Record(key=key, state="answered", answer=text, **more)  # type: ignore[arg-type]


def failed(key: str, kind: str = "ServerError") -> Record:
    return Record(key=key, state="failed", error_type=kind, error_message="No.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


def test_a_row_is_known_from_the_moment_it_is_asked(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w")], [])
    assert ledger.known(["a", "b"])["a"] == (MARK, "asked", 1, "w", None)
    assert ledger.records(["a", "b"]) == [None, None]
    ledger.close()


def test_records_come_back_as_they_were_in_the_order_that_is_asked_for(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    keys = [f"k{n}" for n in range(1200)]
    records = [answered(key, f"tea {key} \udc80", citations=({"id": key},)) for key in keys]
    ledger.write([(key, MARK, "w") for key in keys], records)
    back = ledger.records(keys[::-1])
    assert [r and r.answer for r in back] == [r.answer for r in records[::-1]]
    assert back[0] is not None
    assert back[0].citations == [{"id": "k1199"}]
    ledger.close()


def test_what_was_in_flight_when_a_run_ended_holds_an_error_in_the_next(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w"), ("b", MARK, "w")], [answered("b")])
    ledger.close()
    again = Ledger(path)
    assert again.start(FACTS) == 1
    (lost, kept) = again.records(["a", "b"])
    assert lost is not None
    assert (lost.state, lost.error_type, lost.error_retryable) == (
        "failed",
        "InterruptedCallError",
        True,
    )
    assert kept == answered("b", citations=[])
    again.close()


def test_an_answer_is_never_taken_back(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w")], [answered("a")])
    ledger.write([], [failed("a")])
    assert [r and r.answer for r in ledger.records(["a"])] == ["tea"]
    ledger.close()


def test_an_answer_that_comes_late_takes_the_place_of_the_error(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w")], [failed("a", "InterruptedCallError")])
    ledger.write([], [answered("a")])
    assert ledger.known(["a"])["a"].state == "answered"
    ledger.close()


def test_totals_are_those_of_all_runs(path: Path) -> None:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    for key in "ab":
        ledger = Ledger(path)
        ledger.start(FACTS)
        record = answered(key, usage=usage, cost=0.5, requests=2)
        ledger.totals.add(record)
        ledger.write([(key, MARK, "w")], [record])
        ledger.close()
    totals = Ledger(path, "read").totals
    assert (totals.requests, totals.tokens, totals.cost) == (4, 14, 1.0)
    assert (totals.input_tokens, totals.output_tokens) == (6, 8)


def test_answers_for_another_model_are_not_mixed_in(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.close()
    with pytest.raises(ConfigurationError, match=r"another model \(m, now n\): pass another"):
        Ledger(path).start({**FACTS, "model": "n"})


def test_a_second_run_is_kept_out_while_the_first_goes_on(path: Path) -> None:
    first = Ledger(path)
    with pytest.raises(ConfigurationError, match="another run writes"):
        Ledger(path)
    first.close()
    Ledger(path).close()


def test_what_is_no_ledger_is_refused(path: Path) -> None:
    path.write_bytes(b"no database at all, but long enough to be read as the head of one" * 40)
    with pytest.raises(ConfigurationError, match="cannot be used as a ledger"):
        Ledger(path)


def test_what_was_written_survives_the_kill_of_the_process(path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from qaip_core.bulk.ledger import Ledger\n"
        "from qaip_core.bulk.record import Record\n"
        "ledger = Ledger(sys.argv[1]); ledger.start({})\n"
        "ledger.write([('a', b'1', 'w'), ('b', b'1', 'w')],\n"
        "             [Record(key='a', state='answered', answer='tea')])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert ended.returncode == -signal.SIGKILL
    ledger = Ledger(path)
    states = {key: row.state for key, row in ledger.known(["a", "b"]).items()}
    assert states == {"a": "answered", "b": "asked"}
    ledger.close()
    assert os.listdir(path.parent) == [path.name]


def test_a_row_for_which_nothing_was_sent_is_as_it_was_before(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w"), ("b", MARK, "w"), ("c", MARK, "w")], [failed("b")])
    ledger.write([("b", MARK, "w")], [answered("c")])
    ledger.write([], [], ["a", "b", "c"])
    assert {key: row.state for key, row in ledger.known(["a", "b", "c"]).items()} == {
        "b": "failed",
        "c": "answered",
    }
    ledger.close()


def test_numbers_that_no_column_holds_are_kept_in_the_record(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([("a", MARK, "w")], [answered("a", usage={"total_tokens": 10**30})])
    (kept,) = ledger.records(["a"])
    assert kept is not None
    assert kept.tokens == 10**30
    ledger.close()


def test_a_ledger_that_breaks_later_raises_our_error(path: Path) -> None:
    ledger = Ledger(path)
    ledger.start(FACTS)
    ledger.write([(f"k{n}", MARK, "w") for n in range(5000)], [])
    ledger.close()
    broken = Ledger(path, "read")
    with path.open("r+b") as file:
        file.seek(16_384)
        file.write(b"\xff" * 200_000)
    with pytest.raises(ConfigurationError, match="cannot be used as a ledger"):
        broken.known([f"k{n}" for n in range(5000)])
    broken.close()
