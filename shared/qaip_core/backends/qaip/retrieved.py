"""The passages that were retrieved for an answer, whether it cites them or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qaip_core.backend import Wire
from qaip_core.backends.qaip._service import Content
from qaip_core.reading import Reader, ranked
from qaip_core.types import Citation

__all__ = ["retrieved"]


class _Retrieved(Wire):
    retrieved: list[Content | None] | None = None


_READER: Reader[_Retrieved] = Reader(_Retrieved)


def retrieved(metadata: Mapping[str, Any]) -> list[Citation]:
    """Return the passages that an answer's metadata lists; none unless they were asked for.

    Parameters:
        metadata: that of an answer to a call with ``include_retrieved``.
    """
    listed = _READER.body({"retrieved": metadata.get("retrieved")}, {}).retrieved
    return [content.citation(rank) for rank, content in ranked(listed, {}, "retrieved")]
