"""Servers on loopback for the tests of the LangChain package, and a clean environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from langchain_core.globals import set_llm_cache

from qaip_core.backends import BACKENDS
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as running:
        yield running


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Path(__file__).parent.parent / "sandbox" / "docs") as running:
        yield running


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No key or address of the environment, no cache of another test, no tracing."""
    for backend in BACKENDS:
        for name in (*backend.key_env, *backend.url_env):
            monkeypatch.delenv(name, raising=False)
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2", "LC_OUTPUT_VERSION"):
        monkeypatch.delenv(name, raising=False)
    yield
    set_llm_cache(None)
