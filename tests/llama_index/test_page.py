"""The code of docs/llama-index.md runs, on the sandbox; so do the examples."""

import os
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_index.core import Settings

from qaip_sandbox import Sandbox

# LlamaIndex's workflows look at every attribute of an agent.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "docs/llama-index.md").read_text("utf-8"), re.S | re.M
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(ROOT / "docs") as started:
        yield started


@pytest.mark.parametrize("code", BLOCKS, ids=range(len(BLOCKS)))
def test_the_page_s_code_runs(code: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_llm", None)
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    exec(compile(code, "docs/llama-index.md", "exec"), {"__name__": "page"})


def test_the_example_shows_answer_sources_and_the_agent_s_search(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the example adds to it
    runpy.run_path(str(ROOT / "examples/query_engine.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert "[1] How citations work (" in shown
    assert "search_documents({" in shown
