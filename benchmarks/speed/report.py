"""The printed tables."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table as Printed
from speed.results import Results, Table

__all__ = ["server", "show"]

_SILENT = frozenset({"ready", "made", "ready-complete", "made-complete"})
_WIDTH = 150


def show(found: Results) -> None:
    """Print everything."""
    console = Console(width=_WIDTH)
    for table in found.tables.values():
        console.print(_printed(found, table))
    if found.targets:
        console.print(_judged(found))
    console.print(server(found))


def _printed(found: Results, table: Table) -> Printed:
    printed = Printed(title=f"{found.which}: {table.title}", title_justify="left")
    heads = ("", f"CPU µs per {table.unit}", "quartiles", "wall µs", "peak KB", "x raw", "")
    for place, name in enumerate(heads):
        printed.add_column(name, justify="right" if 0 < place < len(heads) - 1 else "left")
    raw = table.cpu("raw")
    for row in table.rows:
        quarters = f"{row.low_us:,.1f} to {row.high_us:,.1f}" if row.times else ""
        ratio = f"{row.cpu_us / raw:.2f}" if raw and row.cpu_us else ""
        figures = (row.cpu_us, quarters, row.wall_us, row.peak_kb, ratio)
        note = f"{row.failed} failed " * bool(row.failed) + row.note
        printed.add_row(found.titles[row.subject], *map(_figure, figures), note)
    return printed


def _judged(found: Results) -> Printed:
    printed = Printed(title=f"{found.which}: what has to hold", title_justify="left")
    for place, name in enumerate(("", "limit", "found", "made floor", "")):
        printed.add_column(name, justify="right" if place else "left")
    for t in found.targets:
        limit = f"{'≥' if t['above'] else '≤'} {t['limit']:g}"
        more = "" if t["more"] is None else f"{t['more']:.2f}"
        mark = "pass" if t["holds"] else "falls short"
        printed.add_row(t["says"], limit, f"{t['found']:.2f}", more, mark)
    return printed


def _figure(value: float | str | None) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else value or ""


def server(found: Results) -> str:
    """Return how much faster the server is than whom it served fastest."""
    tables = (found.tables.get(f"{case}/stream") for case in ("short", "eight"))
    rows = [row for table in tables if table for row in table.rows if row.subject not in _SILENT]
    fastest = min((row.wall_us for row in rows if row.wall_us), default=None)
    drained = found.server["events_per_s"]
    times = f", {drained * fastest / 1e6:,.0f} times the fastest subject" if fastest else ""
    return (
        f"The server: {found.server['cpu_us']:.2f} µs of CPU an event; "
        f"a bare socket drains {drained / 1e6:.1f} million events/s{times}."
    )
