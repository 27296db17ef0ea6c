"""The command, in an environment in which nothing is set up."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from qaip_core.backends import BACKENDS
from qaip_core.command import main
from qaip_sandbox import Sandbox

HANDBOOK = Path(__file__).resolve().parents[3] / "examples/handbook"
_NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
_OTHERS = ("DIFY_DATASET_API_KEY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


class Done(NamedTuple):
    """What a run of the command ended with."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(autouse=True)
def nothing_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    of_services = (n for b in BACKENDS for n in (*b.key_env, *b.url_env, *b.verify_env))
    for name in (*of_services, *_NETWORK, *map(str.lower, _NETWORK), *_OTHERS):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def qaip(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, with further variables of the environment."""

    def run(*arguments: object, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's own
            code = int(end.code or 0)
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return run


@pytest.fixture(scope="package")
def _running() -> Iterator[Sandbox]:
    with Sandbox(HANDBOOK) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    _running.reset()
    return _running


@pytest.fixture
def handbook() -> Path:
    return HANDBOOK


@pytest.fixture
def in_process() -> list[str]:
    """How the command is begun in a process of its own."""
    return [sys.executable, "-W", "error", "-m", "qaip_core.command"]
