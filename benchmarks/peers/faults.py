"""Run the rows of the fault matrix on other packages too, and print or write their scores.

    python benchmarks/peers/faults.py {langchain,llama-index} [--write] [--reasons]

``make peers`` does it in the environments that have them. What is counted:

- legal: answers that are complete, though unusual, and arrive whole;
- noticed: faults that raise anything at all;
- typed: faults that raise an error of the package, of its vendor's SDK or of the framework,
  instead of one of httpx, json or pydantic, or a builtin one;
- policy: rows of which exactly as many requests were sent as are safe to send.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests", ".", "shared")]
# Below the path that they are found by:
from support.fault_server import FaultServer, Reply  # noqa: E402
from support.faults import subjects as columns  # noqa: E402
from support.faults.matrix import Row  # noqa: E402
from support.faults.page import Table, tables  # noqa: E402
from support.faults.speech import FIREWORKS_CHAT, PERPLEXITY, Speech  # noqa: E402
from support.peers.subject import PREFIXES, Subject  # noqa: E402

BEGIN, END = "<!-- scores of {}: begin -->", "<!-- scores of {}: end -->"
PAGE = ROOT / "docs" / "reliability.md"
_RAW = ("httpx", "httpcore", "json", "pydantic", "builtins", "h11", "ssl", "anyio", "asyncio")
_SECONDS = 6.0
_FIELDS = {"max_retries", "timeout"}
"""What every package can be told; rows that need more are about this package only."""
_OF_STREAMS = ("stream_ends", "stream_errors", "framing", "http_framing")
_OPEN = ("LEFT_OPEN", "HALF_OPEN")  # who waits there, waits for seconds
_AGREED = {"400,", "401,", "403,", "404,", "422,", "429,", "500,", "502,", "503,"}
"""The statuses of which all clients think alike whether they may pass."""
_CALLS = {"langchain": ("invoke", "stream"), "llama_index": ("chat", "stream_chat")}
COLUMNS = ("legal", "noticed", "typed", "policy")

Marks = dict[str, list[bool]]


def asked(layer: Any, subject: Subject) -> Iterator[columns.Subject]:
    """Yield the ways in which a package's chat model is asked: whole, streamed, awaited."""
    speech = speech_of(subject)
    known = {s.way.call: s.way for s in reversed(getattr(columns, layer.upper()))}  # chats first

    def make(url: str, **given: Any) -> Any:
        retries = subject.retrying(given.pop("max_retries", 0))
        return subject.chat_model(cast("Any", SimpleNamespace(url=url)), **retries, **given)

    for call in _CALLS[layer]:
        for is_async in (False, True):
            name = f"{subject.id}.{'a' * is_async}{call}"
            about = layer, speech.service, speech.operation, known[call]
            yield columns.Subject(name, *about, make, is_async)


def speech_of(subject: Subject) -> Speech:
    """Return how the service of a package writes."""
    return PERPLEXITY if "sonar" in subject.traits else FIREWORKS_CHAT


def fitting(column: columns.Subject, speech: Speech) -> Iterator[tuple[Table, Row]]:
    """Yield the rows that a package can be asked."""
    for table in tables():
        if is_asked(table, column):
            for row in table.rows:
                known = set(row.fields) <= _FIELDS and row.fields.get("max_retries", 0) <= 2
                agreed = table.name != "STATUSES" or _AGREED.intersection(row.name.split())
                if known and agreed and row.replies(speech) is not None:
                    yield table, row


def is_asked(table: Table, column: columns.Subject) -> bool:
    """Tell whether the rows of a table answer what a package asks for: a stream, or not."""
    if table.topic == "bad_successes":
        return table.name.startswith("STREAM") is column.streams
    if table.topic == "retries":
        return table.name == ("LATE" if column.streams else "STATUSES")
    return column.streams and table.topic in _OF_STREAMS and table.name not in _OPEN


