"""Writes the tables of parameters into the pages, from the models that check them.

    PYTHONPATH=tests python -m docs.parameters

A table stands between two comments, of which the first names the classes that it is of: public
ones by their names (those of both frameworks, if they share one), others with their modules::

    <!-- parameters: ChatQaip, QaipLLM, Qaip -->
    <!-- end -->

What a parameter takes is read from its annotation, what it does from the docstring of the class
that declares it. Those of a base that has a table of its own, on the same page or on that of the
shared parameters, are in no other table.
"""

from __future__ import annotations

import inspect
import json
import re
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation
from pydantic_core import PydanticUndefined

import langchain_qaip
import llama_index_qaip
from qaip_core.backend import Params
from qaip_core.backends.dify.datasets import DifyFilter
from qaip_core.backends.perplexity._service import USDate
from qaip_core.backends.qaip._service import Since
from qaip_core.backends.qaip.params import Columns, Conditions, Id

__all__ = ["PACKAGES", "PAGES", "Parameter", "described", "listed", "parameters", "with_tables"]

PAGES = Path(__file__).resolve().parents[2] / "docs"
PACKAGES = (langchain_qaip, llama_index_qaip)
_TABLE = re.compile(r"(<!-- parameters: (.*?) -->\n).*?(<!-- end -->)", re.S)
_ENTRY = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*)")
_BRACES = re.compile(r"(`[^`]*`)|(\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})")
_OURS = ("qaip_core.", "langchain_qaip.", "llama_index_qaip.", "qaip_sandbox.")

# What a schema cannot say.
_ALIASES: Sequence[tuple[Any, str]] = (
    (Since, "day, time, or Unix seconds"),
    (USDate, "day"),
    (Id, "UUID"),
    (Conditions, "`where(...)`, or a dict"),
    (Columns, "`where(...)`, or a dict"),
    (DifyFilter, "`DifyFilter`, or a dict"),
)
_WORDS: Mapping[str, str] = {
    "api_key": "text, `SecretStr`, or a callable, plain or async",
    "timeout": "seconds above 0, `httpx.Timeout`, or None",
    "verify": "True or False, a path, or `ssl.SSLContext`",
    "http_client": "`httpx.Client`",
    "http_async_client": "`httpx.AsyncClient`",
    "async_http_client": "`httpx.AsyncClient`",
    "object_schema": "class, or dict",
    "web_search": "True or False, or a dict",
    "tools": "list of tools",
    "server_tools": "list of dicts",
    "callback_manager": "`CallbackManager`",
    "tool_choice": "text, or a dict",
    "default_headers": "dict of texts",
}


class Parameter(NamedTuple):
    """A row of a table.

    Parameters:
        name: of the argument.
        takes: its type, values, range.
        does: what it is for.
        of: the classes that have it, where not all of the table do.
    """

    name: str
    takes: str
    does: str
    of: Sequence[str] = ()


def classes(names: str) -> list[tuple[str, type]]:
    """Return the classes that a comment names, each with its name for readers."""
    found = []
    for name in re.split(r",\s*", names):
        module, _, last = name.rpartition(".")
        homes = [import_module(module)] if module else PACKAGES
        having = [home for home in homes if hasattr(home, last)]
        assert having, f"there is no class {name}"
        for home in having:
            framework = "LangChain" if home is langchain_qaip else "LlamaIndex"
            label = f"`{last}`" + f" of {framework}" * (len(having) > 1)
            found.append((label, getattr(home, last)))
    return found


def parameters(names: str, bases: Collection[type] = ()) -> list[Parameter]:
    """Return the rows of the table of some classes, each parameter once.

    Parameters:
        names: as a comment names the classes.
        bases: classes that have a table of their own.
    """
    owned = classes(names)
    others = set(bases) - {cls for _, cls in owned}
    fields = [(label, cls, dict(_fields(cls, others))) for label, cls in owned]
    rows: dict[str, Parameter] = {}
    for _, cls, own in fields:
        for name, (annotation, default) in own.items():
            does = described(cls).get(name, "")
            if name not in rows and does:
                of = [label for label, _, having in fields if name in having]
                takes = (_WORDS.get(name) or _takes(annotation)) + _default(default)
                does += _also(cls, name, does)
                rows[name] = Parameter(name, takes, does, of if len(of) < len(fields) else ())
    return list(rows.values())


