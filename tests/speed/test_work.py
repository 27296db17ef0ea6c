"""An event costs what it cost before, and so does a call: counted, in every way of asking."""

from collections.abc import Iterator

import pytest

from support.speed import record
from support.speed.canned import Canned, canned
from support.speed.work import CALLS, EVENTS, Case, measure

pytestmark = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")

_ADVICE = """
Does the change do something in each event that could be done once, twice what was done before, or
for all what few need? All functions: PYTHONPATH=tests python -m support.speed.count "{name}"
If it has to cost more, set new limits: PYTHONPATH=tests python -m support.speed.count --write
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Canned]:
    with canned() as server:
        yield server


@pytest.fixture(scope="module")
def counts() -> record.Record:
    return record.read()


def held(case: Case, server: Canned, counts: record.Record) -> None:
    now, then = measure(case, server), counts[case.name]
    if faults := list(record.complaints(now, then, record.margin())):
        grown = [f"  {line}" for line in now.grown(then, 5)]
        advice = _ADVICE.format(name=case.name)
        told = [case.name, *faults, "What grew most:", *grown, advice]
        pytest.fail("\n".join(told), pytrace=False)


@pytest.mark.parametrize("case", EVENTS, ids=lambda case: case.name)
def test_an_event_costs_what_it_did(case: Case, server: Canned, counts: record.Record) -> None:
    held(case, server, counts)


@pytest.mark.parametrize("case", CALLS, ids=lambda case: case.name)
def test_a_call_costs_what_it_did(case: Case, server: Canned, counts: record.Record) -> None:
    held(case, server, counts)


def test_every_way_of_asking_has_been_counted(counts: record.Record) -> None:
    assert list(counts) == [case.name for case in (*EVENTS, *CALLS)]
