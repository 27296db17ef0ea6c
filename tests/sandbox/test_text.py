import pytest
from hypothesis import given
from hypothesis import strategies as st

from qaip_sandbox.text import fold, pieces, sentences, slug, terms


@given(st.text())
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text


@given(st.text(alphabet=st.sampled_from("aZ .!?\n。-*1)`#「」é日")))
def test_a_sentence_is_a_slice_of_the_text(text: str) -> None:
    for sentence in sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text


def test_a_marker_is_one_piece() -> None:
    assert pieces("Yes.[1][12] No") == ["Yes", ".", "[1]", "[12]", " No"]


def test_a_japanese_character_is_one_piece() -> None:
    assert pieces("保証 OK") == ["保", "証", " OK"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("See e.g. this one. Then 3.5 more.", ["See e.g. this one.", "Then 3.5 more."]),
        ("保証は2年です。送料は無料です。", ["保証は2年です。", "送料は無料です。"]),
        ("- One\n- Two\n2. Three", ["One", "Two", "Three"]),
        ("Wrapped\nline. Next", ["Wrapped\nline.", "Next"]),
        ("```\ncode\n```", ["code"]),
        ("***\n\n", []),
    ],
)
def test_sentences_end_where_readers_think(text: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in sentences(text)] == expected


@pytest.mark.parametrize(
    ("question", "stems"),
    [
        ("What is the refund period?", ["refund", "period"]),
        ("How do policies end?", ["polici", "end"]),
        ("保証の期間は何年ですか？", ["保証", "期間"]),
        ("保証期間", ["保証", "証期", "期間"]),
        ("バッテリーの交換", ["バッテリー", "交換"]),
        ("りんごはいくらですか", ["りんご", "んごは"]),
        ("これはなんですか", []),
        ("what is it", []),
    ],
)
def test_terms_are_the_content_words(question: str, stems: list[str]) -> None:
    assert [term.stem for term in terms(question)] == stems


def test_folding_drops_case_width_and_accents_but_not_voicing() -> None:
    assert fold("ÉCOLE ＡＢＣ が") == "ecole abc が"


def test_a_slug_is_an_anchor() -> None:
    assert slug("Return & Shipping!") == "return-shipping"
