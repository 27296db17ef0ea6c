"""What the messages ask for: a question, and perhaps a JSON Schema that the answer conforms to.

A service without structured output of its own can still be told, in so many words, to answer with
JSON of some schema. A good model obeys, and so does the sandbox.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.answers import NOT_FOUND, Answer
from qaip_sandbox.clues import Clues
from qaip_sandbox.schemas import Impossible, Schema, is_object
from qaip_sandbox.text import sentences
from qaip_sandbox.values import instance

from ._messages import last_user_text, text_of

__all__ = ["Task", "as_json", "clues_of", "task_of", "task_of_text"]

_FENCE_BEFORE = re.compile(r"`{3,}\w*\s*\Z")
_FENCE_AFTER = re.compile(r"\A\s*`{3,}")
_ABOUT = re.compile(r"json|schema", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Task:
    """A question, and the schema of its answer, or None for an answer in words."""

    question: str
    schema: Schema | None = None

    def spoken(self, answer: Answer, *, markers: bool = True, variant: int = 0) -> str:
        """Return `answer` as it is asked for: as text, or as JSON without markers."""
        json_of = self.put(answer.text(markers=False, variant=variant))
        return answer.text(markers=markers, variant=variant) if json_of is None else json_of

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


def task_of(messages: Sequence[Json]) -> Task:
    """Return the task of a chat.

    Its question is what the user said last; the schema stands there too, or in a system message.
    """
    question = task_of_text(last_user_text(messages))
    if question.schema is not None:
        return question
    orders = [text_of(m["content"]) for m in messages if m["role"] in ("system", "developer")]
    schemas = (found for order in reversed(orders) for _, _, found in _schemas(order))
    return Task(question.question, next(schemas, None))


def task_of_text(text: str) -> Task:
    """Return the task of a prompt: its text without the schema, and the schema."""
    found = next(_schemas(text), None)
    if found is None:
        return Task(text)
    start, end, schema = found
    before = _FENCE_BEFORE.sub("", text[:start])
    after = _FENCE_AFTER.sub("", text[end:])
    return Task(_without_orders(before, after), schema)


def _schemas(text: str) -> Iterator[tuple[int, int, Schema]]:
    """Yield the schemas of objects in `text` with their places, the last one first."""
    if '"properties"' not in text:
        return
    decoder, found, start = json.JSONDecoder(), [], text.find("{")
    while start >= 0:
        end = start + 1
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            pass
        else:
            if _is_schema(value):
                found.append((start, end, value))
        start = text.find("{", end)
    yield from reversed(found)


def _is_schema(value: Json) -> bool:
    properties = value.get("properties") if is_object(value) else None
    return (
        is_object(properties)
        # Some prompts leave the type out, to be short.
        and value.get("type", "object") == "object"
        and all(isinstance(part, dict | bool) for part in properties.values())
    )


def _without_orders(before: str, after: str) -> str:
    """Return the question around a schema: what does not speak of JSON, or else all of it."""
    lead = before.rstrip()
    if lead.endswith(":"):
        # The sentence that leads to the schema says what to do with it.
        for sentence in sentences(lead[lead.rfind("\n") + 1 :])[-1:]:
            lead = lead.removesuffix(sentence.text)
    lines = f"{lead}\n{after}".split("\n")
    kept = "\n".join(filter(str.strip, map(_without_json, lines)))
    return kept.strip() or f"{before}\n{after}".strip()


def _without_json(line: str) -> str:
    for sentence in reversed(sentences(line)):
        if _ABOUT.search(sentence.text):
            line = line[: sentence.start] + line[sentence.end :]
    return line
