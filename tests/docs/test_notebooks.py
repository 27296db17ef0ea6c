"""The notebooks run from top to bottom, on the sandbox, and their answers render themselves."""

import asyncio
import re
from itertools import cycle
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from qaip_core.backends import BACKENDS

from .running import ROOT

NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
FOLDERS = [ROOT, ROOT / "examples"]
# Cells that end in one of these show an answer.
_SHOWS = re.compile(r"^(?:whole = (?:await )?a?show\(|cited\(|answer$|response$)")


@pytest.fixture(autouse=True)
def without_keys(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which no key or address is set, and Jupyter leaves no files behind."""
    for backend in BACKENDS:
        for name in (*backend.key_env, *backend.url_env):
            monkeypatch.delenv(name, raising=False)
    for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(path: Path) -> None:
    notebook = _read(path)
    nbformat.validate(notebook)
    for cell in _code(notebook):
        assert cell.outputs == [], cell.source
        assert cell.execution_count is None, cell.source


@pytest.mark.parametrize(("path", "folder"), [*zip(NOTEBOOKS, cycle(FOLDERS))])
def test_a_notebook_runs_and_shows_its_answers(path: Path, folder: Path) -> None:
    notebook = _read(path)
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    asyncio.run(client.async_execute())
    shown = [cell for cell in _code(notebook) if _SHOWS.match(_last_line(cell))]
    assert len(shown) >= 6
    for cell in shown:
        (output,) = cell.outputs
        html = output.data["text/html"]
        assert '<ol class="qaip-sources"' in html
        assert "https://sandbox.invalid/docs/" in html
        assert "<script" not in html


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def _code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _last_line(cell: Any) -> str:
    return str(cell.source.rsplit("\n", 1)[-1])
