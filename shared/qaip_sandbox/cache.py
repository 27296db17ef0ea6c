"""An index in a file, so that a folder which has hardly changed need not be read again."""

import json
import os
import sqlite3
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from .chunking import Passage
from .documents import Document
from .index import Index
from .reading import Source

__all__ = ["Cache"]

_FORMAT = 2
"""To be raised when readers, passages or tokens are made in another way."""

_MADE_WITH = ("snowballstemmer", "html-to-markdown", "pypdf", "markitdown")
"""Libraries of which another version may make other texts or tokens."""

_APPLICATION = 0x51616970
_HEADER = 100
_SCHEMA = """
CREATE TABLE made (by TEXT);
CREATE TABLE documents (
    path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT,
    facts TEXT, passages TEXT, text TEXT
) WITHOUT ROWID;
CREATE TABLE chunks (row INTEGER PRIMARY KEY, id TEXT);
"""


class Cache:
    """The file of an index.

    It is written beside its place and then moved there, so that processes that share it, or one
    that is ended, never leave half a file. What it says is checked against the folder: a file of
    the same size and time of change is taken to be the same; of any other, the content is compared.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self._folder = folder

    def load(self, index: Index) -> dict[str, Source] | None:
        """Fill the empty `index` and return what it was made from, or None without a good file."""
        try:
            if _kind(self._path) != "ours":
                return None
            address = f"file:{quote(str(self._path.resolve()))}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as saved:
                return self._loaded(saved, index)
        except Exception:  # noqa: BLE001 - a file may be damaged in any way
            return None

    def save(self, index: Index, sources: Iterable[Source]) -> str:
        """Write the file and return "", or why it could not be written."""
        try:
            if _kind(self._path) == "foreign":
                return f"{self._path} is no index of qaip-sandbox: delete it or name another file"
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=self._path.name, dir=self._path.parent)
            os.close(handle)
            try:
                with closing(sqlite3.connect(name, isolation_level=None)) as target:
                    self._write(target, index, sources)
                Path(name).replace(self._path)
            except BaseException:
                with suppress(OSError):
                    Path(name).unlink()
                raise
        except (OSError, sqlite3.Error) as error:
            return f"{self._path} cannot be written: {error}"
        return ""

    def _made_by(self) -> str:
        made_with = " ".join(map(_version, _MADE_WITH))
        return f"{_FORMAT} {unicodedata.unidata_version} {made_with} {self._folder.resolve()}"

    def _loaded(self, saved: sqlite3.Connection, index: Index) -> dict[str, Source] | None:
        if saved.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            return None
        if saved.execute("SELECT by FROM made").fetchone() != (self._made_by(),):
            return None
        sources = {source.document.path: source for source in _sources(saved)}
        chunks = {c.id: c for source in sources.values() for c in source.document.chunks()}
        rows = {row: chunks[key] for row, key in saved.execute("SELECT row, id FROM chunks")}
        index.load(saved, rows)
        return sources

    def _write(self, target: sqlite3.Connection, index: Index, sources: Iterable[Source]) -> None:
        target.execute("PRAGMA synchronous = OFF")
        rows = index.save(target)
        target.execute(f"PRAGMA application_id = {_APPLICATION}")
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("BEGIN")
        for statement in _SCHEMA.strip().split(";\n"):
            target.execute(statement)
        target.execute("INSERT INTO made VALUES (?)", (self._made_by(),))
        target.executemany("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row, sources))
        target.executemany(
            "INSERT INTO chunks VALUES (?, ?)", ((row, chunk.id) for row, chunk in rows.items())
        )
        target.execute("COMMIT")


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "-"


def _kind(path: Path) -> str:
    """Return "ours", "foreign", or "none" where there is nothing to lose."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except (FileNotFoundError, NotADirectoryError):
        return "none"
    if not header:
        return "none"
    ours = header[:6] == b"SQLite" and header[68:72] == _APPLICATION.to_bytes(4)
    return "ours" if ours else "foreign"


def _row(source: Source) -> tuple[str | int, ...]:
    facts = asdict(source.document)
    text, passages = facts.pop("text"), facts.pop("passages")
    places = json.dumps([list(passage.values()) for passage in passages])
    known = source.document.path, source.size, source.mtime_ns, source.sha256
    return *known, json.dumps(facts), places, text


def _sources(saved: sqlite3.Connection) -> Iterator[Source]:
    for _, size, mtime_ns, sha256, facts, places, text in saved.execute("SELECT * FROM documents"):
        known = json.loads(facts)
        passages = tuple(Passage(*place) for place in json.loads(places))
        if not all(0 <= p.start <= p.end <= len(text) for p in passages):
            raise ValueError("a passage lies outside of its text")
        known["tags"] = tuple(known["tags"])
        yield Source(Document(**known, text=text, passages=passages), size, mtime_ns, sha256)
