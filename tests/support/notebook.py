"""Runs a notebook, in a kernel of its own."""

from typing import Any

import nbformat
from nbclient import NotebookClient

__all__ = ["run_cells"]


def run_cells(*cells: str) -> list[list[dict[str, Any]]]:
    """Return what each of the cells displays, by media types."""
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=60).execute()
    return [[dict(out.get("data", {})) for out in cell["outputs"]] for cell in notebook.cells]
