"""A pytest plugin: a sandbox for each test, found by every class, and a judge of what is asked.

It loads in every run of pytest, so it imports the sandbox when a test asks for it, and not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .judging import Judge
    from .sandbox import Sandbox

__all__ = [
    "pytest_addoption",
    "pytest_configure",
    "qaip_sandbox",
    "qaip_sandbox_folder",
    "qaip_sandbox_judge",
]

_MARKER = "qaip_sandbox"
_SERVICES = ("qaip", "fireworks", "pais", "perplexity", "dify")
_PACE = ("first_token", "tokens_per_second", "jitter", "seed", "ping_every")
_BUILT_IN = {
    "returns.md": "# Returns\n\nA lamp can be returned within 30 days of delivery. "
    "The money is paid back within 5 working days.\n",
    "warranty.md": "# Warranty\n\nThe warranty on every lamp lasts 2 years. "
    "It does not cover the bulb.\n",
    "opening-hours.txt": "The shop is open from 9 to 18 o'clock, and closed on Sundays.\n",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the option `qaip_sandbox_folder` of the ini file."""
    parser.addini(
        "qaip_sandbox_folder",
        "the folder whose documents the fixture qaip_sandbox answers from",
        type="paths",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker `qaip_sandbox`."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(folder=..., judge={{...}}, perplexity={{...}}, tokens_per_second=..., ...): "
        "how the fixture qaip_sandbox is set up: the arguments of Sandbox, and of its judge",
    )


@pytest.fixture(scope="session")
def qaip_sandbox_folder(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The folder with the documents; override it, or set `qaip_sandbox_folder` in the ini file."""
    given = pytestconfig.getini("qaip_sandbox_folder")
    if given:
        return Path(given[0])
    folder = tmp_path_factory.mktemp("qaip-sandbox")
    for name, text in _BUILT_IN.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def qaip_sandbox(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    _qaip_sandboxes: _Sandboxes,
) -> Sandbox:
    """A running sandbox, as new, that the environment variables of every class point at."""
    chosen = _chosen(request)
    folder = chosen.pop("folder", None) or request.getfixturevalue("qaip_sandbox_folder")
    chosen.pop("judge", None)
    sandbox = _qaip_sandboxes.get(Path(folder), chosen)
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def qaip_sandbox_judge(request: pytest.FixtureRequest, qaip_sandbox: Sandbox) -> Iterator[Judge]:
    """A judge of what the test asks; the test fails where anything is against the client."""
    with qaip_sandbox.judge(**_chosen(request).get("judge", {})) as judge:
        yield judge
    if not judge.verdict.ok:
        pytest.fail(str(judge.verdict), pytrace=False)


@pytest.fixture(scope="session")
def _qaip_sandboxes() -> Iterator[_Sandboxes]:
    sandboxes = _Sandboxes()
    yield sandboxes
    sandboxes.stop()


def _chosen(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return the settings of the markers, the nearest one's before those of class and module."""
    chosen: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            raise pytest.UsageError(f"@pytest.mark.{_MARKER} takes keywords only, as folder=...")
        chosen |= marker.kwargs
    return chosen


class _Sandboxes:
    """The sandboxes of a session: one for each folder, and for whatever only a start can set."""

    def __init__(self) -> None:
        self._running: dict[str, Sandbox] = {}

    def get(self, folder: Path, chosen: dict[str, Any]) -> Sandbox:
        """Return a sandbox that runs, with nothing left of the test before."""
        lasting = {k: v for k, v in chosen.items() if k not in (*_SERVICES, *_PACE)}
        name = repr((folder, sorted(lasting.items())))
        if name not in self._running:
            self._running[name] = _sandbox(folder, lasting).start()
        sandbox = self._running[name]
        _renew(sandbox, chosen)
        return sandbox

    def stop(self) -> None:
        """Stop them all."""
        for sandbox in self._running.values():
            sandbox.stop()


def _sandbox(folder: Path, lasting: dict[str, Any]) -> Sandbox:
    try:
        from .sandbox import Sandbox
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing.startswith("qaip"):
            raise
    else:
        return Sandbox(folder, **lasting)
    pytest.fail(
        f"the fixture qaip_sandbox needs {missing}: pip install 'qaip-integrations[sandbox]'",
        pytrace=False,
    )


def _renew(sandbox: Sandbox, chosen: dict[str, Any]) -> None:
    from .physics import Physics

    pace = Physics.checked(**{k: v for k, v in chosen.items() if k in _PACE})
    sandbox.reset(physics=pace, switches={k: v for k, v in chosen.items() if k in _SERVICES})
