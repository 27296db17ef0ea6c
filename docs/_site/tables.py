"""Links the classes in tables that have a column for each framework to their entries."""

from __future__ import annotations

import re
from importlib import import_module

__all__ = ["with_entries"]

_PACKAGES = {"LangChain": "langchain_qaip", "LlamaIndex": "llama_index_qaip"}
_CELLS = re.compile(r"(?<!\\)\|")
_NAME = re.compile(r"`(\w+)`(?!\])")


def with_entries(text: str) -> str:
    """Return a page whose tables lead from the name of a class to its entry in the reference."""
    columns: list[str | None] = []
    out: list[str] = []
    for line in text.splitlines(keepends=True):
        if not line.startswith("|"):
            columns = []
            out.append(line)
            continue
        cells = _CELLS.split(line)
        columns = columns or [_PACKAGES.get(cell.strip()) for cell in cells]
        pairs = zip(cells, [*columns, *[None] * len(cells)], strict=False)
        out.append("|".join(_linked(cell, package) for cell, package in pairs))
    return "".join(out)


def _linked(cell: str, package: str | None) -> str:
    names = import_module(package).__all__ if package else ()

    def link(name: re.Match[str]) -> str:
        return f"[{name[0]}][{package}.{name[1]}]" if name[1] in names else name[0]

    return _NAME.sub(link, cell)
