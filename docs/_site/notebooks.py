"""Runs a notebook, on the sandbox that its first cell starts, and shows what came out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["as_markdown"]

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def as_markdown(path: Path) -> str:
    """Return a page with the cells of a notebook and their outputs.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook: Any = nbformat.reads(path.read_text("utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    return "\n\n".join(_cell(cell) for cell in notebook.cells) + "\n"


def _cell(cell: Any) -> str:
    if cell.cell_type != "code":
        return str(cell.source)
    return "\n\n".join(
        [_fenced(cell.source, "python"), *(_output(output) for output in cell.outputs)]
    )


def _output(output: Any) -> str:
    data = output.get("data", {})
    if html := data.get("text/html"):
        return f'<div class="notebook-output" markdown="0">\n{html}\n</div>'
    if markdown := data.get("text/markdown"):
        return str(markdown)
    text = output.get("text") or data.get("text/plain") or ""
    return _fenced(_ANSI.sub("", text).rstrip("\n"), "{ .text .output }")


def _fenced(code: str, language: str) -> str:
    fence = "`" * (1 + max([2, *(len(run) for run in re.findall(r"`{3,}", code))]))
    return f"{fence}{language}\n{code}\n{fence}"
