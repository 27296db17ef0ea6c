from collections.abc import Iterator
from pathlib import Path

import pytest

from qaip_sandbox import Sandbox
from qaip_sandbox.answers import NOT_FOUND, answer, generate
from qaip_sandbox.collection import Collection
from qaip_sandbox.index import Index
from qaip_sandbox.postings import Postings
from qaip_sandbox.text import Term


@pytest.fixture
def index(sandbox: Sandbox) -> Iterator[Index]:
    with Index(sandbox.chunks) as index:
        yield index


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How long does a refund take?", "A refund reaches the buyer's account in 5 working days."),
        ("How many days of paid leave?", "Every employee has 28 days of paid leave per year."),
        ("Which lamp draws 4 watts?", "The Solstice lamp draws 4 watts."),
        ("保証期間は何年ですか？", "保証期間は購入日から2年間です。"),
        ("修理の送料", "修理の送料は無料です。"),
        ("バッテリー交換の料金", "バッテリーの交換は1,500円です。"),
    ],
)
def test_the_answer_quotes_the_best_sentence_first(
    index: Index, question: str, sentence: str
) -> None:
    found = answer(index, question)
    assert found.text().startswith(f"{sentence}[")


@pytest.mark.parametrize(
    "question",
    ["", "Hello", "What is it?", "Who painted the Mona Lisa?", '" OR * NEAR(', "火星の大統領"],
)
def test_what_the_documents_do_not_say_is_not_found(index: Index, question: str) -> None:
    found = answer(index, question)
    assert (found.text(), found.hits) == (NOT_FOUND, ())


def test_scores_fall_and_stay_between_0_and_1(index: Index) -> None:
    scores = [hit.score for hit in index.search("How many hours does the battery last?", 10)]
    assert len(scores) > 1
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_the_limit_cuts_the_hits(index: Index) -> None:
    assert len(index.search("lamp", 1)) == 1


def test_a_word_matches_its_other_forms(index: Index) -> None:
    assert index.search("refunding voucher", 1)[0].chunk.heading == "Refunds"


def test_a_filter_keeps_chunks_out(index: Index) -> None:
    assert index.search("refund", 5, lambda chunk: chunk.heading != "Refunds") == []


def test_every_quote_stands_in_the_sources_it_names(index: Index) -> None:
    found = answer(index, "Which lamp draws how many watts?")
    assert found.quotes
    for quote in found.quotes:
        assert all(quote.text in found.hits[n - 1].chunk.text for n in quote.sources)


def test_the_footnote_marks_of_a_document_do_not_pass_for_sources(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Zebras are striped.[7] Zebras eat grass.")
    with Sandbox(tmp_path) as sandbox, Index(sandbox.chunks) as index:
        assert answer(index, "zebras").text() == "Zebras are striped.[1] Zebras eat grass.[1]"


def test_a_sentence_in_two_documents_names_both(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("Zebras eat grass.")
    with Sandbox(tmp_path) as sandbox, Index(sandbox.chunks) as index:
        assert answer(index, "zebras").text() == "Zebras eat grass.[1][2]"


def test_variants_begin_with_different_quotes(index: Index) -> None:
    found = answer(index, "Which lamp draws how many watts?")
    assert found.text(variant=0) != found.text(variant=1)


def found_in(folder: Path, question: str, **files: str) -> list[str]:
    """Return the paths of the documents that are found, best first."""
    for name, text in files.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    with Collection(folder) as collection:
        collection.refresh()
        return [hit.chunk.document.path for hit in collection.index.search(question, 5)]


def test_another_word_stands_in_only_for_one_that_no_document_has(tmp_path: Path) -> None:
    files = {"a": "A picture hangs in the hall.", "b": "Press the red button for an image."}
    assert found_in(tmp_path, "Where is the picture?", **files) == ["a.md"]
    assert found_in(tmp_path, "Where is the photo?", **files) == ["a.md", "b.md"]


def test_letters_within_the_word_of_a_title_are_no_word(tmp_path: Path) -> None:
    files = {
        "a": "# Timetable\n\nHere you can compare trains.",
        "b": "# Secrets\n\nTo compare two keys in a time that is constant, whatever they hold,"
        " so that nobody who listens can learn a thing, look at every letter of both.",
    }
    assert found_in(tmp_path, "How do I compare in constant time?", **files)[0] == "b.md"


def test_a_word_of_the_title_counts_for_more_than_one_of_the_text(tmp_path: Path) -> None:
    files = {"a": "# Rabbits\n\nThey need a bath.", "b": "# Zebras\n\nThey fear rabbits, too."}
    assert found_in(tmp_path, "rabbits", **files) == ["a.md", "b.md"]


def test_only_the_last_words_that_were_asked_for_are_remembered() -> None:
    postings = Postings()
    for number in range(5_000):
        postings.frequency(Term(f"w{number}", prefix=False))
    assert 0 < len(postings._terms) < 5_000
    postings.close()


def test_an_index_without_chunks_finds_nothing() -> None:
    with Index([]) as index:
        assert index.search("refund", 5) == []


@pytest.mark.parametrize(
    ("stop", "max_tokens", "text", "reason"),
    [
        ([], None, "One two. Three.", "stop"),
        ([" Three"], None, "One two.", "stop"),
        (["Three", "two"], None, "One ", "stop"),
        ([], 2, "One two", "length"),
        ([], 5, "One two. Three.", "stop"),
        (["two"], 1, "One", "length"),
    ],
)
def test_a_generation_ends_at_stop_words_and_the_limit(
    stop: list[str], max_tokens: int | None, text: str, reason: str
) -> None:
    made = generate("One two. Three.", stop, max_tokens)
    assert (made.text, made.finish_reason) == (text, reason)
