"""`make demo`, as a newcomer runs it: no key, no network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NO_KEYS = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_BASE_URL"))}


def demo(**settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "examples/quickstart.py"],
        cwd=ROOT,
        env={**NO_KEYS, "PYTHONUTF8": "1", **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def shown() -> str:
    done = demo()
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize("service", ["Perplexity", "Qaip", "Dify", "VMware", "Fireworks"])
def test_every_service_answers(shown: str, service: str) -> None:
    (section,) = [part for part in shown.split("\n── ") if part.startswith(service)]
    assert "A stream that is cut raises `IncompleteStreamError`" in section


@pytest.mark.parametrize("service", ["Perplexity", "Qaip", "Dify"])
def test_services_that_cite_show_numbered_sources(shown: str, service: str) -> None:
    (section,) = [part for part in shown.split("\n── ") if part.startswith(service)]
    assert "  [1] " in section
    assert "docs/streams.md" in section


def test_other_documents_and_another_question_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "tea.md").write_text("# Tea\n\nThe tin holds forty grams of tea.", "utf-8")
    done = demo(DOCS=str(tmp_path), ASK="How many grams does the tin hold?")
    assert done.stdout.count("The tin holds forty grams of tea.[1]") == 3


def test_other_documents_need_no_question(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Garden\n\n## Roses\n\nPrune roses in March.", "utf-8")
    assert demo(DOCS=str(tmp_path)).stdout.count("Prune roses in March.[1]") == 3


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"BACKEND": "perplexity"}, 1, "set PERPLEXITY_API_KEY"),
        ({"BACKEND": "nonsense"}, 2, "is none of: perplexity, qaip"),
        ({"DOCS": "no/such/folder"}, 1, "not a folder"),
    ],
)
def test_what_cannot_be_done_is_said(settings: dict[str, str], code: int, said: str) -> None:
    done = demo(**settings)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
