"""What the tables of the fault matrix share."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from qaip_core.backends import BACKENDS
from support.fault_server import FaultServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """LangChain says of its newest streams, which are asked too, that they are in beta."""
    beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(beta)


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    """One server for all cases of a table: `tried` resets it."""
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def _alone() -> Iterator[None]:
    """No key or address of the environment, no tracing."""
    with pytest.MonkeyPatch.context() as patch:
        for backend in BACKENDS:
            for name in (*backend.key_env, *backend.url_env):
                patch.delenv(name, raising=False)
        for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="module")
def _spared() -> None:
    """Spare the garbage collector, for tests that call it, what other tests have brought."""
    gc.collect()
    gc.freeze()
