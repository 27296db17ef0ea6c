"""How a cited answer is written: as text, Markdown, HTML, and in a terminal."""

import io
import re
import time
from typing import Any

import pytest
from rich.console import Console

from qaip_core.citations import resolve_markers
from qaip_core.rendering import CitedAnswer
from qaip_core.rendering.numbering import named_by_place
from qaip_core.types import Citation

HISTORY = "Stennick Light was first lit on 3 November 1847. Before that, keepers burned coal."
LENS = "The lens\nThe lens was cleaned.\nThe next inspection is due in March 2030."


def source(name: str, text: str = "", **facts: Any) -> Citation:
    return Citation(id=name, title=name, text=text, url=f"https://{name}.example/a", **facts)


def answer(text: str, *sources: Citation) -> CitedAnswer:
    return CitedAnswer(text, [c.as_dict() for c in resolve_markers(text, sources)])


TWO = answer(
    "It was lit in 1847.[2] The next inspection is due in March 2030.[1]",
    source("report", LENS, page_number=2, date="2025-03-14T09:00:00Z", rank=1),
    source("history", HISTORY, rank=2),
    source("unnamed", "Tickets cost 9 euros.", rank=3),
)


def numbers(cited: CitedAnswer) -> dict[str, int]:
    return {source.title: source.number for source in cited.sources}


def test_text_shows_the_answer_and_its_sources() -> None:
    assert str(TWO) == (
        "It was lit in 1847.[2] The next inspection is due in March 2030.[1]\n"
        "\n"
        "[1] report, p. 2, 2025-03-14\n"
        "    https://report.example/a\n"
        "    The lens · The lens was cleaned. The next inspection is due in March 2030.\n"
        "[2] history\n"
        "    https://history.example/a\n"
        "    Stennick Light was first lit on 3 November 1847. Before that, keepers burned coal.\n"
        "[3] unnamed\n"
        "    https://unnamed.example/a\n"
        "    Tickets cost 9 euros."
    )


def test_the_login_of_an_address_is_not_its_title() -> None:
    hostile = {"id": "a", "url": "https://www.google.com@evil.example/path", "text": ""}
    assert CitedAnswer("", [hostile]).sources[0].title == "evil.example/path"


@pytest.mark.parametrize(
    ("passage", "shown"),
    [
        ("Dogs\n\nthey are welcome.", "Dogs · they are welcome."),
        ("A line that is wrapped\nin a sentence.", "A line that is wrapped in a sentence."),
        ("A sentence.\nAnother.", "A sentence. Another."),
        ("Dogs\n", "Dogs"),
    ],
)
def test_a_heading_is_told_apart_from_its_text(passage: str, shown: str) -> None:
    assert answer("", source("a", passage)).sources[0].excerpt(100) == shown


def test_an_answer_without_sources_is_its_text() -> None:
    assert str(CitedAnswer("No idea.")) == "No idea."
    assert CitedAnswer("No idea.").markdown() == "No idea."
    assert "<ol" not in CitedAnswer("No idea.").html()


def test_sources_alone_are_listed() -> None:
    alone = CitedAnswer("", [source("a").as_dict()])
    assert str(alone) == "[1] a\n    https://a.example/a"
    assert alone.markdown() == "Sources: [^1]\n\n[^1]: [a](<https://a.example/a>), a.example"
    assert '</style><ol class="qaip-sources"' in alone.html()


def test_markdown_has_footnotes() -> None:
    assert TWO.markdown() == (
        "It was lit in 1847.[^2] The next inspection is due in March 2030.[^1]\n"
        "\n"
        "More sources: [^3]\n"
        "\n"
        "[^1]: [report](<https://report.example/a>), p. 2, 2025-03-14, report.example: The lens "
        "· The lens was cleaned. The next inspection is due in March 2030.\n"
        "[^2]: [history](<https://history.example/a>), history.example: Stennick Light was first "
        "lit on 3 November 1847. Before that, keepers burned coal.\n"
        "[^3]: [unnamed](<https://unnamed.example/a>), unnamed.example: Tickets cost 9 euros."
    )


