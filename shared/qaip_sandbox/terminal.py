"""What the command prints: progress, answers with their sources, and where everything is."""

import json
import re
import shlex
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ._wire import Json
from .answers import Answer
from .collection import Changes, Collection
from .index import Hit
from .page.fields import fields
from .reading import Progress as Report
from .reading import Refused
from .switches import Switches
from .unread import listed, told

if TYPE_CHECKING:
    from .sandbox import Sandbox

__all__ = ["announce", "answer", "as_json", "progress", "refusals", "summary", "switches", "unread"]

_SHOWN, _FEW = 10, 3
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_STEERING_OR_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@contextmanager
def progress() -> Iterator[Report]:
    """Show a bar while files are read, on standard error, if that is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda *_: None
        return
    columns = (TextColumn("Reading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def report(done: int, total: int, path: str) -> None:  # noqa: ARG001
            bar.update(task, completed=done, total=total)

        yield report


def refusals(refused: Sequence[Refused]) -> None:
    """Say on standard error why files were not read; the page of the sandbox lists them all."""
    _warn(told(refused, _SHOWN, "see the page"))


def unread(refused: Sequence[Refused], folder: Path) -> None:
    """Say on standard error, in a few lines, why files were not read, and what lists them all."""
    command = f"to list them, run qaip-sandbox index {shlex.quote(str(folder))}"
    _warn(told(refused, _FEW, command))


def _warn(lines: Iterable[str]) -> None:
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for line in lines:
        console.print(_text(line, "yellow", lines=False))


def summary(collection: Collection, changes: Changes, cache: Path | None) -> None:
    """Print what a folder holds and what has changed in it."""
    _warn(listed(changes.refused))
    types = Counter(document.file_type for document in collection.documents)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in types.most_common())
    print(f"{len(collection.documents):,} documents ({kinds or 'none'})")
    print(f"{len(collection.index):,} chunks, in {changes.seconds:.1f} s")
    news = {"added": changes.added, "changed": changes.changed, "removed": changes.removed}
    told = [f"{len(paths):,} {name}" for name, paths in news.items() if paths]
    print(", ".join([*told, f"{changes.unchanged:,} unchanged"]))
    if changes.unsaved:
        print(f"not kept: {changes.unsaved}", file=sys.stderr)
    elif cache:
        print(f"kept in {cache}")


def answer(found: Answer) -> None:
    """Print an answer and its numbered sources."""
    console = Console(highlight=False)
    # Another program that reads the answer wants its lines as they are.
    plain = not console.is_terminal
    text = found.text()
    console.print(_text(text), soft_wrap=plain)
    for number, hit in enumerate(found.hits, 1):
        cited = f"[{number}]" in text
        if cited:
            console.print()
        heading = (f"[{number}] {_title(hit)}", "bold" if cited else "dim")
        where = _text(f"  {hit.chunk.document.path}", lines=False)
        console.print(Text.assemble(_text(*heading, lines=False), where), soft_wrap=plain)
        if cited:
            passage = textwrap.shorten(hit.chunk.text, 240, placeholder=" ...")
            for line in textwrap.wrap(passage, max(console.width - 4, 20)):
                console.print(_text(f"    {line}", "dim"))


def as_json(question: str, found: Answer) -> Json:
    """Return an answer as an object for other programs."""
    sources = [
        {
            "number": number,
            "title": hit.chunk.document.title,
            "path": hit.chunk.document.path,
            "url": hit.chunk.url,
            "heading": hit.chunk.heading,
            "page_number": hit.chunk.page_number or None,
            "start": hit.chunk.start,
            "end": hit.chunk.end,
            "score": hit.score,
            "text": hit.chunk.text,
        }
        for number, hit in enumerate(found.hits, 1)
    ]
    return {"question": question, "answer": found.text(), "sources": sources}


def announce(sandbox: "Sandbox") -> None:
    """Print where the sandbox is, as lines that a shell can read."""
    print(f"# {len(sandbox.documents)} documents, {len(sandbox.chunks)} chunks: {sandbox.url}")
    if "//0.0.0.0:" in sandbox.url or "//[::]:" in sandbox.url:
        print("# From other machines: put this machine's name or address in place of the zeros")
    for name, value in sandbox.env.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"# Open {sandbox.page} to look inside; Ctrl-C ends the sandbox", flush=True)


def switches(service: str, model: type[Switches]) -> None:
    """Print the switches of a service: their names, values and defaults, and what they do."""
    console = Console(highlight=False)
    for field in fields(model):
        choices = " | ".join(map(str, field["choices"])) or field["kind"]
        default = json.dumps(field["default"], ensure_ascii=False).strip('"')
        name = Text.assemble((f"{service}.{field['name']}", "bold"), f" = {default}  ({choices})")
        console.print(name, soft_wrap=True)
        for line in textwrap.wrap(field["help"], max(console.width - 4, 40)):
            console.print(Text(f"    {line}", "dim"))


def _text(text: str, style: str = "", *, lines: bool = True) -> Text:
    """Return a stranger's text without what would steer the terminal."""
    return Text(
        (_STEERING if lines else _STEERING_OR_LINE).sub("\N{REPLACEMENT CHARACTER}", text), style
    )


def _title(hit: Hit) -> str:
    chunk = hit.chunk
    title = chunk.document.title
    if chunk.heading and chunk.heading != title:
        title += f": {chunk.heading}"
    return f"{title}, page {chunk.page_number}" if chunk.page_number else title
