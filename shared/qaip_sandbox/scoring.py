"""How well passages that were found answer a question, from 0 to 1."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .documents import Chunk, Document
from .question import Found, Question, joined
from .quoting import Said, quotable

__all__ = ["scores"]

_FLOOR = 0.3  # of the question's words must stand in a passage
_BEGINNING = 300  # characters of a document in which its first sentence is looked for
_LENGTH = 10  # words of a sentence that says one thing; a longer one says others, too

# What a passage is judged by, and how much each counts.
_SENTENCE = 0.5  # its best sentence
_PASSAGE = 0.4  # all that was found in it
_DOCUMENT = 0.4  # all that was found in its document
_LEAD = 0.3  # the first sentence of its document, which tells what the document is about
_TITLE = 1.0  # the title of its document or its own heading, whichever fits better
_RANK = 0.4  # BM25
_ALL = _SENTENCE + _PASSAGE + _DOCUMENT + _LEAD + _TITLE + _RANK


@dataclass(frozen=True, slots=True)
class _Read:
    """What of a question stands in a chunk, how its heading fits, what its best sentence says."""

    found: Found
    heading: float
    sentence: float


@dataclass(slots=True)
class _About:
    """What of a question stands in a document's title, how it fits, and what else was found."""

    title: Found
    fit: float
    lead: float
    found: list[Found] = field(default_factory=list[Found])


def scores(question: Question, ranked: Sequence[tuple[Chunk, float]]) -> list[float]:
    """Return the score of each chunk, 0 where it says too little of what was asked.

    Args:
        question: What was asked.
        ranked: Chunks with their BM25 values.
    """
    documents: dict[str, _About] = {}
    reads = [_read(question, chunk) for chunk, _ in ranked]
    for (chunk, _), read in zip(ranked, reads, strict=True):
        path = chunk.document.path
        about = documents[path] = documents.get(path) or _about(question, chunk.document)
        about.found.append(read.found)
    best = max((rank for _, rank in ranked), default=1.0)
    return [
        _score(question, read, documents[chunk.document.path], rank / best)
        for (chunk, rank), read in zip(ranked, reads, strict=True)
    ]


def _score(question: Question, read: _Read, about: _About, rank: float) -> float:
    passage = question.share(joined(read.found, about.title))
    # A title speaks for the whole document, not for each passage of it.
    if 0.7 * question.share(read.found) + 0.3 * passage < _FLOOR:
        return 0.0
    value = _SENTENCE * read.sentence + _PASSAGE * passage
    value += _DOCUMENT * question.share(joined(about.title, *about.found))
    value += _LEAD * about.lead + _TITLE * max(about.fit, read.heading) + _RANK * rank
    return round(value / _ALL, 6)


def _read(question: Question, chunk: Chunk) -> _Read:
    said = [_said(question, one) for one in quotable(chunk.text)]
    found = question.found(f"{chunk.heading}\n{chunk.text}")
    return _Read(found, question.named(chunk.heading)[1], max(said, default=0.0))


def _about(question: Question, document: Document) -> _About:
    first = document.passages[0]
    lead = next(iter(quotable(document.text[first.start : first.end][:_BEGINNING])), None)
    title, fit = question.named(document.title)
    return _About(title, fit, _said(question, lead) if lead else 0.0)


def _said(question: Question, sentence: Said) -> float:
    """Return how much of the question a sentence says, less if it says much else."""
    length = 0.6 + 0.4 * len(sentence.tokens) / _LENGTH
    share = question.share(question.among(sentence.tokens, sentence.text))
    return sentence.worth * min(1.0, share / length)
