"""All code of the documentation runs, on the sandbox, and prints what the pages say."""

import os
import shutil
import warnings
from pathlib import Path

import pytest

from qaip_core.backends import BACKENDS
from qaip_sandbox import Sandbox

from .blocks import Page
from .running import ROOT, run

PAGES = {
    str(path.relative_to(ROOT)): path
    for path in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
}


@pytest.fixture
def beside_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the documents `handbook`, in an environment without keys.

    README speaks to who stands in the checkout, where they are in another folder.
    """
    for place in ("handbook", "examples/handbook"):
        shutil.copytree(ROOT / "examples/handbook", tmp_path / place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for backend in BACKENDS:
        for name in (*backend.key_env, *backend.url_env):
            os.environ.pop(name, None)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.usefixtures("beside_documents")
def test_the_page_s_code_runs(name: str) -> None:
    page = Page(PAGES[name])
    with Sandbox("handbook", **page.sandbox) as sandbox, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of the packages that a page uses are not ours
        os.environ.update(sandbox.env)
        run(page)
