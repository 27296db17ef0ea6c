"""`make demo`, as a newcomer runs it: no key, no network."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
DEMO = ROOT / "examples/quickstart.py"
NO_KEYS = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}


@pytest.fixture(scope="module")
def shown() -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", DEMO],
        cwd=ROOT,
        env={**NO_KEYS, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture
def demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the demo once more, in this process, and returns its code and what it printed."""
    monkeypatch.chdir(ROOT)
    # The demo sets variables of its own.
    monkeypatch.setattr(os, "environ", os.environ.copy())

    def run(**settings: str) -> tuple[int, str, str]:
        for name in os.environ.keys() - NO_KEYS.keys():
            del os.environ[name]
        os.environ.update(settings)
        code = runpy.run_path(str(DEMO))["main"]()
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("service", ["Perplexity", "Qaip", "Dify", "VMware", "Fireworks"])
def test_every_service_answers(shown: str, service: str) -> None:
    (section,) = [part for part in shown.split("\n── ") if part.startswith(service)]
    assert "Stennick Light was first lit on 3 November 1847." in section


@pytest.mark.parametrize("service", ["Perplexity", "Qaip", "Dify"])
def test_services_that_cite_show_numbered_sources(shown: str, service: str) -> None:
    (section,) = [part for part in shown.split("\n── ") if part.startswith(service)]
    assert "\n[1] " in section
    assert "docs/history.md" in section


def test_other_documents_and_another_question_can_be_given(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\nThe tin holds forty grams of tea.", "utf-8")
    _, out, _ = demo(DOCS=str(tmp_path), ASK="How many grams does the tin hold?")
    assert out.count("The tin holds forty grams of tea.[1]") == 2


def test_other_documents_need_no_question(demo: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Garden\n\n## Roses\n\nPrune roses in March.", "utf-8")
    _, out, _ = demo(DOCS=str(tmp_path))
    assert out.count("Prune roses in March.[1]") == 2


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"BACKEND": "perplexity"}, 1, "set PERPLEXITY_API_KEY"),
        ({"BACKEND": "nonsense"}, 2, "is none of: perplexity, qaip"),
        ({"DOCS": "no/such/folder"}, 1, "not a folder"),
    ],
)
def test_what_cannot_be_done_is_said(
    demo: Any, settings: dict[str, str], code: int, said: str
) -> None:
    found, _, err = demo(**settings)
    assert found == code
    assert said in err
    assert "Traceback" not in err
