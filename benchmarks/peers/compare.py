"""Measure our classes and their peers, and print the table (or write it into the page).

    python benchmarks/peers/compare.py {langchain,llama-index} [--write] [--times N] [--reasons]
        [--only ID ...]

Peers that are not installed are left out; ``make peers`` installs them all. A page is written
only if every cell came out the same each time.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", ".", "shared")]
# Below the path that they are found by:
from support.peers.check import Cell, Check, Group, measure  # noqa: E402
from support.peers.comparison import Comparison  # noqa: E402
from support.peers.subject import PREFIXES, Subject  # noqa: E402

TABLES = {"langchain": "langchain", "llama-index": "llama_index"}
BEGIN = "<!-- measured: begin -->"
END = "<!-- measured: end -->"


def measured(check: Check, subject: Subject, times: int, unsettled: list[str]) -> Cell:
    """Return the cell of a row for one subject; note it if it does not come out the same."""
    cells = [measure(check, subject) for _ in range(times)]
    texts = [cell.text for cell in cells]
    if len(set(texts)) > 1:
        unsettled.append(f"{check.id} / {subject.id}: {', then '.join(texts)}")
    return cells[-1]


def section(group: Group, rows: Iterable[Sequence[Cell]], subjects: Sequence[Subject]) -> str:
    """Return a group as Markdown: its table, then what its titles leave open."""
    heads = ["", *(subject.title for subject in subjects)]
    lines = [f"### {group.title}", "", _line(heads), _line(["---"] * len(heads))]
    for check, cells in zip(group.checks, rows, strict=True):
        lines.append(_line([check.title, *(cell.text for cell in cells)]))
    notes = [f"- {check.title}: {check.note}" for check in group.checks if check.note]
    return "\n".join([*lines, "", *notes, ""] if notes else [*lines, ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def versions(framework: str, subjects: Sequence[Subject]) -> str:
    """Return the versions that were measured."""
    names = [framework, *dict.fromkeys(s.distribution for s in subjects if not s.ours)]
    return "Measured with " + ", ".join(f"{n} {metadata.version(n)}" for n in names) + "."


def explain(group: Group, rows: Sequence[Sequence[Cell]], subjects: Sequence[Subject]) -> None:
    """Print why each part that failed did."""
    for check, cells in zip(group.checks, rows, strict=True):
        for subject, cell in zip(subjects, cells, strict=True):
            for part, error in cell.reasons.items():
                why = " ".join(f"{type(error).__name__}: {error}".split())[:230]
                print(f"{check.id} / {part or '-'} / {subject.id}: {why}", file=sys.stderr)


def chosen(which: str) -> Comparison:
    """Return a comparison; its rows import its framework, and only its."""
    found = import_module(f"support.peers.{TABLES[which]}.table").COMPARISON
    assert isinstance(found, Comparison)
    return found


def _alone() -> None:
    """No key, address or tracing of the environment reaches the models."""
    for name in [n for n in os.environ if n.startswith(PREFIXES)]:
        del os.environ[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=TABLES, help="the framework")
    parser.add_argument("--write", action="store_true", help="rewrite the table of its page")
    parser.add_argument("--times", type=int, help="measure each cell so often (once; 3 to write)")
    parser.add_argument("--reasons", action="store_true", help="say why each part failed")
    parser.add_argument("--only", nargs="*", default=[], help="measure these rows only")
    options = parser.parse_args()
    _alone()
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda _: None  # half-made copies complain when they are collected
    comparison = chosen(options.which)
    subjects = [subject for subject in comparison.subjects if subject.installed]
    only = set(options.only)
    if options.write and (only or len(subjects) < len(comparison.subjects)):
        sys.exit("A page is written whole: without --only, and with every peer installed.")
    times = options.times or (3 if options.write else 1)
    unsettled: list[str] = []
    sections = []
    for full in comparison.groups:
        group = Group(full.title, [c for c in full.checks if not only or c.id in only])
        if not group.checks:
            continue
        rows = [[measured(c, s, times, unsettled) for s in subjects] for c in group.checks]
        sections.append(section(group, rows, subjects))
        if options.reasons:
            explain(group, rows, subjects)
    text = "\n".join([versions(comparison.framework, subjects), "", *sections])
    if unsettled:
        sys.exit("\n".join(["These cells do not come out the same each time:", *unsettled]))
    if not options.write:
        print(text)
        return
    head, rest = comparison.page.read_text().split(BEGIN)
    _, tail = rest.split(END)
    comparison.page.write_text(f"{head}{BEGIN}\n{text}{END}{tail}")


if __name__ == "__main__":
    main()
