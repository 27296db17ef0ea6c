"""What the site has beside the pages of `docs/`, and how their Markdown becomes the site's.

The README is its home; the licence, the changelog, the layers, the examples and the reference are
pages of it too. None of them is copied: they are made when the site is built.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from notebooks import as_markdown
from ranking import weight
from reference import reference
from tables import with_entries
from wording import outside_fences, worded

__all__ = ["on_files", "on_page_markdown"]

ROOT = Path(__file__).resolve().parents[2]
BESIDES = {
    "README.md": "index.md",
    "shared/README.md": "layers.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
}
_HOME = "---\ntitle: Home\nhide: [navigation]\n---\n\n"
_LINK = re.compile(
    r'(?P<before>\]\(|^\[[^\]]+\]: |(?:src|href)=")'
    r'(?P<path>[^)\s"#:]+)(?P<anchor>#[^)\s"]*)?(?=[)\s"]|$)',
    re.M,
)
_PICTURE = re.compile(r"^!\[[^\]]*\]\((?P<path>[^)\s]+)\)$", re.M)


def _examples() -> dict[str, str]:
    """Return the pages of the examples by the files that they show."""
    found = sorted(ROOT.glob("examples/*.py")) + sorted(ROOT.glob("examples/*.ipynb"))
    return {f"examples/{path.name}": f"examples/{path.stem.replace('_', '-')}.md" for path in found}


def _shown(path: Path) -> str:
    """Return the Markdown of a page that shows a file."""
    text = path.read_text("utf-8")
    match path.suffix:
        case ".ipynb":
            return as_markdown(path)
        case ".py":
            return f"# {path.name}\n\n```python\n{text}```\n"
        case "":
            return f"# {path.name.capitalize()}\n\n{text}"
        case _:
            return text


@event_priority(100)  # the other plugins see these pages like any other
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for source, page in {**BESIDES, **_examples()}.items():
        before = _HOME if page == "index.md" else ""
        files.append(File.generated(config, page, content=before + _shown(ROOT / source)))
    for page, content in reference().items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: Any) -> str:
    """Point links at the site's pages, and word what Python-Markdown reads otherwise.

    A picture by itself opens in its own size, since a telephone shows it too small.
    """
    page.meta["search"] = {"boost": weight(page.file.src_uri)}
    moved = {**BESIDES, **_examples()}
    here = page.file.src_uri
    source = next((s for s, p in moved.items() if p == here), f"docs/{here}")

    def pointed(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link["path"]))
        there = moved.get(target, target.removeprefix("docs/"))
        path = posixpath.relpath(there, posixpath.dirname(here) or ".")
        return f"{link['before']}{path}{link['anchor'] or ''}"

    def changed(text: str) -> str:
        text = _PICTURE.sub(r"[\g<0>](\g<path>){ .picture }", text)
        return with_entries(_LINK.sub(pointed, text))

    return worded(outside_fences(markdown, changed))
