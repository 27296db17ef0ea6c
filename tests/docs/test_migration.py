"""What the migration pages show as "before" runs on the packages that it was written for.

The code "after" is run by `test_pages`. A block that ``prints: both`` is what both printed.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from qaip_sandbox import Sandbox

from .blocks import Block, Page
from .running import ROOT, compare
from .test_pages import beside_documents

__all__ = ["beside_documents"]

HERE = Path(__file__).parent
PAGES = {path.stem: Page(path) for path in sorted((ROOT / "docs/migration").glob("*.md"))}
FORMER = {name: page for name, page in PAGES.items() if name != "index"}
ORACLES = Path(os.environ.get("ORACLES", ".venv-oracles")).resolve()
_SECONDS = 240

needs_former = pytest.mark.skipif(
    "ORACLES" not in os.environ, reason="make test-migration installs the other packages"
)


def before(page: Page) -> Iterator[tuple[Block, str | None]]:
    """Yield the blocks for other packages, each with what the page says that it prints."""
    for number, block in enumerate(page.blocks):
        if "in" in block.said:
            first, second = (*page.blocks[number + 1 :], None, None)[:2]
            own = first and "prints" in first.said
            both = second and second.said.get("prints") == "both"
            shown = first if own else second if both else None
            yield block, shown.code if shown else None


def run_before(blocks: list[Block], environment: str, sandbox: Sandbox) -> list[tuple[str, str]]:
    """Return what blocks print in another environment, and what is wrong with each."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    asked = [
        {"code": b.code, "line": b.line, "where": "page", "raises": b.said.get("raises")}
        for b in blocks
    ]
    run = subprocess.run(
        [ORACLES / environment / "bin/python", HERE / "former.py"],
        env={**kept, "NO_PROXY": "127.0.0.1", "PYTHONWARNINGS": "ignore", **sandbox.env},
        input=json.dumps({"environment": environment, "blocks": asked}),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: list[tuple[str, str]] = json.loads(run.stdout)
    return found


@needs_former
@pytest.mark.parametrize("name", FORMER)
@pytest.mark.usefixtures("beside_documents")
def test_the_code_before_prints_what_the_page_says(name: str) -> None:
    page = FORMER[name]
    shown = list(before(page))
    for where in {block.said["in"] for block, _ in shown}:
        environment, _, today = where.partition(" ")
        chosen = page.sandbox if today else page.former or page.sandbox
        there = [(block, wanted) for block, wanted in shown if block.said["in"] == where]
        with Sandbox("handbook", **chosen) as sandbox:
            found = run_before([block for block, _ in there], environment, sandbox)
        for (block, wanted), (got, wrong) in zip(there, found, strict=True):
            place = f"docs/migration/{name}.md:{block.line}"
            assert not wrong, f"{place}:\n{got}{wrong}"
            if wanted is not None:
                compare(place, wanted, got)


@pytest.mark.parametrize("name", FORMER)
def test_each_page_shows_that_old_and_new_print_the_same(name: str) -> None:
    assert any(block.said.get("prints") == "both" for block in FORMER[name].blocks)


def test_the_table_of_pages_is_complete() -> None:
    text = PAGES["index"].path.read_text("utf-8")
    assert [name for name in FORMER if f"]({name}.md)" not in text] == []
