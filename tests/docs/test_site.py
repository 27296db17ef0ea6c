"""The site: what `make docs` builds is whole, and asks no other host for anything."""

import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from markdown_it import MarkdownIt

from .running import ROOT

REFERENCE = (
    "langchain_qaip",
    "langchain_qaip.bulk",
    "langchain_qaip.errors",
    "llama_index_qaip",
    "llama_index_qaip.bulk",
    "llama_index_qaip.errors",
    "llama_index_qaip.testing",
    "qaip_core",
    "qaip_core.errors",
    "qaip_core.rendering",
    "qaip_core.tokens",
    "qaip_core.fireworks_api",
    "qaip_sandbox",
)
_LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
_LATER = {"canonical", "next", "prev"}  # relations that load nothing


class Read(HTMLParser):
    """What a page of the site links to, loads and defines."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.update(value for name in ("id", "name") if (value := given.get(name)))
        if tag == "a" and (href := given.get("href")):
            self.links.append(href)
        if (url := given.get(_LOADED.get(tag, ""))) and given.get("rel") not in _LATER:
            self.loaded.append(url)


@pytest.fixture(scope="module")
def site() -> Path:
    """The folder that holds the site."""
    built = os.environ.get("SITE") or pytest.skip("`make docs` builds the site, and tests it then")
    return (ROOT / built).resolve()


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Read]:
    return {path: Read(path) for path in sorted(site.rglob("*.html"))}


def test_every_page_of_the_documentation_is_there_and_in_the_navigation(site: Path) -> None:
    home = Read(site / "index.html")
    for path in (ROOT / "docs").rglob("*.md"):
        page = path.relative_to(ROOT / "docs").with_suffix(".html")
        assert (site / page).is_file()
        assert str(page) in home.links, f"{page} is not in the `nav` of mkdocs.yml"


@pytest.mark.parametrize("tag", ["h2", "h3", "li", "table", "tr", "blockquote", "pre"])
def test_pages_hold_what_code_hosts_show_of_them(tag: str, site: Path) -> None:
    counted = re.compile(rf"<{tag}\b")
    for path in (ROOT / "docs").rglob("*.md"):
        page = (site / path.relative_to(ROOT / "docs")).with_suffix(".html").read_text("utf-8")
        article = page.partition("<article")[2].partition("</article>")[0]
        hosted = MarkdownIt().enable("table").render(path.read_text("utf-8"))
        assert len(counted.findall(article)) == len(counted.findall(hosted)), path.name


def test_examples_changes_and_licence_are_there_too(site: Path) -> None:
    names = {path.stem.replace("_", "-") for path in (ROOT / "examples").glob("*.*")}
    assert names == {path.stem for path in (site / "examples").glob("*.html")}
    assert "MIT License" in (site / "license.html").read_text("utf-8")
    assert (site / "changelog.html").is_file()
    assert (site / "layers.html").is_file()


def _links(pages: dict[Path, Read]) -> Iterator[tuple[Read, str, Path, str]]:
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if not parts.scheme and page.path.name != "404.html":
                target = (page.path.parent / unquote(parts.path)).resolve()
                yield page, link, target if parts.path else page.path, unquote(parts.fragment)


def test_every_link_leads_to_a_page_and_an_anchor(pages: dict[Path, Read]) -> None:
    for page, link, target, anchor in _links(pages):
        where = target / "index.html" if target.is_dir() else target
        assert where.exists(), f"{page.path.name}: {link}"
        is_known = not anchor or where not in pages or anchor in pages[where].ids
        assert is_known or anchor.startswith("__"), f"{page.path.name}: {link}"


def test_no_page_loads_anything_from_another_host(site: Path, pages: dict[Path, Read]) -> None:
    for page in pages.values():
        assert [url for url in page.loaded if urlsplit(url).netloc] == []
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text("utf-8")), style


@pytest.mark.parametrize("module", REFERENCE)
def test_every_public_name_has_an_entry_in_the_reference(
    module: str, pages: dict[Path, Read]
) -> None:
    ids = {name for page in pages.values() if page.path.parent.name == "reference"
           for name in page.ids}  # fmt: skip
    public = import_module(module)
    names = {f"{module}.{n}" for n in public.__all__ if not _is_module(getattr(public, n))}
    assert names - ids == set()


def _is_module(found: object) -> bool:
    return type(found).__name__ == "module"


def test_what_the_reference_leaves_out_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("griffe")
    monkeypatch.syspath_prepend(ROOT / "docs/_site")
    public = [getattr(module, n) for m in REFERENCE for module in [import_module(m)]
              for n in module.__all__]  # fmt: skip
    bases = {base for cls in public if isinstance(cls, type) for base in cls.__mro__}
    packages = {name.partition(".")[0] for name in REFERENCE}
    ours = {base for base in bases if base.__module__.partition(".")[0] in packages}
    assert (
        import_module("fields").PLUMBING - {name for base in ours for name in vars(base)} == set()
    )


def test_what_weighs_more_or_less_in_the_search_is_a_page(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs/_site")
    pages = {str(path.relative_to(site).with_suffix(".md")) for path in site.rglob("*.html")}
    for beginning in import_module("ranking").WEIGHTS:
        assert any(page.startswith(beginning) for page in pages), beginning


@pytest.mark.parametrize("name", ["api_key", "temperature", "max_retries", "response_format"])
def test_an_inherited_parameter_is_in_the_entry_of_a_class(name: str, site: Path) -> None:
    page = (site / "reference/langchain-chat-models.html").read_text("utf-8")
    entry = page.split('id="langchain_qaip.ChatFireworks"')[1]
    entry = entry.split('id="langchain_qaip.ChatPAIS"')[0]
    assert f"<code>{name}</code></td>" in entry


def test_a_notebook_is_shown_with_what_its_cells_printed(site: Path) -> None:
    notebooks = sorted((ROOT / "examples").glob("*.ipynb"))
    for notebook in notebooks:
        page = site / "examples" / f"{notebook.stem.replace('_', '-')}.html"
        shown = page.read_text("utf-8")
        assert 'class="notebook-output"' in shown, "no answer shows itself"
        assert "Traceback" not in shown


def test_comments_that_only_the_tests_read_are_not_published(pages: dict[Path, Read]) -> None:
    for page in pages.values():
        assert not re.search(r"<!-- (prints|raises|file|serves|not run)", page.path.read_text())
