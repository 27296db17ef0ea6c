"""Writes the tables of `docs/reliability.md` from the rows of the matrix.

    PYTHONPATH=tests:shared python -m support.faults.page

Only what stands between the marks is rewritten.
"""

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

from support.faults import tables as package
from support.faults.matrix import Expected, Row
from support.faults.speech import SPEECHES

__all__ = ["PAGE", "Table", "tables", "with_tables"]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
_TIMES = {0: "nothing", 1: "nothing", 2: "once", 3: "twice"}
_ORDER = ("stream_ends", "stream_errors", "bad_successes", "framing", "retries", "time")
_TITLES: Mapping[str, str] = {
    **{speech.name: speech.name.capitalize() for speech in SPEECHES},
    "qaip": "Qaip",
    "qaip lines": "Qaip's lines",
    "qaip run": "Qaip's runs",
    "fireworks": "Fireworks",
    "pais": "PAIS",
    "perplexity": "Perplexity",
    "perplexity agent": "Perplexity's agent",
    "dify": "Dify",
    "dify workflow": "Dify's workflows",
}


class Table(NamedTuple):
    """The rows of one list, under the sentence that stands at the head of its module."""

    topic: str
    title: str
    name: str
    rows: Sequence[Row]


def tables() -> Iterator[Table]:
    """Yield all lists of rows, in the order of the page."""
    names = [module.name for module in iter_modules(package.__path__)]
    for name in sorted(names, key=lambda n: (_ORDER.index(n) if n in _ORDER else 99, n)):
        module = import_module(f"{package.__name__}.{name}")
        title = (module.__doc__ or name).partition("\n")[0].rstrip(".")
        for listed in module.__all__:
            rows = getattr(module, listed)
            if isinstance(rows, list | tuple) and rows and isinstance(rows[0], Row):
                yield Table(name, title, listed, rows)


def with_tables(page: str) -> str:
    """Return the page with its tables as the rows say."""
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    return f"{head}{BEGIN}\n{_markdown()}{END}{tail}"


def _markdown() -> str:
    lines: list[str] = []
    topic = ""
    for table in tables():
        if table.topic != topic:
            topic = table.topic
            lines += ["", f"### {table.title}", "", "| what happens | what you see | sent again |"]
            lines += ["| --- | --- | --- |"]
        lines += [_line(row) for row in table.rows]
    return "\n".join([*lines, ""])


def _line(row: Row) -> str:
    usual = _seen(row.expected)
    others = {_TITLES[name]: _seen(expected) for name, expected in row.but.items()}
    but = [f"; {name}: {seen}" for name, seen in others.items() if seen != usual]
    again = _TIMES.get(row.requests, f"{row.requests - 1} times")
    return f"| {row.name} | {usual}{''.join(but)} | {again} |"


def _seen(expected: Expected) -> str:
    if expected.error is None:
        return "the complete answer" if expected.text else "an empty answer"
    return f"`{expected.error.__name__}`{' with the text so far' * bool(expected.text)}"


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text()))
