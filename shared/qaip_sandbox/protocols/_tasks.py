"""What the messages ask for: a question, and perhaps a JSON Schema that the answer conforms to.

A service without structured output of its own can still be told, in so many words, to answer with
JSON of some schema. A good model obeys, and so does the sandbox.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from qaip_sandbox._wire import Json
from qaip_sandbox.schemas import Schema, is_object
from qaip_sandbox.text import sentences

from ._forms import EXACT_FORMS, FORMS, Form
from ._messages import Conversation, conversation_of
from ._task import Task, as_json, clues_of

__all__ = ["Task", "as_json", "clues_of", "task_of", "task_of_text"]

_FENCE_BEFORE = re.compile(r"`{3,}\w*\s*\Z")
_FENCE_AFTER = re.compile(r"\A\s*`{3,}")
_ABOUT = re.compile(r"json|schema", re.IGNORECASE)


def task_of(messages: Sequence[Json]) -> Task:
    """Return the task of a chat.

    Its question is what the user said last; the schema stands there too, or in a system message.
    """
    return _task(Conversation(messages))


def task_of_text(text: str) -> Task:
    """Return the task of a prompt: its text without the schema, and the schema."""
    return _task(conversation_of(text))


def _task(conversation: Conversation) -> Task:
    exact = _read(EXACT_FORMS, conversation)
    if exact:
        return exact
    question, schema = _apart(conversation.asked)
    if schema is None:
        _, schema = _apart(conversation.orders)
    read = _read(FORMS, conversation.asking(question)) or Task(question)
    return replace(read, schema=schema)


def _read(forms: Iterable[Form], conversation: Conversation) -> Task | None:
    return next(filter(None, (form(conversation) for form in forms)), None)


def _apart(text: str) -> tuple[str, Schema | None]:
    """Return a text without the schema in it, and the schema."""
    # Some prompts still hold the doubled braces of the template that they were made from.
    single = text.replace("{{", "{").replace("}}", "}")
    found = next(((one, *place) for one in (text, single) for place in _schemas(one)), None)
    if found is None:
        return text, None
    text, start, end, schema = found
    before = _FENCE_BEFORE.sub("", text[:start])
    after = _FENCE_AFTER.sub("", text[end:])
    return _without_orders(before, after), schema


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
