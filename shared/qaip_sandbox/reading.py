"""Reading a folder into documents, and reading it again where it has changed."""

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

from .cancelling import until
from .chunking import cut, headings
from .documents import Document, document_id
from .readers import READERS, Content, Unreadable, file_type

__all__ = [
    "HIDDEN",
    "MAX_BYTES",
    "OTHER_KIND",
    "Progress",
    "Reading",
    "Refused",
    "Source",
    "read_folder",
]

MAX_BYTES = 10 * 1024 * 1024

HIDDEN = "hidden"
"""Why a file or folder was refused whose name begins with a dot."""

OTHER_KIND = "not a kind of file that is read"
"""How the reason begins why a file with another suffix was refused."""

Progress = Callable[[int, int, str], None]
"""Called after each file with the number of files done, of all files, and the file's path."""

_HALF = re.compile("[\ud800-\udfff]")  # of a character: it could not be sent in UTF-8
_FRESH = 2.0  # seconds; some file systems keep times no finer than this


@dataclass(frozen=True, slots=True)
class Refused:
    """What was not read, and why.

    `path` is relative to the folder. Where `count` files were refused for the same reason, only
    one of them is named.
    """

    path: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class Source:
    """A file as it was when its document was read: its size, its time and a hash of its bytes."""

    document: Document
    size: int
    mtime_ns: int
    sha256: str


@dataclass(slots=True)
class Reading:
    """What a folder holds: `sources` sorted by path, and how many of them were known before."""

    sources: list[Source] = field(default_factory=list[Source])
    refused: list[Refused] = field(default_factory=list[Refused])


def read_folder(
    folder: Path,
    *,
    known: Mapping[str, Source] | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Progress | None = None,
    cancelled: Event | None = None,
) -> Reading:
    """Read the documents below `folder`; nothing that cannot be read is passed over in silence.

    Args:
        folder: The folder. Links that lead out of it are refused.
        known: Sources of an earlier reading by path: files that are still the same are not read.
        max_bytes: The largest file that is read, in bytes.
        progress: Called after each file, in this thread.
        cancelled: Looked at before each file; once it is set, the reading is given up.

    Returns:
        The sources, those that have not changed being the known ones, and what was refused.

    Raises:
        Cancelled: `cancelled` was set.
        NotADirectoryError: `folder` does not exist or is a file.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"not a folder: {folder}")
    reader = _Reader(folder.resolve(), known or {}, max_bytes)
    return reader.read(progress or _silent, cancelled)


class _Reader:
    def __init__(self, root: Path, known: Mapping[str, Source], max_bytes: int) -> None:
        self._root = root
        self._known = known
        self._max_bytes = max_bytes
        self._refused: list[Refused] = []
        self._alike: dict[str, Refused] = {}

    def read(self, progress: Progress, cancelled: Event | None) -> Reading:
        found: dict[str, Source] = {}
        files = list(until(cancelled, self._files()))
        for done, path in enumerate(until(cancelled, files), 1):
            name = self._name(path)
            try:
                if name in found:
                    raise Unreadable("its name is not UTF-8 and looks like another's")
                found[name] = self._source(path, name)
            except Unreadable as error:
                self._refused.append(Refused(name, str(error)))
            except OSError as error:
                self._refused.append(Refused(name, f"cannot be read: {error.strerror or error}"))
            except Exception as error:  # noqa: BLE001 - one must not stop all others
                reason = f"cannot be read: {type(error).__name__}: {error}"
                self._refused.append(Refused(name, _HALF.sub("\ufffd", reason)))
            progress(done, len(files), name)
        sources = [found[name] for name in sorted(found, key=lambda name: name.split("/"))]
        refused = [*self._refused, *self._alike.values()]
        return Reading(sources, sorted(refused, key=lambda one: one.path))

    def _files(self) -> Iterator[Path]:
        """Yield what could be documents; the rest is refused."""
        for where, folders, names in os.walk(self._root, onerror=self._closed):
            base = Path(where)
            for name in [name for name in folders if name.startswith(".")]:
                self._refuse_alike(HIDDEN, base / name)
            for name in [name for name in folders if (base / name).is_symlink()]:
                self._refused.append(Refused(self._name(base / name), "a link to a folder"))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = base / name
                if name.startswith("."):
                    self._refuse_alike(HIDDEN, path)
                elif path.suffix.lower() not in READERS:
                    kind = path.suffix.lower() or "no suffix"
                    self._refuse_alike(f"{OTHER_KIND} ({kind})", path)
                else:
                    yield path

    def _source(self, path: Path, name: str) -> Source:
        if not path.resolve().is_relative_to(self._root):
            raise Unreadable("a link that leaves the folder")
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise Unreadable("not a regular file")
        if facts.st_size > self._max_bytes:
            raise Unreadable(f"larger than {self._max_bytes:,} bytes")
        known = self._known.get(name)
        if known and (known.size, known.mtime_ns) == (facts.st_size, facts.st_mtime_ns):
            return known
        return self._read(path, name, facts, known)

    def _read(self, path: Path, name: str, facts: os.stat_result, known: Source | None) -> Source:
        with path.open("rb") as file:
            data = file.read(self._max_bytes + 1)
        if len(data) > self._max_bytes:
            raise Unreadable(f"larger than {self._max_bytes:,} bytes")
        sha256 = hashlib.sha256(data).hexdigest()
        modified = int(facts.st_mtime)
        if known and known.sha256 == sha256:
            same = known.document.modified == modified
            document = known.document if same else replace(known.document, modified=modified)
        else:
            document = _document(name, path.suffix, data, modified)
        # A file may be written twice within one tick of its clock: a time that is hardly over
        # proves nothing, so the next reading compares the content.
        fresh = abs(time.time() - facts.st_mtime) < _FRESH
        return Source(document, len(data), 0 if fresh else facts.st_mtime_ns, sha256)

    def _closed(self, error: OSError) -> None:
        path = Path(error.filename)
        self._refused.append(Refused(self._name(path), f"cannot be read: {error.strerror}"))

    def _refuse_alike(self, reason: str, path: Path) -> None:
        first = self._alike.get(reason) or Refused(self._name(path), reason, 0)
        self._alike[reason] = replace(first, count=first.count + 1)

    def _name(self, path: Path) -> str:
        # A name that is not UTF-8 could not be sent in JSON.
        return path.relative_to(self._root).as_posix().encode("utf-8", "replace").decode()


def _document(name: str, suffix: str, data: bytes, modified: int) -> Document:
    content = _sound(READERS[suffix.lower()](data))
    title = _title(content, name)
    passages = cut(content.text, title) if content.passages is None else content.passages
    return Document(
        id=document_id(name),
        path=name,
        title=title,
        text=content.text,
        file_type=file_type(suffix),
        modified=modified,
        tags=tuple(name.split("/")[:-1]),
        passages=passages,
        source=content.url,
    )


def _sound(content: Content) -> Content:
    """Return `content` with U+FFFD for each half of a character, so that every place stays."""

    def mended(text: str) -> str:
        return _HALF.sub("\ufffd", text)

    passages = content.passages
    if passages is not None:
        passages = tuple(
            replace(one, heading=mended(one.heading), url=mended(one.url)) for one in passages
        )
    return Content(mended(content.text), mended(content.title), mended(content.url), passages)


def _title(content: Content, name: str) -> str:
    if content.title:
        return content.title
    first = next(headings(content.text), "") if content.passages is None else ""
    return first or name.rpartition("/")[2]


def _silent(done: int, total: int, path: str) -> None:
    """Show no progress."""
