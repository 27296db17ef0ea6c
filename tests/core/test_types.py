"""The increments of a stream add up to the whole, in whatever groups they are added."""

import operator
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_core import Choice, Citation, Completion, ToolCall, Usage
from qaip_core.types import add_up

TEXT = st.text("ab", max_size=3)
MAYBE = st.none() | TEXT
LOGPROBS = st.none() | st.dictionaries(
    st.sampled_from(["tokens", "content"]), st.none() | st.lists(st.integers(0, 9), max_size=2)
)
CALLS = st.lists(
    st.builds(ToolCall, name=TEXT, arguments=TEXT, id=MAYBE, index=st.integers(0, 2)),
    max_size=2,
    unique_by=lambda call: call.index,
).map(tuple)
CHOICES = st.builds(
    Choice,
    text=TEXT,
    index=st.integers(0, 2),
    reasoning=TEXT,
    finish_reason=st.sampled_from([None, "stop", "length"]),
    tool_calls=CALLS,
    logprobs=LOGPROBS,
)
COMPLETIONS = st.builds(
    Completion,
    choices=st.lists(CHOICES, max_size=3, unique_by=lambda c: c.index),
    id=MAYBE,
    model=MAYBE,
    created=st.none() | st.integers(0, 9),
    usage=st.none() | st.builds(Usage, *[st.integers(0, 9)] * 3),
    citations=st.lists(st.builds(Citation, TEXT), max_size=2).map(tuple),
    metadata=st.dictionaries(TEXT, st.integers(0, 9), max_size=2),
    raw=st.none() | st.dictionaries(TEXT, st.integers(0, 9), max_size=1),
    last=st.booleans(),
    replaces=st.booleans(),
)


@given(COMPLETIONS, COMPLETIONS, COMPLETIONS)
def test_grouping_changes_nothing(a: Completion, b: Completion, c: Completion) -> None:
    assert (a + b) + c == a + (b + c)


@given(st.lists(COMPLETIONS, min_size=1, max_size=4))
def test_the_sum_of_many_is_that_of_their_neighbours(increments: list[Completion]) -> None:
    total = add_up(increments)
    one_by_one = reduce(operator.add, increments, Completion([]))
    assert replace(total, choices=sorted(total.choices, key=lambda c: c.index)) == replace(
        one_by_one, choices=sorted(one_by_one.choices, key=lambda c: c.index)
    )


@given(COMPLETIONS, COMPLETIONS)
def test_adding_changes_neither_part(a: Completion, b: Completion) -> None:
    before = repr((a, b))
    _ = a + b
    assert repr((a, b)) == before


@pytest.mark.parametrize(
    ("earlier", "later", "total"),
    [
        ({"tokens": ["a"]}, {"tokens": ["b"]}, {"tokens": ["a", "b"]}),
        ({"content": [1], "refusal": None}, {"content": [2]}, {"content": [1, 2], "refusal": None}),
        ({"content": [1]}, {"content": None}, {"content": [1]}),
        ({"tokens": ["a"]}, None, {"tokens": ["a"]}),
        (None, {"tokens": ["b"]}, {"tokens": ["b"]}),
        (None, None, None),
    ],
)
def test_log_probabilities_join_by_token(earlier: Any, later: Any, total: Any) -> None:
    assert (Choice(logprobs=earlier) + Choice(logprobs=later)).logprobs == total


def test_fragments_of_tool_calls_join_by_index() -> None:
    first = Choice(tool_calls=(ToolCall("f", '{"a"', "id0", 0), ToolCall("g", "", "id1", 1)))
    later = Choice(tool_calls=(ToolCall("", ":1}", None, 0), ToolCall("", "{}", None, 1)))
    assert (first + later).tool_calls == (
        ToolCall("f", '{"a":1}', "id0", 0),
        ToolCall("g", "{}", "id1", 1),
    )


def test_a_replacing_increment_begins_anew() -> None:
    total = Completion([Choice("bad", finish_reason="stop")]) + Completion(
        [Choice("good")], replaces=True
    )
    assert (total.text, total.finish_reason, total.replaces) == ("good", None, True)


def test_the_first_choice_is_that_with_the_lowest_index() -> None:
    completion = Completion([Choice("b", 1), Choice("a", 0)])
    assert (completion.text, Completion([Choice("c", 6)]).text) == ("a", "c")
    assert Completion([]).choice == Choice()


def test_counts_have_the_names_that_token_counters_read() -> None:
    assert Usage(1, 2, 3, counts={"searches": 4}).as_counts() == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
        "searches": 4,
    }
