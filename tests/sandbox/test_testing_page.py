"""The code of docs/testing.md runs: its tests pass, in a suite of their own."""

import re
from pathlib import Path

import httpcore  # noqa: F401 - httpx imports it late, and must not see two of it
import pytest

import langchain_qaip  # noqa: F401 - else each suite below would import it anew
from qaip_sandbox import faults
from qaip_sandbox.faults import Fault
from qaip_sandbox.judging.rules import RULES

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/testing.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.S | re.M)
SUITES = [code for code in BLOCKS if "def test_" in code]
SCRIPTS = [code for code in BLOCKS if code not in SUITES]


@pytest.mark.parametrize("code", SUITES, ids=range(len(SUITES)))
def test_the_page_s_tests_pass(
    code: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(code)
    result = pytester.runpytest_inprocess("-p", "qaip_sandbox.pytest_plugin", "--strict-markers")
    result.assert_outcomes(passed=code.count("\ndef test_"))


@pytest.mark.parametrize("code", SCRIPTS, ids=range(len(SCRIPTS)))
def test_the_page_s_code_runs(
    code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(code, "docs/testing.md", "exec"), {"__name__": "page"})
    assert capsys.readouterr().out.startswith("nothing against the client")


def test_the_page_names_every_rule_and_every_fault() -> None:
    rows = re.findall(r"^\| `([a-z-]+)`", PAGE, re.M)
    assert rows == [rule.name for rule in RULES]
    kinds = set(re.findall(r"^\| `([A-Z]\w+)\(", PAGE, re.M))
    assert kinds == {kind.__name__ for kind in Fault.__args__}
    assert kinds <= set(faults.__all__)
