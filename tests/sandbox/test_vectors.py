import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_sandbox.vectors import cosine, embed


@given(st.text(), st.integers(1, 40))
def test_every_text_has_a_vector_of_unit_length(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.hypot(*vector) == pytest.approx(1)
    assert vector == embed(text, dimensions)


def test_texts_that_share_words_are_alike() -> None:
    asked = embed("How many watts does the lamp draw?", 768)
    near, far = embed("The lamp draws 9 watts.", 768), embed("Batteries are charged by day.", 768)
    assert cosine(asked, near) > 0.6
    assert abs(cosine(asked, far)) < 0.1
    assert cosine(asked, asked) == pytest.approx(1)


def test_case_and_endings_make_no_difference() -> None:
    assert embed("LAMP", 64) == embed("the lamps", 64)


def test_unspaced_scripts_are_compared_too() -> None:
    asked = embed("電池は何時間もちますか", 768)
    assert cosine(asked, embed("電池は40時間もつ", 768)) > cosine(asked, embed("明日は雨です", 768))


def test_a_vector_needs_a_dimension() -> None:
    with pytest.raises(ValueError, match="dimensions must be 1 or more, not 0"):
        embed("x", 0)
