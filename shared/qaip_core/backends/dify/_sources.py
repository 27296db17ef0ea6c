"""The sources of Dify's answers, as its apps and its lists of messages tell them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qaip_core.backend import Wire
from qaip_core.reading import Number, finite
from qaip_core.types import Citation, source_id

__all__ = ["Resource", "link"]


class Resource(Wire):
    """A source, as answers and lists of messages tell it."""

    position: int | None = None
    dataset_id: str | None = None
    dataset_name: str | None = None
    document_id: str | None = None
    document_name: str | None = None
    data_source_type: str | None = None
    segment_id: str | None = None
    score: Number | None = None
    content: str | None = None
    page: int | None = None
    title: str | None = None
    doc_metadata: dict[str, Any] | None = None

    def citation(self, rank: int) -> Citation:
        """Return it as a citation."""
        more = {
            "dataset_id": self.dataset_id,
            "dataset_name": self.dataset_name,
            "document_id": self.document_id,
            "source_type": self.data_source_type,
            "doc_metadata": finite(self.doc_metadata),
        }
        url = link(self.doc_metadata or {})
        return Citation(
            id=self.segment_id or source_id(url or self.document_name, self.content, self.page),
            url=url,
            title=self.document_name or self.title,
            text=self.content,
            page_number=self.page or None,
            score=self.score or None,  # 0.0 means that the service does not know
            rank=self.position or rank,
            metadata={k: v for k, v in more.items() if v is not None},
        )


def link(metadata: Mapping[str, Any]) -> str | None:
    """Return the link that a site keeps in its documents' metadata: the wire has no other."""
    values = (metadata.get(key) for key in ("url", "source_url", "link", "source"))
    return next(
        (v for v in values if isinstance(v, str) and v.startswith(("http://", "https://"))), None
    )
