"""Runs are stopped in order: by Ctrl-C, and from outside their thread."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from qaip_core.bulk.run import _in_thread
from qaip_core.bulk.stopping import stopping, wishing


def test_the_first_ctrl_c_stops_and_the_second_is_the_program_s_own() -> None:
    why: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    with stopping(why.append):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert why == ["interrupted by Ctrl-C"]
    assert signal.getsignal(signal.SIGINT) is before


def test_runs_that_overlap_are_all_stopped_and_leave_no_handler_behind() -> None:
    why: list[str] = []
    before = signal.getsignal(signal.SIGINT)
    first, second = (
        stopping(lambda _: why.append("first")),
        stopping(lambda _: why.append("second")),
    )
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    signal.raise_signal(signal.SIGINT)
    second.__exit__(None, None, None)
    assert why == ["second"]
    assert signal.getsignal(signal.SIGINT) is before

    with stopping(lambda _: why.append("first")), stopping(lambda _: why.append("second")):
        signal.raise_signal(signal.SIGINT)
    assert why == ["second", "first", "second"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    why: list[str] = []
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping(why.append):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert why == []


def test_a_wish_that_comes_before_the_run_has_begun_is_heeded() -> None:
    why: list[str] = []
    with wishing() as wish:
        wish.stop("cancelled")
        with stopping(why.append):
            pass
    assert why == ["cancelled"]


def blocking(ended: threading.Event) -> Callable[[Any, Any], Any]:
    """Return a run that ends only when it is stopped."""

    def run(_job: Any, _asker: Any) -> None:
        stop = threading.Event()
        with stopping(lambda _why: stop.set()):
            assert stop.wait(30)
        time.sleep(0.1)  # rows under way
        ended.set()

    return run


@pytest.mark.parametrize("seconds", [0.0, 0.1])
async def test_a_run_in_a_thread_ends_in_order_when_it_is_cancelled(seconds: float) -> None:
    ended = threading.Event()
    job: Any = None
    running = asyncio.create_task(_in_thread(blocking(ended), job, job))
    await asyncio.sleep(seconds)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert ended.is_set()