def test_a_link_says_where_it_leads() -> None:
    said = (
        "[https://bank.example](https://evil.example/x) <https://a.example> [a](https://b.example)"
    )
    text = re.sub("<style>.*</style>|<[^>]*>", "", CitedAnswer(said).html(), flags=re.DOTALL)
    assert text.strip() == "https://bank.example (evil.example) https://a.example a (b.example)"
    assert "https://bank.example (evil.example)" in shown(CitedAnswer(said))
    assert "\\[https://bank.example\\](" in CitedAnswer(said).markdown()
    assert CitedAnswer(said[46:]).markdown() == said[46:]


def test_an_image_within_a_link_is_its_text() -> None:
    html = CitedAnswer("[![a tower](https://a.example/p.png)](https://b.example)").html()
    assert html.count("<a ") == 1
    assert ">a tower</a> (b.example)" in html


def test_a_marker_makes_no_link_within_a_link() -> None:
    html = answer("[as [1] says](https://b.example)", source("a")).html()
    assert "[as <span" in html
    assert " says](https://b.example)" in html


def test_a_link_is_not_too_long() -> None:
    long = f"[r]: https://a.example/{'x' * 3000}\n\n[r]"
    assert "<a " not in CitedAnswer(long).html()


def test_ten_thousand_sources_are_numbered_in_no_time() -> None:
    known = [{"id": f"s{n}", "rank": n, "spans": [[0, 3]]} for n in range(1, 10_001)]
    begun = time.process_time()
    assert len(CitedAnswer("[1]", known).sources) == 10_000
    assert time.process_time() - begun < 5


def test_code_is_no_place_for_footnotes() -> None:
    cited = answer("Take `a[1]`.[1]\n\n```\nb[1]\n```\n", source("a"))
    assert cited.markdown().startswith("Take `a[1]`.[^1]\n\n```\nb[1]\n```\n")


def test_a_marker_keeps_its_number_whatever_the_rank() -> None:
    cited = answer("A.[web:7]", source("a", marker=7, rank=1), source("b", marker=-1, rank=7))
    assert cited.marked_text == "A.[7]"
    assert numbers(cited) == {"a": 7, "b": 8}


def test_a_source_that_is_found_twice_is_listed_once() -> None:
    same = {"id": "a", "title": "a", "text": ""}
    cited = CitedAnswer("A.[1] B.[3]", [
        {**same, "rank": 1, "spans": [[2, 5]]}, {**same, "rank": 3, "spans": [[8, 11]]},
    ])  # fmt: skip
    assert cited.marked_text == "A.[1] B.[1]"
    assert numbers(cited) == {"a": 1}


def test_a_phrase_that_is_cited_gets_a_marker_behind_it() -> None:
    said = "It was lit in 1847, and it is 38 metres high."
    cited = CitedAnswer(said, [
        {"id": "a", "title": "a", "spans": [[0, 18]]},
        {"id": "b", "title": "b", "spans": [[0, 18], [20, 44], [20, 44]]},
    ])  # fmt: skip
    assert cited.marked_text == "It was lit in 1847 [1][2], and it is 38 metres high [2]."


def test_markers_of_another_author_name_sources_by_their_place() -> None:
    known: list[dict[str, Any]] = [{"id": "a"}, {"id": "b", "spans": [[0, 4]]}]
    named = named_by_place("Lit.[1] High.[2]", known)
    assert [source["spans"] for source in named] == [[[4, 7]], [[0, 4]]]


def test_offsets_beyond_the_text_are_left_out() -> None:
    cited = CitedAnswer("Short.", [{"id": "a", "title": "a", "spans": [[3, 99], [4, 2], [-3, 2]]}])
    assert cited.marked_text == "Short."


def test_a_marker_that_names_no_source_stays_text() -> None:
    cited = answer("See [9] and [1](https://a.example).[1]", source("a"))
    assert cited.markdown().startswith("See [9] and [1](https://a.example).[^1]")
    assert cited.html().count('<span class="qaip-mark">') == 1


def test_sources_without_a_title_are_called_by_their_address() -> None:
    named = [
        {"id": "1", "url": "https://www.a.example/b/"},
        {"id": "2", "source": "notes/log.txt"},
        {"id": "3"},
        {"id": "4", "file_name": "log.txt", "page_label": "iv"},
    ]
    assert [s.title for s in CitedAnswer("", named).sources] == [
        "a.example/b",
        "notes/log.txt",
        "Source 3",
        "log.txt",
    ]
    assert CitedAnswer("", named).sources[3].facts == ("p. iv",)


