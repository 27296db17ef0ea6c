"""How the command prints: what strangers wrote is shown without what would steer the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from textwrap import wrap
from typing import Any

from qaip_core.rendering.harmless import one_line

__all__ = ["is_rich", "print_json", "table"]

_GAP = "  "
_LEAST = 24
"""Columns of a terminal that the last column of a table has at least."""
_STYLES: Mapping[str, str] = {"ok": "green", "warn": "yellow", "fail": "bold red", "-": "dim"}


def is_rich() -> bool:
    """Tell whether to print for eyes: standard output is a terminal, and rich is installed."""
    return sys.stdout.isatty() and find_spec("rich") is not None


def print_json(value: Any) -> None:
    """Print a value for other programs; what would steer a terminal is escaped as JSON does it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    print("".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text))


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows: a table in a terminal, else lines whose columns are aligned.

    Parameters:
        headings: of the columns; a row whose first cell is empty goes on with the row before.
        rows: their cells, as text.
    """
    cells = [[one_line(cell) for cell in row] for row in rows]
    if is_rich():
        _rich_table(headings, cells)
        return
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)] if cells else []
    for row in cells:
        print(
            _GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print columns; nothing is cut, and no word of the last column: it may be an address."""
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    *columns, _ = zip(headings, *rows, strict=True)
    widths = [max(map(cell_len, column)) + len(_GAP) for column in columns]
    for row in (headings, *rows):
        line = Text()
        for cell, width in zip(row, widths, strict=False):
            style = "bold" if row is headings else _STYLES.get(cell, "")
            line.append(cell, style).append(" " * (width - cell_len(cell)))
        words, *more = _wrapped(row[-1], max(console.width - sum(widths), _LEAST))
        line.append(words, "bold" if row is headings else "")
        for words in more:  # one that is too wide begins further to the left
            indent = max(0, min(sum(widths), console.width - cell_len(words)))
            line.append(f"\n{' ' * indent}{words}")
        console.print(line, soft_wrap=True)


def _wrapped(text: str, width: int) -> list[str]:
    lines = wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
    return ["", *lines] if len(lines[0]) > width else lines
