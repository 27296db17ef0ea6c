"""Forms: what a person may set of a pydantic model, told from its JSON schema."""

import inspect
import re
from typing import Any, get_args

from pydantic import BaseModel

from qaip_sandbox._wire import Json
from qaip_sandbox.faults import Fault

__all__ = ["fault_forms", "fields", "summary_of"]

_ARGUMENT = re.compile(r"^    (\w+): (.*(?:\n     .*)*)", re.MULTILINE)
_KINDS = {"boolean": "boolean", "integer": "integer", "number": "number", "string": "text"}
_BOUNDS = {
    "minimum": "minimum",
    "exclusiveMinimum": "above",
    "maximum": "maximum",
    "exclusiveMaximum": "below",
}


def fields(model: type[BaseModel]) -> list[Json]:
    """Return the fields of `model`, in order.

    Returns:
        For each field: its `name`, its `kind` (choice, boolean, integer, number, text, any for
        text or a number, json for everything else), whether it is `optional` (may be null), its
        `default`, its bounds, its `choices`, and its `help` from the docstring.
    """
    help_of = _arguments(model)
    properties: dict[str, Json] = model.model_json_schema().get("properties", {})
    return [
        {"name": name, "help": help_of.get(name, ""), **_field(schema)}
        for name, schema in properties.items()
    ]


def fault_forms() -> dict[str, Json]:
    """Return every kind of fault by its name, with what it does and its other fields."""
    forms: dict[str, Json] = {}
    for kind in get_args(Fault):
        rest = [field for field in fields(kind) if field["name"] != "kind"]
        forms[kind.model_fields["kind"].default] = {"help": summary_of(kind), "fields": rest}
    return forms


def summary_of(model: type[BaseModel]) -> str:
    """Return the first paragraph of a model's docstring, on one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").partition("\n\n")[0].split())


def _arguments(model: type[BaseModel]) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in reversed(model.__mro__):
        _, _, section = inspect.cleandoc(kind.__doc__ or "").partition("Args:\n")
        found |= {name: " ".join(text.split()) for name, text in _ARGUMENT.findall(section)}
    return found


def _field(schema: dict[str, Any]) -> Json:
    options: list[dict[str, Any]] = schema.get("anyOf", [schema])
    given = [option for option in options if option.get("type") != "null"]
    only = given[0] if len(given) == 1 else {}
    bounds = {ours: only[theirs] for theirs, ours in _BOUNDS.items() if theirs in only}
    return {
        "kind": _kind(given),
        "optional": len(given) < len(options),
        "default": schema.get("default"),
        "choices": _choices(only),
        **bounds,
    }


def _choices(schema: dict[str, Any]) -> list[Json]:
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _kind(given: list[dict[str, Any]]) -> str:
    kinds = {
        "choice" if _choices(option) else _KINDS.get(option.get("type", ""), "json")
        for option in given
    }
    if len(kinds) == 1:
        return kinds.pop()
    return "json" if kinds & {"json", "boolean"} or not kinds else "any"
