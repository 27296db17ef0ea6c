"""The examples of docs/dify.md run, each by itself, on the sandbox."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from qaip_sandbox import Sandbox

PAGE = (Path(__file__).parents[2] / "docs/dify.md").read_text("utf-8")
EXAMPLES: Sequence[str] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_runs(number: int, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    code = compile(EXAMPLES[number], "docs/dify.md", "exec")
    exec(code, {"__name__": "page"})


def test_there_are_examples_of_both_frameworks() -> None:
    joined = "\n".join(EXAMPLES)
    for name in ("langchain_qaip", "llama_index_qaip"):
        assert joined.count(f"from {name} import") >= 3
