"""Records of the journal as the page needs them: a line in a list, and all about one."""

from dataclasses import asdict
from functools import lru_cache

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import Chunk, Document
from qaip_sandbox.journal import Cited, Record, Said
from qaip_sandbox.quoting import span
from qaip_sandbox.text import pieces
from qaip_sandbox.world import Library

__all__ = ["LABEL_HEADER", "describe", "detail", "summary"]

LABEL_HEADER = "x-sandbox-label"
"""A request header of the caller's choice, by which it finds its request in the journal."""

_LONGEST = 160


def summary(record: Record) -> Json:
    """Return what a list shows of a record; times are in milliseconds, None while it is open."""
    return {
        "number": record.number,
        "service": record.service,
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "state": record.state,
        "streamed": record.streamed,
        "fault": record.fault,
        "retry_after": record.retry_after,
        "at": record.at,
        "first_ms": _since(record, record.first_byte),
        "ms": _since(record, record.ended),
        "tokens": sum(_tokens(said.text) for said in record.said),
        "sent": record.sent,
        "question": " ".join(record.question.split())[:_LONGEST],
        "label": record.headers.get(LABEL_HEADER, "")[:_LONGEST],
    }


@lru_cache(maxsize=1_024)  # a list of thousands of records has few different answers
def _tokens(text: str) -> int:
    return len(pieces(text))


def detail(record: Record, library: Library) -> Json:
    """Return all about a record, each source with its place in the documents as they are now."""
    return {
        **asdict(record),
        **summary(record),
        "said": [_said(said, library) for said in record.said],
    }


def describe(document: Document) -> Json:
    """Return what a list shows of a document."""
    return {
        "id": document.id,
        "path": document.path,
        "title": document.title,
        "file_type": document.file_type,
        "modified": document.modified,
        "url": document.url,
        "characters": len(document.text),
        "chunks": len(document.passages),
    }


def _since(record: Record, moment: float) -> float | None:
    return round((moment - record.started) * 1000, 1) if moment else None


def _said(said: Said, library: Library) -> Json:
    sources = [
        {"number": number, **asdict(cited), "place": _place(cited, library)}
        for number, cited in enumerate(said.sources, 1)
    ]
    return {"question": said.question, "text": said.text, "sources": sources}


def _place(cited: Cited, library: Library) -> Json:
    """Return where a source lies; None for what no document holds, such as a prompt's passages."""
    chunk = library.index.chunk(cited.chunk_id)
    if chunk is None:
        return None
    return {
        "document": chunk.document.id,
        "path": chunk.document.path,
        "heading": chunk.heading,
        "page_number": chunk.page_number,
        "start": chunk.start,
        "end": chunk.end,
        "marks": _marks(cited, chunk),
    }


def _marks(cited: Cited, chunk: Chunk) -> list[list[int]]:
    """Return the offsets of the quoted sentences in the document, in characters."""
    found = filter(None, (span(chunk.text, quote) for quote in cited.quotes))
    return sorted([chunk.start + start, chunk.start + end] for start, end in found)
