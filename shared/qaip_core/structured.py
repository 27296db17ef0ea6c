"""Structured output: the format to ask for, the objects in an answer, the tool to call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic_core import from_json

from qaip_core.errors import InvalidParameterError

__all__ = [
    "ToolChoice",
    "is_object_schema",
    "json_schema_format",
    "objects_in",
    "partial_object",
    "partial_object_in",
    "schema_in_words",
    "to_tool_choice",
]

ToolChoice: TypeAlias = str | bool | dict[str, Any] | None

_OBJECTS = frozenset({"properties", "additionalProperties", "anyOf", "oneOf", "allOf", "$ref"})
_ANY = ("any", "required", True)
_PLAIN = {"auto": "auto", "none": "none", False: "none"}
# Braces in prose are no objects: a brace, then a key, or the end of what has arrived.
_OPENING = re.compile(r'\{\s*(?:\}|"(?:[^"\\]|\\.)*(?:"\s*(?::|\Z)|\Z))', re.DOTALL)
_PIECES = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[{}]', re.DOTALL)  # a cut string is one, too
_UNFINISHED_NUMBER = re.compile(r"[:\[,]\s*[-+.\deE]+\Z")
_DECODER = json.JSONDecoder(strict=False)  # line breaks in strings are common


def is_object_schema(schema: Mapping[str, Any]) -> bool:
    """Tell whether a JSON schema may be one of objects, the only kind that all services take."""
    return schema.get("type") == "object" or (
        "type" not in schema and bool(schema.keys() & _OBJECTS)
    )


def json_schema_format(
    name: str, schema: Mapping[str, Any], strict: bool | None = None
) -> dict[str, Any]:
    """Return the ``response_format`` that asks for a schema.

    Parameters:
        name: what the schema is called; characters that services refuse are replaced.
        strict: whether the service shall follow it to the letter; not sent where it is None.
    """
    wanted = {"name": re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64], "schema": schema}
    return {
        "type": "json_schema",
        "json_schema": wanted if strict is None else {**wanted, "strict": strict},
    }


def schema_in_words(schema: Mapping[str, Any] | None = None) -> str:
    """Return the order that asks for an object, where a service itself enforces none.

    Parameters:
        schema: what it must conform to; None for any object.
    """
    order = "Answer with one JSON object and nothing else."
    if schema is None:
        return order
    written = json.dumps(schema, ensure_ascii=False)
    return f"{order} It must conform to this JSON Schema:\n```json\n{written}\n```"


def to_tool_choice(choice: ToolChoice, tools: Sequence[Mapping[str, Any]]) -> Any:
    """Return the ways in which frameworks write a choice of tools as the services write it.

    Parameters:
        choice: "auto", "none", "any" (also "required", True), or the name of a tool.
        tools: those that may be chosen, as they are sent.

    Raises:
        InvalidParameterError: it names none of the tools.
    """
    if choice is None or isinstance(choice, dict):
        return choice
    if not isinstance(choice, str | bool):
        raise InvalidParameterError(f"tool_choice is a name or a switch, not {choice!r}")
    if choice in _ANY:
        return "required"
    if choice in _PLAIN:
        return _PLAIN[choice]
    names = [tool.get("function", {}).get("name") for tool in tools]
    if choice not in names:
        raise InvalidParameterError(
            f"tool_choice={choice!r} names none of the tools {', '.join(map(repr, names))}; "
            'it may also be "auto", "none" or "any"'
        )
    return {"type": "function", "function": {"name": choice}}


def objects_in(text: str) -> Iterator[dict[str, Any] | str]:
    """Yield the JSON objects in a text, none from within another.

    At last comes, as text, one that was cut. What stands in ``<think>`` is no answer.
    """
    text = _answer(text)
    opening = _OPENING.search(text)
    while opening:
        start = opening.start()
        try:
            found, end = _DECODER.raw_decode(text, start)
            yield found
        except (ValueError, RecursionError):
            closing = _closing(text, start)
            if closing is None:
                yield text[start:]  # what is complete in it is only a part
                return
            end = closing
        opening = _OPENING.search(text, end)


def partial_object_in(text: str) -> dict[str, Any]:
    """Return what the first object in a text holds so far; empty if that cannot be told.

    Parameters:
        text: an answer that is still growing.
    """
    text = _answer(text)
    opening = _OPENING.search(text)
    return partial_object(text[opening.start() :]) if opening else {}


def partial_object(text: str) -> dict[str, Any]:
    """Return what an object holds whose end is missing; empty if that cannot be told."""
    try:
        # A number may go on: what has come of it is another number.
        found = from_json(_UNFINISHED_NUMBER.sub("", text), allow_partial="trailing-strings")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _answer(text: str) -> str:
    """Return a text without the reasoning before it."""
    if not text.lstrip().startswith("<think>"):
        return text
    return text.partition("</think>")[2]


def _closing(text: str, start: int) -> int | None:
    """Return where an object ends that cannot be read; None if it never does."""
    depth = 0
    for piece in _PIECES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(piece[0], 0)
        if depth == 0 and piece[0] == "}":
            return piece.end()
    return None
