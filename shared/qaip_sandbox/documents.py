"""Reading a folder of text and Markdown files into documents and chunks."""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from .text import sentences, slug

__all__ = ["FILE_TYPES", "NAMESPACE", "SITE", "Chunk", "Document", "read_document", "read_folder"]

SITE = "https://sandbox.invalid/docs/"
"""Where the documents pretend to live: a reserved name, so that no link leads anywhere."""

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, SITE)
FILE_TYPES = {".md": "md", ".markdown": "md", ".txt": "txt", ".text": "txt"}

_MAX_BYTES = 10 * 1024 * 1024
_CHUNK = 800
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n.*?\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_BLOCK = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[^\n]*$|\Z)"
    r"|^#{1,6}[ \t]+(?P<heading>[^\n]+?)[ \t]*#*[ \t]*$"
    r"|^(?P<paragraph>[^\n]*\S[^\n]*(?:\n(?!#{1,6}[ \t]|`{3}|~{3})[^\n]*\S[^\n]*)*)",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage of a document, an unchanged slice of its text.

    `start` and `end` are offsets in characters. `page_number` counts from 1; 0 means that the
    document has no pages.
    """

    id: str
    text: str
    heading: str
    url: str
    start: int
    end: int
    page_number: int
    position: int
    document: "Document"


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the folder.

    `path` is relative to the folder, with forward slashes. `modified` is in Unix seconds. `tags`
    are the names of the folders that the file lies in.
    """

    id: str
    path: str
    title: str
    text: str
    file_type: str
    modified: int
    tags: tuple[str, ...]

    @property
    def url(self) -> str:
        """The address of the document, the same on every machine."""
        return SITE + quote(self.path)

    def chunks(self) -> list[Chunk]:
        """Cut the document by headings and paragraphs into passages of about 800 characters."""
        anchors: Counter[str] = Counter()
        found: list[Chunk] = []
        for heading, start, end in _passages(self.text) or _whole(self.text):
            text = self.text[start:end]
            anchor = slug(heading or self.title)
            anchors[anchor] += 1
            number = f"-{anchors[anchor]}" if anchors[anchor] > 1 else ""
            found.append(
                Chunk(
                    id=str(uuid.uuid5(NAMESPACE, f"{self.path}\n{start}\n{text}")),
                    text=text,
                    heading=heading,
                    url=f"{self.url}#{quote(anchor)}{number}",
                    start=start,
                    end=end,
                    page_number=self._page(start),
                    position=len(found) + 1,
                    document=self,
                )
            )
        return found

    def _page(self, offset: int) -> int:
        return self.text.count("\f", 0, offset) + 1 if "\f" in self.text else 0


def read_folder(folder: Path) -> list[Document]:
    """Read every text and Markdown file below `folder`, sorted by path.

    Hidden files and folders, links that leave the folder and files over 10 MB are skipped. Bytes
    that are not UTF-8 become U+FFFD.

    Raises:
        NotADirectoryError: `folder` does not exist or is a file.
    """
    if not folder.is_dir():
        raise NotADirectoryError(f"not a folder: {folder}")
    root = folder.resolve()
    return [read_document(root, path) for path in sorted(root.rglob("*")) if _readable(root, path)]


def read_document(root: Path, path: Path) -> Document:
    """Read the file at `path`, which lies below the folder `root`."""
    relative = path.relative_to(root)
    # A name that is not UTF-8 could not be sent in JSON.
    name = relative.as_posix().encode("utf-8", "replace").decode()
    text = path.read_bytes().decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    headings = (match["heading"] for match in _blocks(text) if match["heading"])
    return Document(
        id=str(uuid.uuid5(NAMESPACE, name)),
        path=name,
        title=next(headings, name.rpartition("/")[2]),
        text=text,
        file_type=FILE_TYPES[path.suffix.lower()],
        modified=int(path.stat().st_mtime),
        tags=tuple(name.split("/")[:-1]),
    )


def _readable(root: Path, path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
    if hidden or path.suffix.lower() not in FILE_TYPES or not path.is_file():
        return False
    return path.resolve().is_relative_to(root) and path.stat().st_size <= _MAX_BYTES


def _blocks(text: str) -> Iterator[re.Match[str]]:
    front = _FRONT_MATTER.match(text)
    return _BLOCK.finditer(text, front.end() if front else 0)


def _whole(text: str) -> list[tuple[str, int, int]]:
    return [("", *_stripped(text, 0, len(text)))] if text.strip() else []


def _passages(text: str) -> list[tuple[str, int, int]]:
    passages: list[tuple[str, int, int]] = []
    heading, growing = "", False
    for block in _blocks(text):
        if block["heading"]:
            heading, growing = block["heading"], False
            continue
        for start, end in _slices(text, *block.span()):
            begin = passages[-1][1] if growing else start
            if growing and end - begin <= _CHUNK and "\f" not in text[begin:start]:
                passages[-1] = (heading, begin, end)
            else:
                passages.append((heading, start, end))
            growing = True
    return passages


def _slices(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut a block at page ends, and where it is long, between sentences."""
    slices: list[tuple[int, int]] = []
    for page in re.finditer(r"[^\f]+", text[start:end]):
        if page[0].strip():
            slices.extend(
                _shorter(text, *_stripped(text, start + page.start(), start + page.end()))
            )
    return slices


def _shorter(text: str, start: int, end: int) -> list[tuple[int, int]]:
    cuts, last = [start], start
    for sentence in sentences(text[start:end]) if end - start > _CHUNK else []:
        if start + sentence.end - cuts[-1] > _CHUNK and last > cuts[-1]:
            cuts.append(last)
        last = start + sentence.end
    return [_stripped(text, *pair) for pair in zip(cuts, [*cuts[1:], end], strict=True)]


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    part = text[start:end]
    return start + len(part) - len(part.lstrip()), start + len(part.rstrip())
