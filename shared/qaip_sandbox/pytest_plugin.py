"""A pytest plugin: a sandbox for each test, found by every class, and a judge of what is asked.

It loads in every run of pytest, so it imports the sandbox when a test asks for it, and not before.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .extras import missing
from .names import SERVICE_NAMES

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
_LOCAL = "127.0.0.1,localhost"
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
) -> Iterator[Sandbox]:
    """A running sandbox, as new, that the environment variables of every class point at."""
    chosen = _chosen(request)
    folder = Path(chosen.pop("folder", None) or request.getfixturevalue("qaip_sandbox_folder"))
    chosen.pop("judge", None)
    # A folder of this test alone has no use for a sandbox that outlives it.
    own = "tmp_path" in request.fixturenames and folder.is_relative_to(
        request.getfixturevalue("tmp_path")
    )
    sandboxes = _Sandboxes() if own else _qaip_sandboxes
    with ExitStack() as ending:
        if own:
            ending.callback(sandboxes.stop)
        sandbox = sandboxes.get(folder, chosen)
        for name, value in (sandbox.env | _no_proxy()).items():
            monkeypatch.setenv(name, value)
        yield sandbox


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


def _no_proxy() -> dict[str, str]:
    """Return the variables that keep requests to this machine away from a proxy."""
    before = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    value = before if before == "*" else ",".join(filter(None, [before, _LOCAL]))
    return {"no_proxy": value, "NO_PROXY": value}


class _Sandboxes:
    """The sandboxes of a session: one for each folder, and for whatever only a start can set."""

    def __init__(self) -> None:
        self._running: dict[str, Sandbox] = {}

    def get(self, folder: Path, chosen: dict[str, Any]) -> Sandbox:
        """Return a sandbox that runs, with nothing left of the test before."""
        kind = _sandbox_class()
        lasting = {k: v for k, v in chosen.items() if k not in SERVICE_NAMES + _pace()}
        name = repr((folder, sorted(lasting.items())))
        if name in self._running:
            _awake(self._running[name])
        else:
            self._running[name] = kind(folder, **lasting).start()
        sandbox = self._running[name]
        _renew(sandbox, chosen)
        return sandbox

    def stop(self) -> None:
        """Stop them all, also where one has failed."""
        with ExitStack() as stack:
            for sandbox in self._running.values():
                stack.callback(sandbox.stop)
        self._running.clear()


def _sandbox_class() -> type[Sandbox]:
    try:
        from .sandbox import Sandbox
    except ModuleNotFoundError as error:
        name = error.name or ""
        if name.startswith("qaip"):
            raise
    else:
        return Sandbox
    pytest.fail(f"the fixture qaip_sandbox cannot start: {missing(name)}", pytrace=False)


def _awake(sandbox: Sandbox) -> None:
    """See to it that a sandbox of an earlier test runs, with its documents as they are now."""
    thread = sandbox._thread  # noqa: SLF001 - whether it runs is no one else's business
    if thread and thread.is_alive():
        sandbox.refresh()
        return
    with suppress(RuntimeError):  # it had failed, as the test in which it did was told
        sandbox.stop()
    sandbox.start()


def _pace() -> tuple[str, ...]:
    from .physics import Physics

    return tuple(Physics.model_fields)


def _renew(sandbox: Sandbox, chosen: dict[str, Any]) -> None:
    from .physics import Physics

    pace = Physics.checked(**{k: v for k, v in chosen.items() if k in Physics.model_fields})
    sandbox.reset(physics=pace, switches={k: v for k, v in chosen.items() if k in SERVICE_NAMES})
