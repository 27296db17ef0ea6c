"""docs/performance.md says what was measured, as the JSON beside it keeps it."""

import json
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "performance"
PAGE = (ROOT / "docs" / "performance.md").read_text()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return import_module("speed.page")


def test_the_tables_of_the_page_are_those_of_the_measured_figures(page: ModuleType) -> None:
    found = [page.Results.load(which) for which in page.FRAMEWORKS]
    assert page.replaced(PAGE, page.tables(found)) == PAGE


@pytest.mark.parametrize("which", ["langchain", "llama-index"])
def test_the_machine_is_told_by_cores_processor_and_python_only(which: str) -> None:
    known = json.loads((FOLDER / f"{which}.json").read_text())["machine"]
    assert set(known) == {"cores", "processor", "python"}


def test_the_plot_is_there_and_has_a_text_for_those_who_cannot_see_it() -> None:
    alternatives = dict(re.findall(r"!\[(.*?)\]\((.*?)\)", PAGE))
    assert alternatives
    for text, path in alternatives.items():
        assert len(text) > 20
        assert (ROOT / "docs" / path).read_text().startswith("<?xml")


def test_the_plot_is_readable_on_light_and_dark_pages() -> None:
    plot = (FOLDER / "streams.svg").read_text()
    assert not re.search(r"fill: #(fff|000)\w*\b", plot)