def listed(text: str) -> list[tuple[str, type]]:
    """Return the classes that have tables on a page."""
    return [found for match in _TABLE.finditer(text) for found in classes(match[2])]


def _fields(cls: type, others: Collection[type]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield the fields that we declare, with annotation and default, but for those of others."""
    if not issubclass(cls, BaseModel):  # a typed dict
        for name, annotation in typing.get_type_hints(cls, include_extras=True).items():
            yield name, (annotation, None)
        return
    cls.model_rebuild()
    # Those of the service first: a framework's class may declare some of them anew.
    for name in sorted(cls.model_fields, key=lambda name: not _is_core(_owner(cls, name))):
        owner = _owner(cls, name)
        is_own = owner is cls or issubclass(cls, Params) or "sandbox" in owner.__module__
        if owner not in others and owner.__module__.startswith(_OURS) and is_own:
            field = (owner if _is_core(owner) else cls).model_fields[name]
            yield name, (field.rebuild_annotation(), field.default)


def _is_core(cls: type) -> bool:
    return cls.__module__.startswith("qaip_core.backends")


def _owner(cls: type, name: str) -> Any:
    """Return the class that declares a field: that of the service, if one of them does."""
    having = [base for base in cls.__mro__ if name in inspect.get_annotations(base)]
    return next(filter(_is_core, having), having[0])


def described(cls: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each parameter."""
    ours = [base for base in cls.__mro__ if base.__module__.startswith(_OURS) or base is cls]
    ours.sort(key=lambda base: not _is_core(base))
    found: dict[str, str] = {}
    for base in ours:
        for name, text in _entries(inspect.cleandoc(base.__doc__ or "")):
            found.setdefault(name, text)
    return found


def _entries(docstring: str) -> Iterator[tuple[str, str]]:
    """Yield the entries of a docstring's section of parameters, one for each name."""
    section = re.search(r"^(?:Parameters|Args):\n((?:(?: {4}.*)?\n?)*)", docstring, re.M)
    entries: list[tuple[list[str], list[str]]] = []
    for line in section[1].splitlines() if section else ():
        if entry := _ENTRY.match(line):
            entries.append((entry[1].split(", "), [entry[2]]))
        elif entries and line.strip():
            entries[-1][1].append(line.strip())
    for names, lines in entries:
        for name in names:
            yield name, " ".join(lines)


def _also(cls: type, name: str, does: str) -> str:
    """Return by which other names a parameter goes, if that was not said."""
    if not issubclass(cls, Params):
        return ""
    wire = cls.model_fields[name].serialization_alias
    others = [f"`{alias}` on the wire" for alias in [wire] if alias and alias not in does]
    synonyms = (other for other, own in cls.synonyms.items() if own == name and other != wire)
    others += [f"may be given as `{other}`" for other in synonyms if f"`{other}`" not in does]
    return f" ({'; '.join(others)})" if others else ""


def _default(default: Any) -> str:
    if default is None or default is PydanticUndefined:
        return ""
    if isinstance(default, float):
        return f"; default {default:g}"
    return f"; default {json.dumps(default) if isinstance(default, str) else default}"


def _takes(annotation: Any) -> str:
    """Return what an annotation allows, in words."""
    inner = [arg for arg in typing.get_args(annotation) if arg is not type(None)]
    for alias, words in _ALIASES:
        if annotation == alias or (annotation == alias | None) or alias in inner:
            return words
    try:
        schema = TypeAdapter(annotation).json_schema()
    except (PydanticInvalidForJsonSchema, PydanticUndefinedAnnotation):
        return "any"
    return _in_words(schema, schema.get("$defs", {}))


def _in_words(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return _in_words(defs[schema["$ref"].rpartition("/")[2]], defs)
    for kind in ("anyOf", "oneOf"):
        if kind in schema:
            said = {
                _in_words(one, defs): _ORDER.get(str(one.get("type")), len(_ORDER))
                for one in schema[kind]
                if one.get("type") != "null"
            }
            # Python gives equal unions one order, that of the first it has met in the process.
            return ", or ".join(sorted(said, key=lambda words: (said[words], words)))
    if "const" in schema or "enum" in schema:
        values = schema.get("enum", [schema.get("const")])
        return ", ".join(f'"{v}"' if isinstance(v, str) else repr(v) for v in values)
    return _KINDS.get(str(schema.get("type")), _any)(schema, defs)


def _any(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    return "any"


def _switch(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    return "True or False"


def _text(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    return f"text{_range(schema, 'minLength', 'maxLength', ' characters')}"


def _number(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    return f"{schema['type']}{_range(schema, 'minimum', 'maximum')}"


def _list(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    items = _in_words(schema.get("items", {}), defs)
    of = f" of {items}" if items != "any" else ""
    return f"list{of}{_range(schema, 'minItems', 'maxItems', ' of them')}"


def _dict(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    names = ", ".join(f"`{name}`" for name in schema.get("properties", {}))
    if names:
        return f"dict with {names}"
    held = schema.get("additionalProperties")
    values = _in_words(held, defs) if isinstance(held, dict) else "any"
    return f"dict of {values}" if values != "any" else "dict"


_ORDER = {kind: n for n, kind in enumerate(("boolean", "integer", "number", "string", "array"))}
_KINDS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], str]] = {
    "string": _text,
    "integer": _number,
    "number": _number,
    "boolean": _switch,
    "array": _list,
    "object": _dict,
}


def _range(schema: Mapping[str, Any], least: str, most: str, unit: str = "") -> str:
    low, high = schema.get(least), schema.get(most)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        return f" above {above:g}"
    if below is not None:
        return f", {low:g} up to, not including, {below:g}"
    if low is not None and high is not None:
        return f", {low:,g} to {high:,g}{unit}" if high < 1e6 else f", {low} to {high:,}{unit}"
    if low is not None:
        return f", at least {low:g}{unit}" if not unit or low > 1 else ""
    return f", at most {high:g}{unit}" if high is not None else ""


def with_tables(page: str) -> str:
    """Return a page with its tables as the models say."""
    shared = (PAGES / "parameters.md").read_text("utf-8")
    bases = {cls for _, cls in (*listed(shared), *listed(page))}

    def renewed(table: re.Match[str]) -> str:
        return f"{table[1]}\n{_markdown(parameters(table[2], bases))}\n{table[3]}"

    return _TABLE.sub(renewed, page)


def _markdown(rows: Sequence[Parameter]) -> str:
    lines = ["| Parameter | Takes | What it does |", "| --- | --- | --- |"]
    for row in rows:
        only = f" ({', '.join(row.of)})" if row.of else ""
        lines.append(f"| `{row.name}`{only} | {_cell(row.takes)} | {_cell(row.does)} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    """Return a text of a docstring as Markdown in a cell."""
    text = _BRACES.sub(lambda found: found[1] or f"`{found[2]}`", text.replace("``", "`"))
    text = text.replace("|", "\\|")
    pieces = text.split("`")  # code is every other one, and shows what it holds
    return "`".join(p if n % 2 else p.replace("<", "&lt;") for n, p in enumerate(pieces))


if __name__ == "__main__":
    for path in sorted(PAGES.rglob("*.md")):
        text = path.read_text("utf-8")
        if (new := with_tables(text)) != text:
            path.write_text(new, "utf-8")
            print(path.relative_to(PAGES))
