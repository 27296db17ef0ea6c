"""The search of a knowledge base's index.

Vendor page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, FiniteFloat

from qaip_core.backend import Params, Wire
from qaip_core.backends.pais._passages import Origin, as_citation
from qaip_core.backends.pais._service import PAIS, control_base
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Reader, other_shape, ranked
from qaip_core.types import Citation

__all__ = ["SEARCH", "TOP_K", "PaisSearchParams"]

TOP_K = 4
"""How many passages are asked for where nobody says: the service would give two."""


class PaisSearchParams(Params):
    """Where to search, and what to return.

    Parameters:
        knowledge_base_id: the knowledge base; their list is `list_knowledge_bases()`.
        index_id: the index of it; their list is `list_indexes()`.
        top_k: how many passages to return at most, at least 1; 4 where it is not given.
        similarity_cutoff: the least score of a passage. The range of scores is not documented.
    """

    knowledge_base_id: str | None = None
    index_id: str | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    similarity_cutoff: FiniteFloat | None = None


class _Query(PaisSearchParams):
    text: str | None = None


class _Passage(Origin):
    text: str | None = None


class _Found(Wire):
    chunks: list[_Passage | None] | None = None
    hits: list[_Passage | None] | None = None


_FOUND: Reader[_Found] = Reader(_Found, ("", "chunks", "hits"))


def _decode(body: Any) -> tuple[Citation, ...]:
    """Return the passages; releases call their list ``chunks``, ``hits``, or nothing at all."""
    notes: Notes = {}
    read = _FOUND.body({"chunks": body} if isinstance(body, list) else body, notes)
    found = read.hits if read.chunks is None else read.chunks
    if found is None:
        raise other_shape("a body", "chunks: Field required", body)
    return tuple(as_citation(p.text, p, place) for place, p in ranked(found, notes, "chunks"))


SEARCH: Operation[Sequence[Citation]] = Operation(
    backend=PAIS,
    path="/knowledge-bases/{knowledge_base_id}/indexes/{index_id}/search",
    decode=_decode,
    params=_Query,
    required=("knowledge_base_id", "index_id", "text"),
    method="POST",
    base=control_base,
)
