"""Answers from passages that a prompt brings along, quoted word for word like any other."""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from .answers import Answer, Candidate, Quote, best_of
from .documents import Chunk
from .index import Filter, Hit, Index
from .question import Question
from .quoting import marked, unmarked, worth
from .text import sentences

__all__ = ["Passages", "answer_from"]

_FLOOR = 0.3
_FIRST = 4
_MOST = 200  # sentences whose origin is looked for
_ALIKE = 10
_NUMBER = re.compile(
    r"^[ \t]*(?:(?:source|document|passage)[ \t]+#?(\d{1,3})[ \t]*:|\[(\d{1,3})\]:?(?=\s))",
    re.IGNORECASE | re.MULTILINE,
)
# What frameworks print above a passage: one fact per line, under a key of one word.
_FACTS = re.compile(r"(?:^|(?<=\n\n))(?:[a-z][\w-]*:[ \t][^\n]*(?:\n|\Z))+(?=\n|\Z)")
# A list of texts or documents that was put into the prompt as Python writes it.
_LISTED = re.compile(
    r"(?:^\[|,\s*|\bpage_content=)('(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")(?=\s*[,\])])"
)
_QUESTION_LINE = re.compile(r"^[ \t]*(?:sub[- ]?)?(?:question|query)[ \t]*:.*$", re.I | re.M)
_ANSWER_LABEL = re.compile(r"^[ \t]*(?:response|answer|observation)[ \t]*:[ \t]*", re.I | re.M)
_MARKERS = re.compile(r"(?:\s*\[\d{1,3}\])+(?=[.!?]*\Z)")


@dataclass(frozen=True, slots=True)
class Passages:
    """What a prompt wants to be answered from.

    `earlier` is an answer that shall be refined. `insist` says that the passages answer even
    where they share no word with the question, as what a tool has said does.
    """

    text: str
    earlier: str = ""
    insist: bool = False


@dataclass(frozen=True, slots=True)
class _Said:
    """A sentence of a passage, and the numbers of sources that stand with it."""

    text: str
    numbers: tuple[int, ...]


def answer_from(
    index: Index, question: str, passages: Passages, allowed: Filter, limit: int
) -> Answer:
    """Answer `question` from `passages`.

    The hits are the chunks that the passages were taken from, as far as `allowed` lets them
    through. Where the prompt numbers its passages, the markers have its numbers.
    """
    asked = index.question(question)
    text = _unlisted(passages.text)
    numbered = _numbered(text)
    said = [*_said(passages.earlier, ()), *_all_said(numbered or [(0, text)])]
    best = _best(asked, said) or [one.text for one in said[:_FIRST] if passages.insist]
    if not best:
        return Answer((), ())
    found = _in_order(index, allowed, numbered) if numbered else _origins(index, text, best)
    found = [chunk for chunk in found if allowed(chunk)]
    hits = [Hit(chunk, round(asked.coverage(chunk.text), 6)) for chunk in found]
    if numbered:
        quotes = [Quote(text, _numbers(text, said)) for text in best]
        return Answer(tuple(quotes), tuple(hits), numbered=True)
    return Answer(tuple(_cited(best, hits[:limit])), tuple(hits[:limit]))


def _unlisted(text: str) -> str:
    """Return the texts of a list that is written as Python writes it, below one another."""
    if not (text.startswith("[") and text.endswith("]")):
        return text
    with suppress(ValueError, SyntaxError):
        found = [str(ast.literal_eval(match[1])) for match in _LISTED.finditer(text)]
        return "\n\n".join(found) or text
    return text


def _numbered(text: str) -> list[tuple[int, str]]:
    """Return the passages with their numbers, none if they have none."""
    heads = list(_NUMBER.finditer(text))
    places = [*(head.start() for head in heads), len(text)]
    return [
        (int(head[1] or head[2]), text[head.end() : end].strip())
        for head, end in zip(heads, places[1:], strict=True)
    ]


def _all_said(passages: Iterable[tuple[int, str]]) -> Iterator[_Said]:
    for number, text in passages:
        yield from _said(text, (number,) if number else ())


def _said(text: str, numbers: tuple[int, ...]) -> Iterator[_Said]:
    """Yield the sentences of a passage without its frame, without markers, and no questions."""
    bare = _QUESTION_LINE.sub("", _FACTS.sub("", text)) or text
    for sentence in sentences(_ANSWER_LABEL.sub("", bare)):
        found = _MARKERS.search(sentence.text)
        words = unmarked(sentence.text)
        if words and not words.endswith("?") and not marked(words):
            own = tuple(map(int, re.findall(r"\d+", found[0]))) if found else ()
            yield _Said(words, numbers or own)


def _best(question: Question, said: Sequence[_Said]) -> list[str]:
    if question.coverage("\n".join(one.text for one in said)) < _FLOOR:
        return []
    found = {one.text: (question.found(one.text), one.numbers) for one in said}
    candidates = [
        Candidate(text, known, question.share(known) * worth(text), numbers)
        for text, (known, numbers) in found.items()
    ]
    return [one.text for one in best_of(question, candidates)]


def _numbers(text: str, said: Iterable[_Said]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(n for one in said if one.text == text for n in one.numbers))


def _cited(best: Iterable[str], hits: Sequence[Hit]) -> Iterator[Quote]:
    passages = [unmarked(hit.chunk.text) for hit in hits]
    for text in best:
        yield Quote(text, tuple(n for n, passage in enumerate(passages, 1) if text in passage))


def _in_order(index: Index, allowed: Filter, numbered: Sequence[tuple[int, str]]) -> list[Chunk]:
    """Return a chunk for each passage, so that its number finds it; none unless all have one."""
    found = [_origin(index, allowed, text) for _, text in numbered]
    kept = [chunk for chunk in found if chunk]
    counted = [number for number, _ in numbered] == list(range(1, len(kept) + 1))
    return kept if counted else []


def _origin(index: Index, allowed: Filter, passage: str) -> Chunk | None:
    alike = (chunk for chunk in _near(index, passage) if allowed(chunk))
    return next((chunk for chunk in alike if chunk.text in passage or passage in chunk.text), None)


def _origins(index: Index, text: str, quotes: Sequence[str]) -> list[Chunk]:
    """Return the chunks that the passages consist of, in the order of the passages."""
    places: list[tuple[int, Chunk]] = []
    bare = unmarked(text)
    for chunk in _near(index, text, quotes):
        passage = unmarked(chunk.text)
        parts = [passage, *(quote for quote in quotes if quote in passage)]
        found = [place for place in map(bare.find, parts) if place >= 0]
        if found or len(parts) > 1:
            places.append((min(found, default=len(bare)), chunk))
    return [chunk for _, chunk in sorted(places, key=lambda pair: pair[0])]


def _near(index: Index, text: str, quotes: Iterable[str] = ()) -> list[Chunk]:
    """Return the chunks that the quotes, or other sentences of `text`, may stand in."""
    found: dict[str, Chunk] = {}
    for quote in quotes:
        found |= {chunk.id: chunk for chunk in index.like(quote, _ALIKE)}
    for sentence in sentences(text)[:_MOST]:
        if not any(sentence.text in chunk.text for chunk in found.values()):
            found |= {chunk.id: chunk for chunk in index.like(sentence.text, _ALIKE)}
    return [*found.values()]
