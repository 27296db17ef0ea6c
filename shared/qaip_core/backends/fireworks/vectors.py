"""Embeddings of texts, and the ranking of documents.

Vendor pages: https://docs.fireworks.ai/api-reference/creates-an-embedding-vector-representing-the-input-text
and https://docs.fireworks.ai/api-reference/rerank-documents
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from qaip_core.backend import Params, Wire
from qaip_core.backends._embeddings import Texts, embeddings, reported
from qaip_core.backends.fireworks._service import FIREWORKS
from qaip_core.errors import MalformedResponseError
from qaip_core.operation import Operation
from qaip_core.reading import Count, Notes, Number, Reader
from qaip_core.usage import Spent
from qaip_core.vectors import Ranked, Reranked

__all__ = ["EMBEDDINGS", "RERANK", "FireworksEmbeddingParams", "FireworksRerankParams"]


class FireworksEmbeddingParams(Params):
    """Parameters of embeddings, but for the texts.

    Parameters:
        model: such as "nomic-ai/nomic-embed-text-v1.5"; never rewritten.
        dimensions: numbers of each vector, at least 1, where the model can make them fewer.
        prompt_template: what stands around each text, such as "search_document: {text}".
        normalize: whether vectors are brought to unit length.
        encoding_format: how vectors travel; "base64" is smaller, and of 4-byte precision.
        user: your name for the end user.
    """

    model: str | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    prompt_template: str | None = None
    normalize: bool | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class _Embedded(FireworksEmbeddingParams):
    input: Texts | None = None


class FireworksRerankParams(Params):
    """Parameters of a ranking, but for query and documents.

    Parameters:
        model: such as "fireworks/qwen3-reranker-8b"; never rewritten.
        top_n: how many of the best documents are returned, at least 1; all if not given.
        return_documents: whether the service sends the texts back, which nothing here needs;
            False makes answers smaller. The service's default is True.
        task: what the ranking is for, in words, for models that take instructions.
    """

    model: str | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool | None = None
    task: str | None = None


class _Ranked(FireworksRerankParams):
    query: Annotated[str, Field(min_length=1)] | None = None
    documents: list[str] | None = None


class _Entry(Wire):
    index: Count
    relevance_score: Number


class _Ranking(Wire):
    """The service's page shows ``data``; an older client of the vendor reads ``results``."""

    results: list[_Entry] | None = None
    data: list[_Entry] | None = None
    model: str | None = None
    usage: dict[str, Any] | None = None


_PLACES = ("", ".*", ".*.index", ".*.relevance_score")
_READER: Reader[_Ranking] = Reader(
    _Ranking, ("", *(f"{name}{place}" for name in ("results", "data") for place in _PLACES))
)


def _ranked(body: Any) -> Reranked:
    told = reported(FIREWORKS, body)
    if told is not None:
        raise told
    notes: Notes = {}
    read = _READER.body(body, notes)
    entries = read.data if read.results is None else read.results
    if entries is None:
        raise MalformedResponseError("the body holds neither results nor data", body=body)
    best_first = sorted(entries, key=lambda entry: -entry.relevance_score)
    places = tuple(Ranked(entry.index, entry.relevance_score) for entry in best_first)
    return Reranked(places, read.model, Spent.read(read.usage, notes).usage)


EMBEDDINGS = embeddings(FIREWORKS, _Embedded)

# It changes nothing, but it is billed.
RERANK = Operation(
    FIREWORKS,
    "/rerank",
    _ranked,
    _Ranked,
    ("query", "documents"),
    method="POST",
    is_safe=False,
)
