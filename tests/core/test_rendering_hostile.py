"""Whatever an answer and its sources say, it is shown and does nothing else."""

import io
import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from qaip_core.rendering import CitedAnswer
from support.terminal import Terminal

OURS = {
    "div": {"class", "dir"},
    "style": set(),
    "span": {"class", "data-qaip", "aria-hidden"},
    "a": {"href", "aria-label", "target", "rel", "class"},
    "sup": {"class", "title"},
    "i": set(),
    "bdi": set(),
    "ol": {"class", "aria-label", "start"},
    "li": {"id", "value", "class"},
    "details": set(),
    "summary": {"dir"},
    "blockquote": {"dir"},
    "code": {"class"},
    "td": {"style"},
    "th": {"style"},
}
PLAIN = {"p", "em", "strong", "s", "pre", "br", "hr", "ul", "table", "thead", "tbody", "tr"}
PLAIN |= {f"h{level}" for level in range(1, 7)}
VOID = {"br", "hr"}
WEB = ("https://", "http://", "mailto:")
NASTY = [
    "<script>alert(1)</script>",
    "</style><script>",
    "</blockquote></details></li><img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    'https://a.example/"onmouseover="alert(1)',
    "https://[a.example",
    "https://a.example/'><svg onload=alert(1)>",
    "https://a.example/)](javascript:x) \n[x]: javascript:y",
    "[x](javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[1]: javascript:alert(1)\n\n[1]",
    "![x](https://tracker.example/pixel)",
    "![x][y]\n\n[y]: https://tracker.example/pixel",
    "<https://a.example>",
    "<javascript:alert(1)>",
    "&#106;avascript:alert(1) &lt;script&gt;",
    "[x](&#106;avascript:alert(1))",
    "](https://a.example) ![",
    "\\",
    "\\<script>",
    "\\![x](https://tracker.example/pixel)",
    "\\[x](javascript:alert(1))",
    "`",
    "```\n<script>",
    "~~~",
    "$\\href{javascript:alert(1)}{x}$",
    "\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[31m",
    "\x9b31m \x9d",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "a\rb\r\nc\x85d\u2028e",
    "\ud800",
    "\x00",
    "[bold]x[/]",
    "[^1]: note",
    "# heading\n> quote\n1. one\n- two\n---",
    "| a |\n|---|\n| b |",
    "    <script>",
    "> ```\n> <b>\n",
    "- ```\n  <b>\n",
    "x" * 20_000,
    "",
]
NAMES = ("title", "url", "source", "date", "page_number", "page_label")
odd = st.none() | st.booleans() | st.integers() | st.floats() | st.lists(st.integers())
links = st.text(max_size=20).map("https://{}".format)
foreign = st.lists(st.sampled_from(NASTY) | st.text(max_size=12), max_size=4).map(" ".join)


@st.composite
def answers(draw: st.DrawFn) -> CitedAnswer:
    text = draw(foreign)
    citations = []
    for number in range(1, draw(st.integers(1, 3)) + 1):
        text += draw(st.sampled_from([f" [{number}] ", f"[{number}]", "", f"\n\n[{number}]\n"]))
        start = draw(st.integers(0, len(text)))
        facts: dict[str, Any] = draw(
            st.fixed_dictionaries(
                {"text": foreign}, optional=dict.fromkeys(NAMES, foreign | odd | links)
            )
        )
        spans: list[Any] = [[start, draw(st.integers(0, len(text)))], draw(odd)]
        marker = text.rfind(f"[{number}]")
        spans += [[marker, marker + 3]] if marker >= 0 else []
        citations.append({**facts, "id": f"s{number}", "rank": number, "spans": spans})
        text += draw(foreign)
    return CitedAnswer(text, citations)


def of(said: str) -> CitedAnswer:
    facts = dict.fromkeys(("title", "url", "source", "date", "page_number", "text"), said)
    return CitedAnswer(
        f"{said} [1] {said}", [{**facts, "id": "a", "spans": [[len(said) + 1, len(said) + 4]]}]
    )


class Reader(HTMLParser):
    """Reads HTML as a browser would, and asserts that all of it is ours."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in OURS or tag in PLAIN, tag
        names = [name for name, _ in attrs]
        assert set(names) <= OURS.get(tag, set()), (tag, names)
        assert len(set(names)) == len(names)
        for name, value in attrs:
            assert value is not None
            if name == "href":
                assert value.startswith(("#qaip-", *WEB)), value
            if name == "style":
                assert re.fullmatch("text-align:(left|center|right)", value)
        if dict(attrs).get("target"):
            assert dict(attrs)["rel"] == "noopener noreferrer nofollow"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert tag in VOID or self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(data)


def assert_harmless(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert not [c for c in html if is_control(c)]


def is_control(character: str) -> bool:
    kind = unicodedata.category(character)
    reorders = unicodedata.bidirectional(character) in {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    }  # fmt: skip
    return character not in "\n\t" and (kind in ("Cc", "Cs") or reorders)


@pytest.mark.parametrize("said", NASTY)
def test_known_tricks_do_nothing_in_html(said: str) -> None:
    assert_harmless(of(said).html())


@settings(deadline=None)
@given(answers())
def test_html_holds_nothing_but_what_we_write(cited: CitedAnswer) -> None:
    assert_harmless(cited.html())


def test_the_style_ends_where_we_end_it() -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", of("</style>x").html(), re.DOTALL)
    assert "</" not in style
    assert style.rstrip().endswith("}")


@pytest.mark.parametrize("said", NASTY)
def test_known_tricks_do_nothing_in_markdown(said: str) -> None:
    assert_markdown_harmless(of(said).markdown())


@settings(deadline=None)
@given(answers())
@example(CitedAnswer("![a", [{"id": "b", "title": "x](javascript:y)", "spans": [[0, 3]]}]))
def test_markdown_becomes_neither_html_nor_links_that_run_code(cited: CitedAnswer) -> None:
    assert_markdown_harmless(cited.markdown())


def assert_markdown_harmless(text: str) -> None:
    """Read it with a reader that allows everything."""
    permissive = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    permissive.validateLink = lambda url: True  # type: ignore[method-assign]
    pending = permissive.parse(text)
    while pending:
        token = pending.pop()
        pending.extend(token.children or ())
        assert token.type not in ("html_block", "html_inline", "image"), token.content
        if href := token.attrs.get("href"):
            # Readers without footnotes take some for links: to a place beside the text.
            assert str(href).startswith(WEB) or ":" not in re.split("[*%/]", str(href))[0], href
    assert not [c for c in text if is_control(c)]


@settings(deadline=None)
@given(answers())
def test_text_holds_no_controls(cited: CitedAnswer) -> None:
    assert not [c for c in str(cited) if is_control(c)]
    str(cited).encode()


@settings(deadline=None)
@given(answers())
def test_a_terminal_gets_no_codes_but_our_own(cited: CitedAnswer) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    console.print(cited)
    terminal = Terminal(24)
    terminal.feed(console.file.getvalue())  # type: ignore[attr-defined]
    assert terminal.unknown == []
    assert all(link.startswith(WEB) for link in terminal.links)
    assert not [c for c in terminal.text if is_control(c)]
