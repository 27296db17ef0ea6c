"""The forms of an answer: JSON of a schema, any JSON, or one of the strings of a grammar."""

import re

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.protocols._tasks import Task, as_json, clues_of
from qaip_sandbox.schemas import Impossible

from .errors import invalid
from .sampling import Format

__all__ = ["formed"]

_KEYS = re.compile(r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b", re.IGNORECASE)
_QUOTED = re.compile(r"(?<!\w)(['\"`])([A-Za-z_][\w-]*)\1(?!\w)")
_LITERAL = r'"(?:[^"\\\n]|\\.)*"'
_ROOT = re.compile(rf"\s*root\s*::=\s*({_LITERAL}(?:\s*\|\s*{_LITERAL})*)\s*")
_COMMENT = re.compile(rf"({_LITERAL})|#[^\n]*")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}


def formed(form: Format | None, task: Task, text: str) -> str:
    """Return what `text`, the answer to a task in words, is in a form.

    Raises:
        Flaw: nothing has this form, or the sandbox finds nothing that has.
    """
    kind = form.type if form else "text"
    schema = (form.schema_of_answer if form else None) or task.schema
    if form and kind == "grammar":
        return _in_grammar(form.grammar or "", task.question, text)
    if kind == "json_schema" or (kind == "json_object" and schema):
        return _in_schema(schema, task.question, text)
    if kind == "json_object":
        return _in_json(task.question, text)
    return task.put(text) or text


def _in_schema(schema: Json, question: str, text: str) -> str:
    try:
        return as_json(schema, question, text)
    except Impossible as fault:
        raise invalid(f"JSON Schema not supported: {fault}, field: 'response_format'") from None


def _in_json(question: str, text: str) -> str:
    keys = dict.fromkeys(match[2] for match in _QUOTED.finditer(question))
    if not keys or not _KEYS.search(question):
        return compact({"answer": text}).decode()
    schema = {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": list(keys),
    }
    # The quoted names are keys, and no values of them.
    return _in_schema(schema, _QUOTED.sub(r"\2", question), text)


def _in_grammar(grammar: str, question: str, text: str) -> str:
    root = _ROOT.fullmatch(_COMMENT.sub(r"\1", grammar))
    if root is None:
        raise invalid(
            "Grammar not supported: the sandbox knows a root rule of literals only, such as "
            'root ::= "yes" | "no", field: \'response_format.grammar\''
        )
    literals = [_unescaped(literal[1:-1]) for literal in re.findall(_LITERAL, root[1])]
    bare = [literal.strip() for literal in literals]
    chosen = clues_of(question, text).option(bare)
    return literals[bare.index(chosen) if chosen else 0]


def _unescaped(literal: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1] or match[2]
        return chr(int(code, 16)) if code else _ESCAPED.get(match[3], match[3])

    return _ESCAPE.sub(character, literal)
