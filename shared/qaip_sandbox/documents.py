"""A document, and the passages of it that are searched and quoted."""

import uuid
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from .chunking import Passage
from .text import slug

__all__ = ["NAMESPACE", "SITE", "Chunk", "Document", "document_id"]

SITE = "https://sandbox.invalid/docs/"
"""Where the documents pretend to live: a reserved name, so that no link leads anywhere."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, SITE)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage of a document, an unchanged slice of its text.

    `start` and `end` are offsets in characters. `page_number` counts from 1; 0 means that the
    document has no pages.
    """

    id: str
    heading: str
    url: str
    start: int
    end: int
    page_number: int
    position: int
    document: "Document"

    @property
    def text(self) -> str:
        """The passage, word for word."""
        return self.document.text[self.start : self.end]


@dataclass(frozen=True)
class Document:
    """One file of the folder.

    `path` is relative to the folder, with forward slashes. `text` is what a reader found in the
    file; that of a text file is its own but for the byte order mark, the line ends, which are LF,
    and U+FFFD for what is not UTF-8 or half a character. `modified` is in Unix seconds. `tags` are
    the names of the folders that the file lies in. `source` is the address that the file gives
    itself, or "".
    """

    id: str
    path: str
    title: str
    text: str
    file_type: str
    modified: int
    tags: tuple[str, ...]
    passages: tuple[Passage, ...]
    source: str = ""

    @property
    def url(self) -> str:
        """The address of the document, the same on every machine."""
        return self.source or SITE + quote(self.path)

    def chunks(self) -> list[Chunk]:
        """Return the passages of about 800 characters that the document was cut into."""
        return list(self._chunks)

    @cached_property
    def _chunks(self) -> tuple[Chunk, ...]:
        urls = _Addresses(self)
        return tuple(
            Chunk(
                id=str(
                    uuid.uuid5(NAMESPACE, f"{self.path}\n{p.start}\n{self.text[p.start : p.end]}")
                ),
                heading=p.heading,
                url=urls.of(p),
                start=p.start,
                end=p.end,
                page_number=p.page,
                position=position,
                document=self,
            )
            for position, p in enumerate(self.passages, 1)
        )


class _Addresses:
    """Gives every passage of a document an address of its own."""

    def __init__(self, document: Document) -> None:
        self._base = document.url.partition("#")[0]
        self._title = document.title
        self._used: Counter[str] = Counter()

    def of(self, passage: Passage) -> str:
        url = passage.url or f"{self._base}#{quote(slug(passage.heading or self._title))}"
        joint = "-" if "#" in url else "#"
        found = url
        while found in self._used:
            self._used[url] += 1
            found = f"{url}{joint}{self._used[url]}"
        self._used[found] = 1
        return found


def document_id(path: str) -> str:
    """Return the id of the document at `path`, the same on every machine."""
    return str(uuid.uuid5(NAMESPACE, path))
