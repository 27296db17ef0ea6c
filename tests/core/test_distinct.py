"""A source that is listed twice is one source: the entry that the answer cites."""

from qaip_core.citations import distinct
from qaip_core.types import Citation, Span


def listed(*citations: Citation) -> list[tuple[str, int | None]]:
    found = distinct(citation.as_dict() for citation in citations)
    return [(entry["id"], entry.get("marker")) for entry in found]


def test_an_entry_that_is_cited_stands_for_one_that_is_not() -> None:
    first = Citation("a", marker=11)
    other = Citation("b", marker=12)
    again = Citation("a", marker=1, spans=(Span(3, 6),))
    assert listed(first, other, again) == [("a", 1), ("b", 12)]


def test_of_several_entries_alike_the_first_stands() -> None:
    cited = (Span(3, 6),)
    one, two = Citation("a", marker=1, spans=cited), Citation("a", marker=2, spans=cited)
    assert listed(one, two) == [("a", 1)]
    assert listed(Citation("a", marker=1), Citation("a", marker=2)) == [("a", 1)]


def test_sources_without_an_id_are_all_different() -> None:
    assert listed(Citation(""), Citation("")) == [("", None), ("", None)]
