"""Which sentences stand in an answer, and which do not."""

from pathlib import Path

import pytest

from qaip_sandbox.answers import NOT_FOUND, answer
from qaip_sandbox.collection import Collection
from qaip_sandbox.index import Index
from qaip_sandbox.passages import Passages, answer_from

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
