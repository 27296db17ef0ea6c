"""Faults that hit a share of the requests, drawn from the sandbox's seed."""

from pathlib import Path

import httpx
import pytest

from qaip_sandbox import Disconnect, Fault, Page, Physics, Sandbox, Status
from qaip_sandbox.faults import Faults, fault_of

from .asking import address, body, keyed


def hits(faults: Faults, count: int, seed: int = 0) -> list[str]:
    """Return the kinds that hit so many requests, "" for none."""
    taken = (faults.take("qaip", "/completions", seed) for _ in range(count))
    return [fault.kind if fault else "" for fault in taken]


def statuses(sandbox: Sandbox, count: int, header: str = "") -> list[int]:
    """Return the statuses of so many requests."""
    headers = keyed(sandbox, "qaip") | ({"x-sandbox-fault": header} if header else {})
    given = body("qaip", stream=False)
    with httpx.Client(headers=headers, verify=False) as http:
        return [http.post(address(sandbox, "qaip"), json=given).status_code for _ in range(count)]


def test_a_chance_is_the_share_of_the_requests_that_is_hit() -> None:
    faults = Faults()
    faults.add(Status(chance=0.05, times=None))
    assert 400 < hits(faults, 10_000).count("status") < 600


def test_the_same_seed_hits_the_same_requests_again() -> None:
    faults = Faults()
    seen = []
    for seed in (7, 7, 8):
        faults.clear()
        faults.add(Status(chance=0.3, times=None), Page(chance=0.3, times=None))
        seen.append(hits(faults, 200, seed))
    assert seen[0] == seen[1] != seen[2]


def test_a_fault_that_is_not_drawn_lets_the_next_one_have_its_turn() -> None:
    faults = Faults()
    faults.add(Status(chance=0.2, times=None), Disconnect(chance=0.25, times=None), Page(times=500))
    found = hits(faults, 500)
    assert 70 < found.count("status") < 130
    assert 70 < found.count("disconnect") < 130
    assert "" not in found


def test_a_fault_with_a_chance_hits_no_more_often_than_it_may() -> None:
    faults = Faults()
    faults.add(Status(chance=0.5, times=3))
    found = hits(faults, 100)
    assert (found.count("status"), len(faults)) == (3, 0)
    assert "" in found[: found.index("status") + 6]


def test_a_fault_without_an_end_stays_and_counts_once() -> None:
    faults = Faults()
    endless = fault_of("status; times=null")
    faults.add(endless, Page(times=2))
    assert hits(faults, 50) == ["status"] * 50
    assert (list(faults.waiting), len(faults)) == ([endless, Page(times=2)], 3)


@pytest.mark.parametrize("given", ["chance=0", "chance=1.1", "chance=-1", "times=0", "chance=null"])
def test_a_chance_and_a_number_are_in_range(given: str) -> None:
    with pytest.raises(ValueError, match=given.partition("=")[0]):
        fault_of(f"status; {given}")


def test_a_sandbox_draws_from_its_seed_and_anew_after_a_reset(docs: Path) -> None:
    with Sandbox(docs, seed=5) as sandbox:
        mixed: list[Fault] = [
            Status(chance=0.3, times=None),
            Page(chance=0.3, times=None, code=500),
        ]
        sandbox.faults.add(*mixed)
        first = statuses(sandbox, 30)
        sandbox.reset(physics=Physics(seed=5))
        sandbox.faults.add(*mixed)
        assert statuses(sandbox, 30) == first
        assert {200, 500, 503} == set(first)
        sandbox.reset(physics=Physics(seed=6))
        sandbox.faults.add(*mixed)
        assert statuses(sandbox, 30) != first


def test_a_request_that_asks_for_its_fault_may_leave_it_to_chance(sandbox: Sandbox) -> None:
    assert set(statuses(sandbox, 40, "status; chance=0.5")) == {200, 503}


def test_a_chance_is_set_from_outside_and_shown(sandbox: Sandbox) -> None:
    queue = f"{sandbox.url}/_sandbox/faults"
    given = {"kind": "page", "chance": 0.25, "times": None}
    shown = httpx.post(queue, json=given, verify=False).json()
    httpx.delete(queue, verify=False)
    assert (shown[0]["chance"], shown[0]["times"]) == (0.25, None)
    forms = httpx.get(f"{sandbox.url}/_sandbox", verify=False).json()["fault_kinds"]
    fields = {field["name"]: field for field in forms["page"]["fields"]}
    assert (fields["chance"]["above"], fields["chance"]["maximum"]) == (0, 1)
    assert (fields["times"]["kind"], fields["times"]["optional"]) == ("integer", True)
