"""A text ends before the first stop sequence that it completes, however it arrives."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qaip_core.stop import StopCutter

STOPS = st.lists(st.text("ab\n", max_size=4), max_size=4)
PIECES = st.lists(st.text("ab\n", max_size=6), max_size=10)


def shown(stops: Sequence[str], pieces: Sequence[str]) -> str:
    cutter = StopCutter(stops)
    return "".join([*map(cutter.feed, pieces), cutter.close()])


@given(stops=STOPS, pieces=PIECES)
@example(stops=["aba", "b"], pieces=["ab", "a"])
def test_cuts_change_nothing(stops: list[str], pieces: list[str]) -> None:
    assert shown(stops, pieces) == shown(stops, ["".join(pieces)])


@given(stops=STOPS, pieces=PIECES)
def test_no_stop_sequence_is_shown(stops: list[str], pieces: list[str]) -> None:
    text = shown(stops, pieces)
    assert "".join(pieces).startswith(text)
    assert not any(stop in text for stop in stops if stop)


@given(stops=STOPS, pieces=PIECES)
def test_a_text_without_stop_sequence_is_shown_whole(stops: list[str], pieces: list[str]) -> None:
    text = "".join(pieces)
    if not any(stop in text for stop in stops if stop):
        assert shown(stops, pieces) == text


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (["END"], "tea END pot", "tea "),
        (["END", "pot"], "tea pot END", "tea "),
        (["\n\nHuman:", "\n"], "tea\n\nHuman: pot", "tea"),
        (["END"], "tea EN", "tea EN"),
        (["END"], "END", ""),
        (["", "END"], "tea", "tea"),
        ([], "tea", "tea"),
        (["🍵"], "tea 🍵", "tea "),
    ],
)
def test_a_text_is_cut(stops: list[str], text: str, expected: str) -> None:
    assert shown(stops, list(text)) == expected


def test_only_what_may_become_a_stop_sequence_is_held_back() -> None:
    cutter = StopCutter(["END"])
    assert [cutter.feed(piece) for piece in ("tea E", "N", "O", "E", "ND", "pot")] == [
        "tea ",
        "",
        "ENO",
        "",
        "",
        "",
    ]
    assert cutter.stopped
    assert cutter.close() == ""
