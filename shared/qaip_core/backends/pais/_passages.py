"""The passages that agents cite and searches find, as citations."""

from __future__ import annotations

from qaip_core.backend import Wire
from qaip_core.reading import Number
from qaip_core.types import Citation, source_id

__all__ = ["Origin", "as_citation"]


class Origin(Wire):
    """Where a passage comes from, and how well it fits."""

    document_id: str | None = None
    score: Number | None = None
    origin_name: str | None = None
    origin_ref: str | None = None
    media_type: str | None = None
    retrieval_id: str | None = None


def as_citation(text: str | None, origin: Origin, rank: int) -> Citation:
    """Return a passage as a citation.

    Its id is made of the document's and the text: the service numbers passages anew in each
    answer. So the same passage has the same id from an agent and from a search.
    """
    url = origin.origin_ref or None
    more = {
        "document_id": origin.document_id,
        "origin_name": origin.origin_name,
        "origin_ref": origin.origin_ref,
        "media_type": origin.media_type,
        "file_type": origin.media_type,
        "retrieval_id": origin.retrieval_id,
    }
    return Citation(
        id=source_id(origin.document_id or url, text, None),
        url=url,
        title=origin.origin_name or None,
        text=text,
        score=origin.score,
        rank=rank,
        metadata={name: value for name, value in more.items() if value is not None},
    )
