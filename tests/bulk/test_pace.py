"""The common pace holds also where a worker wakes late."""

import asyncio
import time

from qaip_core.bulk.pace import Pace, Stride
from qaip_core.bulk.plan import Plan


async def test_requests_whose_time_has_passed_do_not_go_in_the_same_moment() -> None:
    stride, went = Stride(), list[float]()

    async def send(number: int) -> None:
        await stride.wait(100.0 + number / 50, number / 50)
        went.append(time.monotonic())

    sending = [asyncio.create_task(send(number)) for number in range(12)]
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 -- a loop that is busy with something else
    await asyncio.gather(*sending)
    assert went[-1] - went[1] >= 10 * 0.9 / 50 - 0.02


async def test_a_worker_that_always_wakes_a_little_late_keeps_the_rate() -> None:
    stride = Stride()

    async def work() -> None:
        while True:
            time.sleep(0.005)  # noqa: ASYNC251 -- a loop that is busy with answers
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    began = time.monotonic()
    await asyncio.gather(*(stride.wait(number / 200, number / 200) for number in range(101)))
    took = time.monotonic() - began
    working.cancel()
    assert 0.9 * 100 / 200 - 0.02 <= took <= 1.5 * 100 / 200


async def test_a_request_that_is_given_up_keeps_none_of_the_others_waiting() -> None:
    stride = Stride()
    await stride.wait(0.0, 0.0)
    given_up = asyncio.create_task(stride.wait(60.0, 60.0))
    await asyncio.sleep(0)
    given_up.cancel()
    async with asyncio.timeout(5):
        await stride.wait(0.1, 0.1)


def test_requests_to_several_services_have_times_of_their_own() -> None:
    pace = Pace(Plan(rates={"qaip": 10.0, "": 100.0}))
    assert [round(delay, 6) for delay in pace.delays("qaip", 2, 5.0)] == [0.0, 0.1]
    assert [round(delay, 6) for delay in pace.delays("dify", 3, 5.0)] == [0.0, 0.01, 0.02]
    assert [round(delay, 6) for delay in pace.delays("qaip", 1, 5.05)] == [0.15]
    assert len(pace.delays("qaip", 100, 6.0)) == 11  # no further than a second ahead
