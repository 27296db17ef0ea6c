"""The example of LlamaIndex runs as it is, on the sandbox."""

import os
import runpy
from pathlib import Path

import pytest

# LlamaIndex's workflows look at every attribute of an agent.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
EXAMPLE = Path(__file__).parents[2] / "examples/query_engine.py"


def test_the_example_shows_answer_sources_and_the_agent_s_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the example adds to it
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    shown = capsys.readouterr().out
    assert "Stennick Light was first lit on 3 November 1847.[1]" in shown
    assert "[1] The history of Stennick Light (" in shown
    assert "search_documents({" in shown