class Asker:
    """Asks one way, in a thread of its own that is left behind when it hangs.

    Async calls share an event loop, as they do in an application.
    """

    def __init__(self, server: FaultServer, column: columns.Subject) -> None:
        self._server, self._column = server, column
        self._renew()

    def _renew(self) -> None:
        self._pool, self._runner = ThreadPoolExecutor(1), asyncio.Runner()

    def ask(self, row: Row, speech: Speech) -> columns.Outcome:
        """Ask once; who does not come back in time has noticed nothing."""
        replies = row.replies(speech)
        assert replies is not None
        self._server.reset()
        self._server.replies(*([replies] if isinstance(replies, Reply) else replies))
        made = self._column.make(self._server.url, **row.fields)
        act = self._awaited if self._column.is_async else self._column.ask_of
        try:
            return self._pool.submit(act, made).result(_SECONDS + 1)
        except Exception:  # noqa: BLE001 -- it hangs, or broke in a way that nobody can catch
            self._renew()
            return columns.Outcome(shown=None)

    def _awaited(self, made: Any) -> columns.Outcome:
        async def bounded() -> columns.Outcome:
            async with asyncio.timeout(_SECONDS):
                return await self._column.aask_of(made)

        return self._runner.run(bounded())


def note(marks: Marks, table: Table, case: tuple[Row, Speech], seen: Any, sent: int) -> None:
    """Add what came of a row."""
    row, speech = case
    expected = row.expected_of(speech)
    if table.topic == "retries":
        marks["policy"].append(sent == row.requests)
    elif expected.error is None:
        marks["legal"].append(seen.error is None and seen.text == expected.text)
    else:
        module = type(seen.error).__module__.partition(".")[0] if seen.error else "builtins"
        marks["noticed"].append(seen.error is not None)
        marks["typed"].append(module not in _RAW)


def scored(layer: str, subject: Subject, *, reasons: bool) -> Marks:
    """Return how the rows came out for a package, its ways of being asked side by side."""
    found = list(asked(layer, subject))
    with ThreadPoolExecutor(len(found)) as pool:
        each = list(pool.map(partial(scored_by, speech_of(subject), reasons=reasons), found))
    return {name: [mark for marks in each for mark in marks[name]] for name in COLUMNS}


def scored_by(speech: Speech, column: columns.Subject, *, reasons: bool) -> Marks:
    """Return how the rows came out for one way of asking."""
    marks: Marks = {name: [] for name in COLUMNS}
    with FaultServer() as server:
        asker = Asker(server, column)
        for table, row in fitting(column, speech):
            seen = asker.ask(row, speech)
            before = {name: len(found) for name, found in marks.items()}
            note(marks, table, (row, speech), seen, len(server.requests))
            failed = [n for n in COLUMNS if not all(marks[n][before[n] :])]
            if reasons and failed:
                print(f"{column.name} / {row.name}: {failed} {seen.error!r:.150}", file=sys.stderr)
    return marks


def section(layer: str, subjects: Iterable[Subject], *, reasons: bool) -> str:
    """Return the scores as a table."""
    lines = [f"|  | {' | '.join(COLUMNS)} |", "| --- " * (len(COLUMNS) + 1) + "|"]
    for subject in subjects:
        marks = scored(layer, subject, reasons=reasons)
        cells = [f"{sum(marks[name])} of {len(marks[name])}" for name in COLUMNS]
        version = "" if subject.ours else f" {metadata.version(subject.distribution)}"
        lines.append(f"| {subject.title}{version} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["langchain", "llama-index"], help="the framework")
    parser.add_argument("--write", action="store_true", help="rewrite the table of the page")
    parser.add_argument("--reasons", action="store_true", help="say which rows failed")
    options = parser.parse_args()
    for name in [n for n in os.environ if n.startswith(PREFIXES)]:
        del os.environ[name]
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda _: None
    layer = options.which.replace("-", "_")
    known = import_module(f"support.peers.{layer}.subjects")
    subjects = [s for s in (*known.OURS, *known.PEERS) if s.installed]
    text = section(layer, subjects, reasons=options.reasons)
    if options.write:
        begin, end = BEGIN.format(options.which), END.format(options.which)
        head, rest = PAGE.read_text().split(begin)
        text = f"{head}{begin}\n{text}{end}{rest.split(end)[1]}"
        PAGE.write_text(text)
    else:
        print(text)
    sys.stdout.flush()
    os._exit(0)  # threads of packages that hang are left behind


if __name__ == "__main__":
    main()
