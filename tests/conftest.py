"""What all tests share."""

import gc
import os
from collections.abc import Generator

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the demo: it takes so long that at the end all workers would wait for it."""
    items.sort(key=lambda item: item.path.name != "test_quickstart.py")


def pytest_collection_finish() -> None:
    """Spare the collector the tests and the frameworks, which stay to the end.

    It would else walk through them all, again and again, and whenever a test calls it.
    """
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Start three workers for two processors: a third of the time tests wait, not compute."""
    processors = yield
    chosen = "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ
    return processors if chosen else processors + processors // 2
