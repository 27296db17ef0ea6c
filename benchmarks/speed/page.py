"""Make docs/performance.md and its plot of what was measured.

    python benchmarks/speed/page.py

The page's tables come from the JSON beside it, which a test holds together.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
from speed.results import FOLDER, Results, Row

from speed import report

__all__ = ["FRAMEWORKS", "PAGE", "replaced", "tables"]

PAGE = FOLDER.with_suffix(".md")
FRAMEWORKS = {"langchain": "LangChain", "llama-index": "LlamaIndex"}
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"


def _cpu(row: Row) -> float | None:
    return row.cpu_us


def _milliseconds(row: Row) -> float | None:
    return row.cpu_us and row.cpu_us / 1000


def _wall(row: Row) -> float | None:
    return row.wall_us


def _memory(row: Row) -> float | None:
    return row.peak_kb


def _failed(row: Row) -> float | None:
    return float(row.failed) if row.times else None


@dataclass(frozen=True)
class _Section:
    """One table of the page: the heads of its columns, and the results that they show."""

    title: str
    columns: Sequence[tuple[str, str, Callable[[Row], float | None]]]


_SECTIONS = (
    _Section(
        "Streams: µs of CPU per event",
        (
            ("2,000 short", "short/stream", _cpu),
            ("async", "short/astream", _cpu),
            ("v3 events", "short/events", _cpu),
            ("async", "short/aevents", _cpu),
            ("8 in an HTTP chunk", "eight/stream", _cpu),
            ("async", "eight/astream", _cpu),
            ("20,000 short", "long/stream", _cpu),
            ("async", "long/astream", _cpu),
        ),
    ),
    _Section(
        "Other services: µs of CPU per event",
        (
            ("Perplexity, repeated sources", "sources/stream", _cpu),
            ("async", "sources/astream", _cpu),
            ("Dify", "dify/stream", _cpu),
            ("async", "dify/astream", _cpu),
            ("Qaip", "qaip/stream", _cpu),
            ("async", "qaip/astream", _cpu),
        ),
    ),
    _Section(
        "Whole answers: µs of CPU per call",
        (
            ("call", "whole/call", _cpu),
            ("async", "whole/acall", _cpu),
            ("1,000, 50 at a time", "batch/batch", _cpu),
            ("async", "batch/abatch", _cpu),
        ),
    ),
    _Section(
        "Once: ms of CPU",
        (
            ("import", "import", _milliseconds),
            ("making an object", "construct", _milliseconds),
            ("its first call", "first", _milliseconds),
            ("the first of a process", "process", _milliseconds),
        ),
    ),
    _Section(
        "Time on the clock: µs per event or call",
        (
            ("2,000 short", "short/stream", _wall),
            ("async", "short/astream", _wall),
            ("repeated sources", "sources/stream", _wall),
            ("whole answer", "whole/call", _wall),
            ("async", "whole/acall", _wall),
        ),
    ),
    _Section(
        "Peak memory: KB",
        (
            ("2,000 short", "short/stream", _memory),
            ("20,000 short", "long/stream", _memory),
            ("repeated sources", "sources/stream", _memory),
            ("whole answers", "whole/call", _memory),
        ),
    ),
    _Section(
        "1,000 streams of 100 events at the same time",
        (
            ("µs of CPU per event", "crowd", _cpu),
            ("µs on the clock per event", "crowd", _wall),
            ("failed", "crowd", _failed),
        ),
    ),
)


def tables(found: Sequence[Results]) -> str:
    """Return everything that stands between the marks of the page."""
    parts = [_machine(found[0]), ""]
    for one in found:
        parts += [f"## {FRAMEWORKS[one.which]}", "", _versions(one), "", report.server(one), ""]
        parts += [*_judged(one), ""]
        for section in _SECTIONS:
            parts += [*_section(section, one), ""]
    return "\n".join(parts)


def _machine(found: Results) -> str:
    known = found.machine
    return f"Measured on {known['cores']} cores of {known['processor']}, Python {known['python']}."


def _versions(found: Results) -> str:
    named = {**found.versions, "qaip-integrations": "this one"}
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in named.items()) + "."


def _judged(found: Results) -> Iterator[str]:
    yield "### What has to hold"
    yield ""
    yield "| | limit | measured | with chunks made | |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for t in found.targets:
        limit = f"{'≥' if t['above'] else '≤'} {t['limit']:g}"
        more = "" if t["more"] is None else f"{t['more']:.2f}"
        mark = "pass" if t["holds"] else "**falls short**"
        yield f"| {t['says']} | {limit} | {t['found']:.2f} | {more} | {mark} |"


def _section(section: _Section, found: Results) -> Iterator[str]:
    """Yield the lines of a table, without the columns and the rows that stay empty."""
    columns = [c for c in section.columns if c[1] in found.tables]
    rows = {name: [_cell(found, name, *column[1:]) for column in columns] for name in found.titles}
    yield f"### {section.title}"
    yield ""
    yield f"| | {' | '.join(head for head, *_ in columns)} |"
    yield f"| --- | {' | '.join(['---:'] * len(columns))} |"
    for name, cells in rows.items():
        if any(cells):
            yield f"| {found.titles[name]} | {' | '.join(cells)} |"


def _cell(found: Results, subject: str, table: str, of: Callable[[Row], float | None]) -> str:
    row = next((row for row in found.tables[table].rows if row.subject == subject), None)
    if row is None:
        return ""
    value = of(row)
    if value is None:
        return "" if row.times else row.note
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def replaced(page: str, measured: str) -> str:
    """Return a page with other tables between its marks."""
    head, rest = page.split(_BEGIN)
    _, tail = rest.split(_END)
    return f"{head}{_BEGIN}\n{measured}{_END}{tail}"


def main() -> None:
    from speed import plot

    found = [Results.load(which) for which in FRAMEWORKS]
    PAGE.write_text(replaced(PAGE.read_text(), tables(found)))
    plot.draw(found, FOLDER / "streams.svg")


if __name__ == "__main__":
    main()
