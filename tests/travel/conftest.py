"""A server for everybody, and an environment without keys."""

from collections.abc import Iterator

import pytest

from qaip_core.backends import BACKENDS
from support.travel.table import Everybody


@pytest.fixture(scope="session")
def _everybody() -> Iterator[Everybody]:
    with Everybody() as running:
        yield running


@pytest.fixture
def server(_everybody: Everybody) -> Everybody:
    """The one server, which has not been asked yet."""
    _everybody.reset()
    return _everybody


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for backend in BACKENDS:
        for name in (*backend.key_env, *backend.url_env):
            monkeypatch.delenv(name, raising=False)
    for name in ("LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)
