"""Puts all parameters of a class into its entry in the reference: also those that it inherits.

The rows are those of the tables on the services' pages. Fields are left out of the members, and
names in code become links to their entries.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import griffe
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from docs.parameters import Parameter, parameters  # of the tests, which keep the tables current
from qaip_core.connection import Connection

__all__ = ["PLUMBING", "Fields"]

_HOMES = {
    "langchain_qaip": ("langchain_qaip", "langchain_qaip.errors"),
    "llama_index_qaip": ("llama_index_qaip", "llama_index_qaip.errors"),
    "qaip_core": ("qaip_core", "qaip_core.errors"),
    "qaip_sandbox": ("qaip_sandbox",),
}
_NAME = re.compile(r"(?<!`)`(\w+)`(?!`)")
# What the frameworks, pydantic and this package's own layers call, and no user.
PLUMBING = frozenset(
    {
        "afetch",
        "apieces",
        "asked",
        "asking",
        "async_client",
        "cancellation",
        "checked",
        "chosen",
        "class_name",
        "client",
        "elsewhere",
        "fetch",
        "get_token_ids",
        "is_lc_serializable",
        "lc_attributes",
        "lc_secrets",
        "messages_for",
        "model_label",
        "model_post_init",
        "name_of",
        "pieces",
        "provider",
        "query_name",
        "redact",
        "response",
        "served",
        "settings",
        "synonyms",
        "text_endpoint",
        "tool_call_schema",
        "unknown_context",
        "usual",
        "values",
        "wanted",
    }
)
_ALL_OF_IT = "qaip_core.client"  # its users have no framework


class Fields(griffe.Extension):
    """Says of each pydantic class what it takes."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the classes of a package that was read."""
        if pkg.path not in _HOMES:
            return
        for obj in _inside(pkg):
            if obj.docstring:
                obj.docstring.value = _linked(obj.docstring.value, pkg.path)
            if isinstance(obj, griffe.Class):
                _change(obj)


def _inside(obj: griffe.Object) -> Iterator[griffe.Object]:
    for member in [*obj.members.values()]:
        if not isinstance(member, griffe.Alias):
            yield member
            yield from _inside(member)


def _linked(text: str, package: str) -> str:
    """Return a docstring in which the public names lead to their entries."""

    def link(name: re.Match[str]) -> str:
        homes = (*_HOMES[package], *_HOMES["qaip_core"])
        home = next((h for h in homes if name[1] in import_module(h).__all__), None)
        return f"[{name[0]}][{home}.{name[1]}]" if home else name[0]

    return _NAME.sub(link, text)


def _change(cls: griffe.Class) -> None:
    model = _model(cls)
    fields = model.model_fields if model else ()
    for name in [*cls.members] if cls.module.path != _ALL_OF_IT else ():
        is_inner = name in fields or name in PLUMBING or name.startswith("_")
        if is_inner and (name != "__init__" or model):
            del cls.members[name]
    if not model or not cls.docstring:
        return
    sections = cls.docstring.parse("google", warnings=False)
    table = griffe.DocstringSectionText(_table(cls.path))
    places = [n for n, s in enumerate(sections) if s.kind is griffe.DocstringSectionKind.parameters]
    place = places[0] if places else len(sections)
    sections[place : place + len(places)] = [table]
    cls.docstring.__dict__["parsed"] = sections


def _model(cls: griffe.Class) -> type[BaseModel] | None:
    found: Any = import_module(cls.module.path)
    for name in cls.path.removeprefix(f"{cls.module.path}.").split("."):
        found = getattr(found, name, None)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


@cache
def _shared() -> frozenset[str]:
    return frozenset(Connection.model_fields)


def _table(path: str) -> str:
    rows = parameters(path)
    own = [row for row in rows if row.name not in _shared()]
    shared = [row for row in rows if row.name in _shared()]
    out = _rows(own)
    if shared:
        names = ", ".join(f"`{row.name}`" for row in shared[:3])
        out += ["", f'??? abstract "{len(shared)} parameters of the connection: {names}, ..."', ""]
        out += [f"    {line}" for line in _rows(shared)]
    return "\n".join(out)


def _rows(rows: list[Parameter]) -> list[str]:
    if not rows:
        return []
    lines = ["| Parameter | Takes | What it does |", "| --- | --- | --- |"]
    return lines + [f"| `{r.name}` | {_cell(r.takes)} | {_cell(r.does)} |" for r in rows]


def _cell(text: str) -> str:
    text = _linked(re.sub(r"`+", "`", text), "qaip_core")
    return text.replace("|", "\\|").replace("<", "&lt;")
