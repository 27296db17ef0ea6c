"""Which sentences stand in an answer, and which do not."""

from pathlib import Path

import pytest

from qaip_sandbox.answers import NOT_FOUND, answer
from qaip_sandbox.collection import Collection
from qaip_sandbox.index import Index
from qaip_sandbox.passages import Passages, answer_from
from qaip_sandbox.quoting import span, unmarked

STREAMS = "A stream that is cut raises an error, and the partial text is kept."
MORE = "Where a stream is cut, a warning can be wished for instead of an error."
TABLE = "| stream | cut | result |\n| --- | --- | --- |\n| a stream that is cut | yes | error |"


def said(folder: Path, question: str, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    with Collection(folder) as collection:
        collection.refresh()
        return answer(collection.index, question).bare()


def test_a_sentence_comes_before_the_row_of_a_table(tmp_path: Path) -> None:
    question = "What happens when a stream is cut?"
    assert said(tmp_path, question, a=f"# Table\n\n{TABLE}", b=f"# Text\n\n{STREAMS}") == STREAMS


def test_a_row_of_a_table_is_quoted_where_nothing_else_answers(tmp_path: Path) -> None:
    assert said(tmp_path, "When is a stream cut?", a=TABLE).startswith("| a stream that is cut")


def test_code_and_headings_are_not_quoted(tmp_path: Path) -> None:
    text = f"# Streams that are cut\n\n```\nstream.cut() # a stream is cut\n```\n\n{STREAMS}"
    assert said(tmp_path, "When is a stream cut?", a=text) == STREAMS


def test_headings_alone_answer_nothing(tmp_path: Path) -> None:
    assert said(tmp_path, "When is a stream cut?", a="# A stream\n\n## is cut") == NOT_FOUND


def test_a_sentence_that_only_shares_a_word_is_left_out(tmp_path: Path) -> None:
    other = "# Stop words\n\nThe text must then be cut on this side, stream by stream or not."
    answered = said(tmp_path, "Which error raises a stream that is cut?", a=STREAMS, b=other)
    assert answered == STREAMS


def test_what_the_same_passage_says_on_it_is_added(tmp_path: Path) -> None:
    text = f"{STREAMS} {MORE} Zebras eat grass."
    assert said(tmp_path, "What happens when a stream is cut?", a=text) == f"{STREAMS} {MORE}"


def test_two_questions_in_one_are_answered_from_two_documents(tmp_path: Path) -> None:
    files = {"a": "A refund takes 5 days.", "b": "The warranty lasts 2 years."}
    answered = said(tmp_path, "How long is the warranty, and when is the refund there?", **files)
    assert sorted(answered.split(". ")) == ["A refund takes 5 days", "The warranty lasts 2 years."]


@pytest.mark.parametrize(
    "question", ["How do I erase a picture?", "deleting images", "Where can photos be removed?"]
)
def test_a_question_need_not_use_the_writers_words(tmp_path: Path, question: str) -> None:
    text = "To delete an image, press the red button."
    assert said(tmp_path, question, a=text, b="Zebras eat grass.") == text


def test_the_words_of_a_name_in_code_are_found(tmp_path: Path) -> None:
    text = "`IncompleteStreamError` has the field `partial_text`."
    assert said(tmp_path, "Is there an error for an incomplete stream?", a=text) == text
    assert said(tmp_path, "Where is the partial text?", a=text) == text


def test_the_words_of_a_title_lead_to_the_right_document(tmp_path: Path) -> None:
    files = {
        "a": "# Refunds\n\nIt takes five days at most.\n\nA refund needs a receipt.",
        "b": "# Letters\n\nA letter about a refund may be written in any language that we speak.",
    }
    assert said(tmp_path, "What does a refund need?", **files) == "A refund needs a receipt."


def test_a_word_that_no_document_has_may_begin_one(tmp_path: Path) -> None:
    text = "Die Garantiezeit beträgt zwei Jahre."
    assert said(tmp_path, "Garantie", a=text, b="Zebras eat grass.") == text


def test_a_question_as_long_as_a_book_is_answered_at_once(tmp_path: Path) -> None:
    question = f"{' '.join(f'word{n}' for n in range(50_000))} When is a stream cut?"
    assert said(tmp_path, question, a=STREAMS) == NOT_FOUND


def test_passages_are_traced_to_their_chunks_in_their_order(tmp_path: Path) -> None:
    for name in ("lamp", "zebra", "rabbit"):
        (tmp_path / f"{name}.md").write_text(f"The {name} is kept in the {name} house.")
    with Collection(tmp_path) as collection:
        collection.refresh()
        index: Index = collection.index
        texts = [chunk.text for chunk in reversed(index.chunks)]
        found = answer_from(
            index, "Where is the rabbit?", Passages("\n\n".join(texts)), lambda _: True, 5
        )
        assert [hit.chunk.text for hit in found.hits] == texts
        assert [quote.sources for quote in found.quotes] == [(3 - texts.index(texts[1]),)]


def test_a_passage_that_is_in_no_document_has_no_source(tmp_path: Path) -> None:
    with Collection(tmp_path) as collection:
        found = answer_from(
            collection.index, "Where is the moon?", Passages("The moon is up."), lambda _: True, 5
        )
        assert (found.bare(), found.hits) == ("The moon is up.", ())


PLANETS = (
    "# Planets\n\nMercury is the smallest planet[2] in the Solar System.[3][4] "
    "Venus is the hottest planet.[5]\n\nMars, as NASA says,[[6]](https://x.example/Mars_(planet)#n)"
    " is the red planet.\n"
)


@pytest.mark.parametrize(
    ("question", "quote"),
    [
        ("Which is the smallest planet?", "Mercury is the smallest planet in the Solar System.[1]"),
        ("Which is the hottest planet?", "Venus is the hottest planet.[1]"),
        ("Which is the red planet?", "Mars, as NASA says, is the red planet.[1]"),
    ],
)
def test_a_sentence_is_quoted_without_the_footnotes_of_its_document(
    tmp_path: Path, question: str, quote: str
) -> None:
    (tmp_path / "planets.md").write_text(PLANETS)
    with Collection(tmp_path) as collection:
        collection.refresh()
        assert quote in answer(collection.index, question).text()
        assert {quote.sources for quote in answer(collection.index, question).quotes} == {(1,)}


def test_a_year_in_brackets_is_quoted_as_it_stands(tmp_path: Path) -> None:
    text = "The light was first lit in [1847]."
    assert said(tmp_path, "When was the light first lit?", a=text) == text


def test_a_sentence_whose_code_has_an_index_is_not_quoted(tmp_path: Path) -> None:
    texts = {"a": "The name of the lamp is `argv[1]`.", "b": "A lamp has a name."}
    assert said(tmp_path, "What is the name of the lamp?", **texts) == texts["b"]


def test_a_mark_alone_is_no_sentence(tmp_path: Path) -> None:
    assert said(tmp_path, "What is 3?", a="# Notes\n\n[3]\n") == NOT_FOUND


def test_a_passage_of_a_prompt_is_quoted_without_its_footnotes_and_finds_its_source(
    tmp_path: Path,
) -> None:
    (tmp_path / "planets.md").write_text(PLANETS)
    (tmp_path / "zebra.md").write_text("Zebras eat grass.[1]")
    with Collection(tmp_path) as collection:
        collection.refresh()
        index: Index = collection.index
        texts = "\n\n".join(chunk.text for chunk in reversed(index.chunks))
        question = "Which is the smallest planet?"
        found = answer_from(index, question, Passages(texts), lambda _: True, 5)
        assert found.text() == "Mercury is the smallest planet in the Solar System.[2]"
        assert [hit.chunk.document.path for hit in found.hits] == ["zebra.md", "planets.md"]


def test_numbered_passages_of_a_prompt_keep_their_numbers_and_lose_their_footnotes(
    tmp_path: Path,
) -> None:
    prompt = "Source 1: Zebras eat grass.[7]\n\nSource 2: Mercury[3] is the smallest planet.[4]"
    with Collection(tmp_path) as collection:
        passages = Passages(prompt)
        question = "Which is the smallest planet?"
        found = answer_from(collection.index, question, passages, lambda _: True, 5)
    assert found.text() == "Mercury is the smallest planet.[2]"


@pytest.mark.parametrize(
    ("text", "quote", "place"),
    [
        ("A planet.", "A planet.", "A planet."),
        ("It is so [3] here. Mars[1] is red.[2]", "Mars is red.", "Mars[1] is red."),
        ("[3] It is so.", "It is so.", "It is so."),
        ("It is so.", "It is not so.", None),
        ("It is so.", "", None),
    ],
)
def test_a_quote_is_found_in_the_text_with_its_footnotes(
    text: str, quote: str, place: str | None
) -> None:
    found = span(text, quote)
    assert (text[slice(*found)] if found else None) == place


@pytest.mark.parametrize("part", [" ", "[1](", "`", "[1](a(", "[", "[\\["])
def test_no_text_takes_long_to_be_rid_of_its_marks(part: str) -> None:
    text = part * 100_000 + "end"
    assert unmarked(text).endswith("end")
