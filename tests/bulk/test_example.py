"""The example of bulk runs runs as it is, on the sandbox."""

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples/bulk.py"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the example in this process, and returns what it printed."""
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the example adds to it

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [str(EXAMPLE), *arguments])
        runpy.run_path(str(EXAMPLE), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_the_example_answers_all_questions_and_reports(run: Callable[..., str]) -> None:
    shown = run()
    assert "rows      20, in " in shown
    assert "answered  20 (100 %)" in shown
    assert "cost      0.1" in shown


def test_its_output_can_be_kept_and_is_not_asked_for_again(
    run: Callable[..., str], tmp_path: Path
) -> None:
    output = tmp_path / "answers.jsonl"
    run("--output", str(output))
    rows = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [f"q{n}" for n in range(1, 21)]
    assert all(row["citations"] for row in rows)
    assert "answered  20 (100 %), 0 of them in this run" in run("--output", str(output))
