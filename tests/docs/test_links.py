"""Every link of the documentation leads somewhere: to a file, and to a heading that is there."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from .running import ROOT

PAGES = {
    str(path.relative_to(ROOT)): path
    for path in sorted(
        [
            ROOT / "README.md",
            ROOT / "CHANGELOG.md",
            ROOT / "shared/README.md",
            *(ROOT / "docs").rglob("*.md"),
        ]
    )
}
_HTML_LINK = re.compile(r'(?:src|href)="([^"]+)"')


@cache
def tokens(path: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(path.read_text("utf-8"))


def inline(path: Path) -> list[Token]:
    return [child for token in tokens(path) for child in token.children or ()]


def links(path: Path) -> list[str]:
    """Return what a page links to, images too."""
    found = [token.attrs.get("href") or token.attrs.get("src") for token in inline(path)]
    html = "".join(t.content for t in (*tokens(path), *inline(path)) if t.type.startswith("html"))
    return [str(link) for link in found if link] + _HTML_LINK.findall(html)


@cache
def anchors(path: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them; of equal ones the first."""
    headings = [
        following.children or []
        for token, following in zip(tokens(path), tokens(path)[1:], strict=False)
        if token.type == "heading_open"
    ]
    texts = ("".join(child.content for child in heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


@pytest.mark.parametrize("name", PAGES)
def test_every_link_of_the_page_leads_to_a_file_and_a_heading(name: str) -> None:
    page = PAGES[name]
    for link in links(page):
        where, _, anchor = link.partition("#")
        if urlsplit(link).scheme:
            continue
        target = (page.parent / where).resolve() if where else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the project"
        assert target.exists(), f"{link} leads to no file"
        assert not anchor or anchor in anchors(target), f"{link} leads to no heading"


@pytest.mark.parametrize("name", PAGES)
def test_links_to_other_hosts_are_encrypted_and_public(name: str) -> None:
    for link in links(PAGES[name]):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("https", "mailto"), link
            assert not parts.port, link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}", parts.hostname or ""), link


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/")])
def test_a_page_begins_with_its_only_title_and_a_sentence(name: str) -> None:
    page = tokens(PAGES[name])
    titles = [token for token in page if token.type == "heading_open" and token.tag == "h1"]
    blocks = [token for token in page if token.type not in ("html_block", "inline")]
    assert blocks[0].tag == "h1"
    assert len(titles) == 1
    assert blocks[2].type == "paragraph_open", "no sentence says what the page is for"


@pytest.mark.parametrize("name", PAGES)
def test_blocks_of_code_stand_at_the_margin_which_the_site_asks_for(name: str) -> None:
    blocks = [token for token in tokens(PAGES[name]) if token.type == "fence"]
    assert [token.info for token in blocks if token.level] == []
