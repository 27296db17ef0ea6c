"""A leading <think> is reasoning, however it arrives; everything else is text."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_core.reasoning import ThinkSplitter

WORDS = st.sampled_from(["<think>", "</think>", "<th", "ink>", "</", "<", ">", " ", "\n", "a", "é"])
TEXTS = st.lists(WORDS, max_size=12).map("".join)
CUTS = st.lists(st.integers(0, 60), max_size=10)


def split(*pieces: str) -> tuple[str, str]:
    splitter = ThinkSplitter()
    pairs = [*map(splitter.feed, pieces), splitter.close()]
    return "".join(reasoning for reasoning, _ in pairs), "".join(text for _, text in pairs)


@given(text=TEXTS, cuts=CUTS)
def test_cuts_change_nothing(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[a:b] for a, b in pairwise(places)]
    assert split(*pieces) == split(text)


@given(text=TEXTS)
def test_nothing_but_tags_and_white_space_is_lost(text: str) -> None:
    reasoning, rest = split(text)
    kept = "".join((reasoning + rest).split())
    assert kept in {
        "".join(source.split())
        for source in (text, text.replace("<think>", "", 1), strip_tags(text))
    }


def strip_tags(text: str) -> str:
    return text.replace("<think>", "", 1).replace("</think>", "", 1)


@pytest.mark.parametrize(
    ("text", "reasoning", "rest"),
    [
        ("<think>why</think>so", "why", "so"),
        ("\n <think>\nwhy\n</think>\n\nso it is\n", "why", "so it is\n"),
        ("<think>a </think> b</think> c", "a", "b</think> c"),
        ("<think></think>so", "", "so"),
        ("<think>  \n </think>so", "", "so"),
        ("<think>why", "why", ""),
        ("<think>why </thi", "why </thi", ""),
        ("<think>", "", ""),
        ("so <think>why</think>", "", "so <think>why</think>"),
        ("the tag <think> opens", "", "the tag <think> opens"),
        ("<thin ice", "", "<thin ice"),
        ("<thi", "", "<thi"),
        (" \n", "", " \n"),
        ("", "", ""),
    ],
)
def test_only_a_leading_tag_counts(text: str, reasoning: str, rest: str) -> None:
    assert split(*text) == (reasoning, rest)


def test_reasoning_is_handed_out_as_it_comes() -> None:
    splitter = ThinkSplitter()
    pieces = ("<think>", "one ", "two", "</th", "ink>", " a", "b")
    assert [splitter.feed(piece) for piece in pieces] == [
        ("", ""),
        ("one", ""),
        (" two", ""),
        ("", ""),
        ("", ""),
        ("", "a"),
        ("", "b"),
    ]
    assert splitter.passive


@pytest.mark.parametrize(
    ("piece", "passive"), [("so", True), ("<think>", False), ("  ", False), ("<think>a", False)]
)
def test_it_steps_aside_when_all_that_follows_is_text(piece: str, passive: bool) -> None:
    splitter = ThinkSplitter()
    splitter.feed(piece)
    assert splitter.passive is passive
