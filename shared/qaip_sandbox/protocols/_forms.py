"""What the prompts of frameworks want besides an answer: a choice, a tool, a question.

Each reader of the tables knows one form, by what its templates have in common, and returns None
for every other prompt. Whatever is said is taken from the prompt word for word.
"""

import json
import re
from collections.abc import Callable, Sequence

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.passages import Passages
from qaip_sandbox.text import sentences

from ._choosing import shared
from ._messages import Conversation
from ._react import react
from ._sections import labelled, sections
from ._task import Task

__all__ = ["EXACT_FORMS", "FORMS", "Form"]

Form = Callable[[Conversation], Task | None]

_STANDALONE = re.compile(r"\bstandalone (?:question|query)\b", re.IGNORECASE)
_REWORD = re.compile(
    r"\bstandalone (?:question|query)\b|\brephrase the\b|\brewrite the (?:message|question|query)\b"
    r"|\bgenerates? (?:multiple|\d+) (?:search queries|different versions)\b",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"\bsub-?questions\b", re.IGNORECASE)
_TABLE = re.compile(r"\{\s*(?:\"[^\"\n]+\"\s*:\s*\"(?:[^\"\\]|\\.)*\"\s*(?:,\s*)?)+\}")
_PAIR = re.compile(r"\"([^\"\n]+)\"\s*:\s*(\"(?:[^\"\\]|\\.)*\")")
_CLAUSE = re.compile(r",?\s+and\s+(?=(?:how|what|when|where|which|who|why)\b)", re.IGNORECASE)
_CHOICES = re.compile(r"\bchoices?\b", re.IGNORECASE)
_CHOICE = re.compile(r"^\((\d+)\)[ \t]+(\S.*)$", re.MULTILINE)
_ASKING = re.compile(r"\bquestion:\s*(?=['\"])")
_QUOTED = re.compile(r"(['\"])(.+)\1\s*$", re.MULTILINE | re.DOTALL)
_MOST = re.compile(r"\bno more than (\d+)", re.IGNORECASE)


def _reworded(conversation: Conversation) -> Task | None:
    """Return a question as it is where another wording of it is wanted."""
    asked = conversation.asked
    if _STANDALONE.search(conversation.orders):
        return Task(asked, said=asked)
    question = labelled(asked, "question") if _REWORD.search(asked) else ""
    return Task(question, said=question) if question else None


def _parted(conversation: Conversation) -> Task | None:
    """Return the questions that a question consists of, each with the tool that it is about."""
    asked = conversation.asked
    tables = list(_TABLE.finditer(asked))
    question = labelled(asked, "question") if _SPLIT.search(asked) and tables else ""
    if not question:
        return None
    tools = {name: _unquoted(text) for name, text in _PAIR.findall(tables[-1][0])}
    parts = [part for s in sentences(question) for part in _CLAUSE.split(s.text)]
    items = [
        {"sub_question": part, "tool_name": name} for part in parts for name in _about(part, tools)
    ]
    items = items or [{"sub_question": question, "tool_name": name} for name in tools]
    return Task(question, said=f"```json\n{compact({'items': items}).decode()}\n```")


def _unquoted(text: str) -> str:
    try:
        return str(json.loads(text, strict=False))
    except ValueError:  # an escape that JSON does not know: the words count
        return text


def _selected(conversation: Conversation) -> Task | None:
    """Return the choices that share most words with the question."""
    prompt = conversation.asked
    # Only from the last label on: looking from each would take the square of a long prompt.
    asked = [match.end() for match in _ASKING.finditer(prompt)]
    question = _QUOTED.match(prompt, asked[-1]) if asked else None
    choices = _CHOICE.findall(prompt)
    if not question or not choices or not _CHOICES.search(prompt):
        return None
    most = _MOST.search(prompt)
    ranked = sorted(choices, key=lambda choice: -shared(question[2], choice[1]))
    fitting = [choice for choice in ranked if shared(question[2], choice[1])]
    chosen = (fitting or ranked)[: int(most[1]) if most else 1]
    number, text = chosen[0]
    return Task(f"({number}) {text}", said=_as_asked(prompt, chosen))


def _grounded(conversation: Conversation) -> Task | None:
    """Return a question with the passages that it shall be answered from."""
    asked, orders = sections(conversation.asked), sections(conversation.orders, asks=False)
    given = asked if asked.context and asked.question else orders
    question = asked.question or conversation.asked
    if not given.context:
        return Task(asked.question) if asked.question else None
    return Task(question, passages=Passages(given.context, given.earlier))


EXACT_FORMS: Sequence[Form] = (react, _reworded, _parted)
"""Those whose text holds no wish for JSON, even if there is a schema in it."""

FORMS: Sequence[Form] = (_selected, _grounded)


def _about(part: str, tools: dict[str, str]) -> list[str]:
    best = max(shared(part, about) for about in tools.values())
    return [name for name, about in tools.items() if 0 < best == shared(part, about)]


def _as_asked(prompt: str, chosen: Sequence[tuple[str, str]]) -> str:
    if "ANSWER:" in prompt:
        return f"ANSWER: {', '.join(number for number, _ in chosen)}"
    items: Json = [{"choice": int(number), "reason": text} for number, text in chosen]
    return compact(items).decode()
