"""Prompts that want a thought, then an action or an answer (ReAct)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.clues import Clues
from qaip_sandbox.passages import Passages
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.values import instance

from ._choosing import shared
from ._messages import Conversation, text_of
from ._task import Task

__all__ = ["react"]

_LINES = ("Thought:", "Action:", "Action Input:", "Observation:")
_ONE_OF = re.compile(r"\bone of[ \t]+\[?([\w., \t-]+)")
_ACT = "I need to use a tool to help me answer the question."
_END = "I can answer without using any more tools."
_SEEN = re.compile(r"^Observation:[ \t]*(.*?)(?=^Thought:|\Z)", re.MULTILINE | re.DOTALL)
_FOREWORD = re.compile(r"^(?:#|Please\b|Use the following\b|Begin\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    about: str
    schema: Json


def react(conversation: Conversation) -> Task | None:
    """Return the next step of an agent, or its answer once a tool has said something."""
    rules = next(filter(_is_format, (conversation.orders, conversation.asked)), None)
    if rules is None:
        return None
    question, later = _asked(conversation, rules)
    seen = [text.strip() for text in _SEEN.findall(later)]
    label = "Final Answer:" if "Final Answer:" in rules else "Answer:"
    lead = "" if conversation.asked.endswith("Thought:") else "Thought: "
    answering = f"{lead}{_END}\n{label} "
    if seen:
        return Task(question, passages=Passages("\n\n".join(seen), insist=True), lead=answering)
    tools = list(_tools(rules))
    best = max(tools, key=lambda tool: _fitness(tool, question), default=None)
    if best is None or not _fitness(best, question):
        return Task(question, lead=answering)
    action = f"{lead}{_ACT}\nAction: {best.name}\nAction Input: {_input(best, question)}"
    return Task(question, said=action)


def _is_format(text: str) -> bool:
    return all(re.search(rf"^{line}", text, re.MULTILINE) for line in _LINES)


def _asked(conversation: Conversation, rules: str) -> tuple[str, str]:
    """Return the question, and all that was said after it."""
    if rules is conversation.orders:
        messages = conversation.messages
        questions = [n for n, message in enumerate(messages) if _is_question(message)]
        place = questions[-1] if questions else len(messages)
        said = [text_of(message["content"]) for message in messages[place:]] or [""]
        return said[0], "\n".join(said[1:])
    _, begun, body = rules.rpartition("\nBegin!")
    # Without that word the last question is the one: those before it belong to the format.
    tail = body.partition("\nQuestion:")[2] if begun else rules.rpartition("\nQuestion:")[2]
    question, _, later = tail.partition("\n")
    return question.strip(), later


def _is_question(message: Json) -> bool:
    text = text_of(message["content"])
    return message["role"] == "user" and not text.startswith("Observation:")


def _tools(rules: str) -> Iterator[_Tool]:
    """Yield the tools whose names the format offers, with what stands behind each name."""
    offered = _ONE_OF.search(rules)
    names = [name.strip(" .") for name in offered[1].split(",")] if offered else []
    starts = {name: _start(rules, name) for name in names if _start(rules, name) >= 0}
    for name, start in starts.items():
        ends = [other for other in starts.values() if other > start]
        text = rules[start : min(ends, default=len(rules))]
        text = _FOREWORD.split(text)[0]
        schema = _schema(text)
        yield _Tool(name, text.split("Tool Args:")[0], schema)


def _start(rules: str, name: str) -> int:
    found = re.search(rf"^[>\-* \t]*(?:Tool Name:[ \t]*)?{re.escape(name)}\b", rules, re.MULTILINE)
    return found.start() if found else -1


def _schema(text: str) -> Json:
    start = text.find('{"')
    try:
        return json.JSONDecoder().raw_decode(text, start)[0] if start >= 0 else None
    except ValueError:
        return None


def _fitness(tool: _Tool, question: str) -> int:
    return shared(question, tool.about, tool.name)


def _input(tool: _Tool, question: str) -> str:
    """Return the arguments as JSON, or the question as it is for a tool without a schema."""
    if tool.schema is None:
        return question
    try:
        return compact(instance(tool.schema, Clues(question))).decode()
    except Impossible:
        return compact({"input": question}).decode()
