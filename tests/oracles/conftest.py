"""The sandboxes that the vendors' clients meet, what came of their calls, and a summary."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from qaip_sandbox import Sandbox
from qaip_sandbox.faults import fault_of

from .judges._judge import Call
from .oracles import ORACLES, Outcomes

HERE = Path(__file__).parent
_SECONDS = 300


@pytest.fixture(scope="session")
def outcomes() -> Iterator[Outcomes]:
    """Return what came of all calls of an oracle, which are made when first asked for."""
    with ExitStack() as stack:

        def started(call: Call) -> Sandbox:
            chosen: Any = {call.service: {"profile": call.profile, **call.switches}}
            return stack.enter_context(Sandbox(HERE / "docs", **chosen))

        plain: dict[tuple[str, str], Sandbox] = {}

        def environment(call: Call) -> dict[str, str]:
            if not call.fault and not call.switches:
                key = call.service, call.profile
                plain[key] = plain.get(key) or started(call)
                return plain[key].env
            sandbox = started(call)
            if call.fault:
                sandbox.faults.add(fault_of(call.fault))
            return sandbox.env

        @cache
        def made(oracle: str) -> dict[str, Any]:
            wanted: list[Any] = []
            refused: dict[str, Any] = {}
            for call in ORACLES[oracle].calls:
                try:
                    wanted.append({"call": call.id, "env": environment(call)})
                except ValueError as error:  # a profile that the sandbox does not have
                    refused[call.id] = {"errors": ["no call"], "message": str(error)}
            return refused | {found["name"]: found for found in _judged(oracle, wanted)}

        yield made


def _judged(name: str, wanted: list[dict[str, Any]]) -> list[dict[str, Any]]:
    oracle = ORACLES[name]
    python = Path(os.environ["ORACLES"]).resolve() / oracle.environment / "bin" / "python"
    # Nothing but the sandbox's own variables may tell the client where to go.
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    run = subprocess.run(
        [python, "-m", "judges", *oracle.judges],
        check=False,
        cwd=HERE,
        env={**kept, "NO_PROXY": "127.0.0.1", **oracle.variables},
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )
    assert run.returncode == 0, run.stderr
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print how many calls of each oracle passed, and whose defects the others show."""
    counts: dict[str, Counter[str]] = {}
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        found = dict(report.user_properties)
        if "oracle" in found:
            verdict = found["verdict"] if report.passed else "failed"
            counts.setdefault(found["oracle"], Counter())[verdict] += 1
    if counts:
        _print(terminalreporter, counts)


def _print(terminalreporter: Any, counts: dict[str, Counter[str]]) -> None:
    columns = ("passed", "vendor's defect", "failed")
    terminalreporter.section("vendors' clients")
    terminalreporter.write_line(f"{'client':34}" + "".join(f"{c:>18}" for c in ("calls", *columns)))
    for name in filter(counts.__contains__, ORACLES):
        count = counts[name]
        numbers = (count.total(), *(count[column] for column in columns))
        terminalreporter.write_line(f"{name:34}" + "".join(f"{n:>18}" for n in numbers))