def test_a_long_passage_is_shown_from_the_sentence_that_the_answer_rests_on() -> None:
    cited = answer("Due in March 2030.[1]", source("report", "Nothing of it. " * 9 + LENS))
    assert cited.sources[0].excerpt(60) == "... The next inspection is due in March 2030."


def test_html_says_what_a_marker_stands_for() -> None:
    html = TWO.html()
    (card,) = re.findall(r'<span class="qaip-mark">(?:(?!qaip-mark).)*report(?:(?!</p>).)*', html)
    assert 'aria-label="Source 1: report"' in card
    assert 'data-qaip="p. 2 · 2025-03-14 · report.example"' in card
    assert re.search(r'<a href="#(qaip-\w+-1)".*<li id="\1" value="1">', html, re.DOTALL)
    assert re.search(r'<li [^>]*class="qaip-unnamed"><a [^>]*><bdi>unnamed', html)


def test_two_answers_in_one_page_share_no_id() -> None:
    ids = re.findall(r' id="([^"]+)"', TWO.html() + TWO.html())
    assert len(ids) == len(set(ids)) == 6


def test_html_does_not_load_images() -> None:
    html = CitedAnswer("![a tower](https://a.example/pixel.png)").html()
    assert "<img" not in html
    assert '<a href="https://a.example/pixel.png" target="_blank"' in html


def test_formulas_in_foreign_text_are_not_typeset() -> None:
    assert '<div class="qaip-cited mathjax_ignore tex2jax_ignore">' in TWO.html()


def test_without_a_reader_of_markdown_the_text_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qaip_core.rendering.page.find_spec", lambda name: None)
    html = answer("**Lit** <b>in</b> 1847.[1]", source("a")).html()
    assert "**Lit** &lt;b&gt;in&lt;/b&gt; 1847.<span" in html


def test_without_a_reader_of_markdown_no_link_of_the_answer_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qaip_core.rendering.footnotes.find_spec", lambda name: None)
    markdown = answer("A [link](https://a.example).[1]", source("a")).markdown()
    assert markdown.startswith("A \\[link\\](https://a.example).[^1]\n\n[^1]: [a]")


def test_a_notebook_and_ipython_show_an_answer_by_themselves() -> None:
    class Printer(list[str]):
        def text(self, text: str) -> None:
            self.append(text)

    printer = Printer()
    TWO._repr_pretty_(printer, cycle=False)
    assert printer == [str(TWO)]
    assert "qaip-sources" in TWO._repr_html_()


def shown(cited: CitedAnswer, **settings: Any) -> str:
    console = Console(file=io.StringIO(), width=72, **settings)
    console.print(cited)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_rich_shows_markdown_with_the_sources() -> None:
    text = shown(answer("Lit in **1847**.[1]\n\n- one\n- two", source("history", HISTORY)))
    assert "\x1b" not in text
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines == [
        "Lit in 1847.[1]",
        "",
        " • one",
        " • two",
        "",
        "[1] history",
        "    https://history.example/a",
        "    Stennick Light was first lit on 3 November 1847. Before that,",
        "    keepers burned coal.",
    ]


def test_rich_shows_sources_of_which_little_is_known() -> None:
    assert shown(CitedAnswer("", [{"id": "a", "title": "Log"}])).split() == ["[1]", "Log"]
    assert shown(CitedAnswer("", [])) == ""


def test_rich_links_markers_to_their_sources() -> None:
    text = shown(answer("Lit.[1]", source("a")), force_terminal=True)
    assert re.search(r"\x1b\]8;[^;]*;https://a.example/a\x1b\\\x1b\[36m\[1\]", text)


def test_markup_of_rich_in_a_source_is_text() -> None:
    cited = CitedAnswer(
        "[bold]x[/bold]", [{"id": "a", "title": "[red]b[/red]", "text": "[blink]c"}]
    )
    text = shown(cited)
    assert "[bold]x[/bold]" in text
    assert "[red]b[/red]" in text
    assert "[blink]c" in text
