"""A folder of documents with its index, read again when it has changed."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock
from typing import Self

from .cache import Cache
from .cancelling import Cancelled
from .documents import Chunk, Document
from .index import Index
from .reading import MAX_BYTES, Progress, Refused, Source, read_folder

__all__ = ["Changes", "Collection"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a refresh found: the paths of documents, and what was refused.

    `unsaved` says why the cache could not be written, "" if it was or if nothing had changed.
    """

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    refused: tuple[Refused, ...]
    seconds: float
    unsaved: str


@dataclass(frozen=True, slots=True)
class _State:
    sources: Mapping[str, Source] = field(default_factory=dict[str, Source])
    documents: tuple[Document, ...] = ()
    refused: tuple[Refused, ...] = ()


class Collection:
    """The documents of a folder, which are read by `refresh` and searched by `index`.

    Questions may be asked in other threads while `refresh` runs: they are answered from what the
    folder held before, until all that it holds now is indexed. Close it, or use it as a context
    manager.

    Args:
        folder: The folder; nothing is read before the first refresh.
        cache: A file for the index, so that the next start is quick. It need not exist; a damaged
            one is made anew, and a file that is no such index is left alone.
        max_bytes: The largest file that is read, in bytes, 1 or more.

    Raises:
        ValueError: `max_bytes` is below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        cache: str | Path | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if max_bytes < 1:
            raise ValueError("max_bytes must be 1 or more")
        self._folder = Path(folder)
        self._cache = Cache(Path(cache), self._folder) if cache else None
        self._cached = False
        self._max_bytes = max_bytes
        self._state = _State()
        self._refreshing = Lock()
        self._index = Index()

    @property
    def index(self) -> Index:
        """The index of all chunks, the same one for the collection's whole life."""
        return self._index

    @property
    def documents(self) -> tuple[Document, ...]:
        """The documents, sorted by path; none before the first refresh."""
        return self._state.documents

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """The chunks of the documents, in their order."""
        return self._index.chunks

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What the last refresh could not read, and why."""
        return self._state.refused

    def refresh(self, progress: Progress | None = None, cancelled: Event | None = None) -> Changes:
        """Read what is new or has changed, and forget what is gone.

        Args:
            progress: Called after each file, in this thread.
            cancelled: May be set in any thread to give the refresh up: all stays as it was, and
                no changes are told. It is looked at before each file and each chunk.

        Raises:
            NotADirectoryError: the folder does not exist or is a file.
        """
        with self._refreshing:
            begin = time.perf_counter()
            if not self._folder.is_dir():
                raise NotADirectoryError(f"not a folder: {self._folder}")
            try:
                return self._refresh(begin, progress, cancelled)
            except Cancelled:
                old = self._state
                return _changes(old.sources, old, time.perf_counter() - begin, "")

    def _refresh(self, begin: float, progress: Progress | None, cancelled: Event | None) -> Changes:
        old = self._known()
        reading = read_folder(
            self._folder,
            known=old,
            max_bytes=self._max_bytes,
            progress=progress,
            cancelled=cancelled,
        )
        new = {source.document.path: source for source in reading.sources}
        documents = tuple(source.document for source in reading.sources)
        chunks = (chunk for document in documents for chunk in document.chunks())
        self._index.update(chunks, cancelled)
        self._state = _State(new, documents, tuple(reading.refused))
        unsaved = self._save(old, new)
        return _changes(old, self._state, time.perf_counter() - begin, unsaved)

    def close(self) -> None:
        """Free the index, once a refresh that is going on has ended."""
        with self._refreshing:
            self._index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _known(self) -> Mapping[str, Source]:
        if self._state.sources or not self._cache or self._cached:
            return self._state.sources
        saved = self._cache.load(self._index)
        self._cached = saved is not None
        if saved:
            self._state = _State(saved, tuple(source.document for source in saved.values()))
        return self._state.sources

    def _save(self, old: Mapping[str, Source], new: Mapping[str, Source]) -> str:
        if not self._cache or (self._cached and old == new):
            return ""
        unsaved = self._cache.save(self._index, new.values())
        self._cached = not unsaved
        return unsaved


def _changes(old: Mapping[str, Source], state: _State, seconds: float, unsaved: str) -> Changes:
    new = state.sources
    changed = tuple(p for p in new if p in old and new[p].sha256 != old[p].sha256)
    added = tuple(path for path in new if path not in old)
    return Changes(
        added=added,
        changed=changed,
        removed=tuple(path for path in old if path not in new),
        unchanged=len(new) - len(added) - len(changed),
        refused=state.refused,
        seconds=seconds,
        unsaved=unsaved,
    )
