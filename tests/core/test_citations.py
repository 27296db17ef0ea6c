"""[n] markers become spans of the n-th citation; nothing is invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_core import Citation, Span
from qaip_core.citations import resolve_markers
from qaip_core.types import source_id

TWO = (Citation("a"), Citation("b"))


def spans(text: str, citations: tuple[Citation, ...] = TWO) -> list[list[tuple[int, int]]]:
    return [[(s.start, s.end) for s in c.spans] for c in resolve_markers(text, citations)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tea[1] pot[2]", [[(3, 6)], [(10, 13)]]),
        ("tea[1][2][1]", [[(3, 6), (9, 12)], [(6, 9)]]),
        ("tea[2]", [[], [(3, 6)]]),
        ("tea", [[], []]),
        ("tea[3] pot[0] [99999]", [[], []]),
        ("tea[1, 2] [ 1 ] [a] [] [1", [[], []]),
        ("茶🍵[1]", [[(2, 5)], []]),
        ("[01]", [[(0, 4)], []]),
        ("", [[], []]),
    ],
)
def test_markers_become_spans(text: str, expected: list[list[tuple[int, int]]]) -> None:
    assert spans(text) == expected


def test_without_citations_markers_mean_nothing() -> None:
    assert spans("tea[1]", ()) == []


@given(st.text("[]123 é🍵", max_size=40), st.integers(0, 12))
def test_a_span_is_where_its_marker_stands(text: str, count: int) -> None:
    citations = tuple(Citation(str(n)) for n in range(1, count + 1))
    resolved = resolve_markers(text, citations)
    assert [c.id for c in resolved] == [c.id for c in citations]
    for n, citation in enumerate(resolved, start=1):
        marked = {text[s.start : s.end] for s in citation.spans}
        assert all(int(marker[1:-1]) == n for marker in marked)
        assert len(citation.spans) == text.count(f"[{n}]")


def test_what_was_given_stays_as_it_was() -> None:
    resolve_markers("[1]", TWO)
    assert TWO[0].spans == ()


def test_resolving_twice_changes_nothing() -> None:
    once = resolve_markers("tea[1] pot[2]", TWO)
    assert resolve_markers("tea[1] pot[2]", once) == once


def test_ids_tell_sources_apart_and_are_stable() -> None:
    given_ids = [
        source_id("u", "t", 1),
        source_id("u", "t", 2),
        source_id("ut", "", 1),
        source_id(None, "t", None),
        source_id("u", "\ud800", None),
    ]
    assert len(set(given_ids)) == len(given_ids)
    assert source_id("u", "t", 1) == given_ids[0]
    assert source_id(None, None, None) == source_id("", "", 0)


def test_facts_are_what_is_known() -> None:
    citation = Citation(
        "a", "http://x", "T", "text", 3, rank=1, spans=(Span(0, 3),), metadata={"file_type": "pdf"}
    )
    assert citation.facts() == {
        "file_type": "pdf",
        "source": "http://x",
        "url": "http://x",
        "title": "T",
        "page_number": 3,
        "rank": 1,
    }
    assert Citation("a", title="T").facts() == {"source": "T", "title": "T"}


def test_a_citation_is_plain_data_on_demand() -> None:
    citation = Citation("a", title="T", spans=(Span(0, 3),))
    assert citation.as_dict() == {
        "source": "T",
        "title": "T",
        "id": "a",
        "text": "",
        "spans": [[0, 3]],
    }
