"""How the command prints: what strangers wrote is shown without what would steer the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from qaip_core.rendering.harmless import one_line

__all__ = ["is_rich", "print_json", "table"]

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
            "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        shown.add_column(heading, overflow="fold")  # what is to be typed must not be cut
    for row in rows:
        shown.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(shown)
