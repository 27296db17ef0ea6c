"""How long answers take."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Physics, Sandbox
from qaip_sandbox.physics import Pace

from .asking import SERVICES, address, body, keyed, settled


@pytest.fixture(scope="module")
def _running(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs) as running:
        yield running


@pytest.fixture
def paced(_running: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of one's own whose physics a test may set."""
    yield _running
    _running.physics = Physics()


async def waits(number: int = 1, frames: int = 20, **physics: Any) -> list[float]:
    """Return the seconds before each frame of a stream."""
    pace = Pace(Physics(**physics), number)
    times = [time.perf_counter()]
    async for _ in pace.walk([b"x"] * frames, b""):
        times.append(time.perf_counter())  # noqa: PERF401 - each is the time of its frame
    return [late - early for early, late in pairwise(times)]


def ask(sandbox: Sandbox, service: str, *, stream: bool) -> tuple[float, float]:
    """Return the seconds to the first byte and to the end of an answer."""
    begin = time.perf_counter()
    url, given = address(sandbox, service), body(service, stream=stream)
    with httpx.stream(
        "POST", url, json=given, headers=keyed(sandbox, service), verify=False
    ) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        first = time.perf_counter() - begin
        for _ in pieces:
            continue
    return first, time.perf_counter() - begin


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_first_token_takes_its_time(paced: Sandbox, service: str, stream: bool) -> None:
    paced.physics = Physics(first_token=0.05)
    first, _ = ask(paced, service, stream=stream)
    assert first >= 0.05


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_tokens_come_at_their_rate(paced: Sandbox, service: str, stream: bool) -> None:
    paced.physics = Physics(tokens_per_second=200)
    ask(paced, service, stream=stream)
    record = settled(paced)
    tokens = 9  # of the answer in the documents
    assert record.ended - record.started >= (tokens - 1) / 200


def test_physics_may_be_set_over_http(paced: Sandbox) -> None:
    path = f"{paced.url}/_sandbox/physics"
    told = httpx.patch(path, json={"first_token": 0.04, "jitter": 0.5}, verify=False)
    assert (told.json()["first_token"], paced.physics.jitter) == (0.04, 0.5)
    refused = httpx.patch(path, json={"jitter": 2}, verify=False)
    assert (refused.status_code, "jitter" in refused.json()["error"]) == (400, True)
    assert httpx.patch(path, json={"speed": 2}, verify=False).status_code == 400
    assert paced.physics.first_token == 0.04


async def test_a_wait_differs_by_its_share_at_most() -> None:
    measured = await waits(tokens_per_second=200, jitter=0.5, first_token=0.005)
    assert all(wait >= 0.0025 for wait in measured)
    assert max(measured) - min(measured) > 0.001


async def test_the_same_seed_and_number_give_the_same_waits() -> None:
    physics = {"tokens_per_second": 100, "jitter": 1.0, "seed": 7}
    one, other, third = (drawn(number, **physics) for number in (1, 1, 2))
    assert one == other != third
    assert one != drawn(1, **{**physics, "seed": 8})
    assert all(0 <= wait <= 0.02 for wait in one)


def drawn(number: int, **physics: Any) -> list[float]:
    pace = Pace(Physics(**physics), number)
    return [pace._between() for _ in range(50)]


def test_without_a_rate_there_is_no_wait() -> None:
    assert set(drawn(1, jitter=1.0, first_token=3)) == {0.0}


@pytest.mark.parametrize("service", [s for s in SERVICES if s != "fireworks"])
def test_a_long_silence_is_filled_with_keep_alives(paced: Sandbox, service: str) -> None:
    paced.physics = Physics(first_token=0.05, ping_every=0.02)
    url, given = address(paced, service), body(service, stream=True)
    answer = httpx.post(url, json=given, headers=keyed(paced, service), verify=False)
    assert answer.text.count("ping" if service != "qaip" else ": keepalive") >= 2


@pytest.mark.parametrize(
    "values", [{"first_token": -1}, {"tokens_per_second": 0}, {"jitter": 1.1}, {"speed": 1}]
)
def test_a_physics_has_ranges(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        Physics.checked(**values)
