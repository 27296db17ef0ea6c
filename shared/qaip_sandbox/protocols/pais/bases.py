"""The knowledge bases of PAIS, which agents answer from: all documents, and each folder's."""

import uuid
from dataclasses import dataclass

from qaip_sandbox.documents import NAMESPACE, Chunk, Document
from qaip_sandbox.service import Library

__all__ = ["ALL", "Base", "bases"]

ALL = "documents"
"""The name of the base that holds everything."""


def _id(kind: str, name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{kind}:{name}"))


@dataclass(frozen=True, slots=True)
class Base:
    """A knowledge base with one index, and the agent that answers from it.

    `folder` is the top folder whose documents it holds, or "" for all documents.
    """

    folder: str
    documents: tuple[Document, ...]

    @property
    def name(self) -> str:
        """The name that it is listed under."""
        return self.folder or ALL

    @property
    def id(self) -> str:
        """Its id, the same on every machine."""
        return _id("knowledge-base", self.folder)

    @property
    def index_id(self) -> str:
        """The id of its index."""
        return _id("index", self.folder)

    @property
    def agent_id(self) -> str:
        """The id of its agent."""
        return _id("agent", self.folder)

    @property
    def modified(self) -> int:
        """When a document changed last, in Unix seconds."""
        return max((document.modified for document in self.documents), default=0)

    def allows(self, chunk: Chunk) -> bool:
        """Say whether a chunk belongs to it."""
        return not self.folder or _folder(chunk.document) == self.folder


def bases(library: Library) -> list[Base]:
    """Return the base of all documents, then one for each top folder."""
    below: dict[str, list[Document]] = {}
    for document in library.documents:
        below.setdefault(_folder(document), []).append(document)
    below.pop("", None)
    folders = (Base(folder, tuple(below[folder])) for folder in sorted(below))
    return [Base("", library.documents), *folders]


def _folder(document: Document) -> str:
    return document.path.partition("/")[0] if "/" in document.path else ""
