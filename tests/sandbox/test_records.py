"""What the journal keeps of a request, and for how long."""

from typing import Any

import pytest

from qaip_sandbox import Record, Said
from qaip_sandbox.journal import Journal, record_of

KEY = "sk-1234567890abcdef"
LARGE = "x" * (8 * 1024 * 1024)


def scope(*headers: tuple[str, str]) -> dict[str, Any]:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return {"headers": raw, "path": "/x", "method": "GET", "client": None}


def record(number: int, body: Any = None) -> Record:
    return Record(number, "pais", "POST", "/x", {}, body)


@pytest.mark.parametrize(
    "name", ["authorization", "proxy-authorization", "x-api-key", "api-key", "cookie"]
)
def test_a_header_for_keys_is_not_kept(name: str) -> None:
    kept = record_of(scope((name, "pplx-unknown"), ("accept", "*/*")), 1, "pais", [KEY])
    assert kept.headers == {"accept": "*/*"}
    assert kept.key_places == ()


def test_a_key_in_a_header_that_no_service_reads_is_misplaced() -> None:
    kept = record_of(scope(("api-key", KEY)), 1, "pais", [KEY])
    assert (kept.headers, kept.key_places) == ({}, ("the header api-key",))


def test_a_key_in_a_body_or_an_answer_is_not_kept() -> None:
    journal = Journal([KEY])
    kept = record(1, {"input": [f"my key {KEY}"], KEY: "日"})
    journal.begin(kept)
    kept.said.append(Said(f"What is {KEY}?", f"{KEY}.", ()))
    journal.end(kept)
    assert kept.body == {"input": ["my key ***"], "***": "日"}
    assert kept.said == [Said("What is ***?", "***.", ())]
    assert kept.key_places == ("the body",)


def test_the_oldest_bodies_are_dropped_where_all_of_them_are_too_large() -> None:
    journal = Journal()
    for number in range(1, 11):
        journal.begin(record(number, LARGE))
    kept = [r.number for r in journal.records if r.body is not None]
    assert kept == [4, 5, 6, 7, 8, 9, 10]
    assert len(journal.records) == 10
    journal.clear()
    journal.begin(record(11, LARGE))
    assert [r.body for r in journal.records] == [LARGE]


def test_the_oldest_records_are_dropped_after_ten_thousand() -> None:
    journal = Journal()
    for number in range(1, 10_011):
        journal.begin(record(number, "x"))
    assert [journal.records[0].number, len(journal.records)] == [11, 10_000]
    assert len(journal._bodies) == 10_000
    assert journal._bytes == 10_000 * len('"x"')


def test_a_journal_keeps_as_many_records_as_it_is_told() -> None:
    journal = Journal(most=25_000)
    for number in range(1, 25_003):
        journal.begin(record(number, "x"))
    assert [journal.records[0].number, len(journal.records)] == [3, 25_000]
    assert len(journal._bodies) == 25_000


def test_a_body_that_is_nested_too_deeply_is_not_kept() -> None:
    deep: Any = "x"
    for _ in range(200_000):
        deep = [deep]
    journal = Journal([KEY])
    journal.begin(record(1, deep))
    assert journal.records[0].body is None
