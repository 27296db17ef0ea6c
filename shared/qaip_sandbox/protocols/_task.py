"""What is asked for, and how an answer to it is said."""

from dataclasses import dataclass

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.answers import NOT_FOUND, Answer
from qaip_sandbox.clues import Clues
from qaip_sandbox.index import Filter
from qaip_sandbox.passages import Passages, answer_from
from qaip_sandbox.schemas import Impossible, Schema
from qaip_sandbox.service import Library
from qaip_sandbox.values import instance

__all__ = ["Task", "as_json", "clues_of"]


@dataclass(frozen=True, slots=True)
class Task:
    """A question, and the schema of its answer, or None for an answer in words.

    `passages` are what the prompt itself wants to be answered from. `said` is the answer where
    the prompt alone decides it; `lead` is said before every other answer.
    """

    question: str
    schema: Schema | None = None
    passages: Passages | None = None
    said: str | None = None
    lead: str = ""

    def answer(self, library: Library, allowed: Filter = lambda _: True, limit: int = 5) -> Answer:
        """Answer from the prompt's passages, or else with at most `limit` sources of `library`."""
        if self.said is not None:
            return Answer((), ())
        if self.passages:
            found = answer_from(library.index, self.question, self.passages, allowed, limit)
            if found.quotes:
                return found
        return library.answer(self.question, allowed, limit)

    def spoken(self, answer: Answer, *, markers: bool = True, variant: int = 0) -> str:
        """Return `answer` as it is asked for: as text, or as JSON without markers."""
        return self.put(answer.bare(variant)) or self.words(
            answer, markers=markers, variant=variant
        )

    def words(self, answer: Answer, *, markers: bool = True, variant: int = 0) -> str:
        """Return `answer` as text, whatever the schema."""
        if self.said is not None:
            return self.said
        return self.lead + answer.text(markers=markers, variant=variant)

    def put(self, text: str) -> str | None:
        """Return `text` as JSON of the schema, or None without one.

        A schema in a prompt is a wish: one that cannot be granted counts as none.
        """
        try:
            return None if self.schema is None else as_json(self.schema, self.question, text)
        except Impossible:
            return None


def as_json(schema: Json, question: str, text: str) -> str:
    """Return JSON that conforms to `schema`, from a question and the text that answers it.

    Raises:
        Impossible: there is no such JSON.
    """
    return compact(instance(schema, clues_of(question, text))).decode()


def clues_of(question: str, text: str) -> Clues:
    """Return what a question and the text that answers it, if any does, offer for values."""
    return Clues(question, "" if text == NOT_FOUND else text)
