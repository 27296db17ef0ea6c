"""Dify's knowledge bases: the passages that a search finds in one.

Vendor page: https://docs.dify.ai/api-reference/datasets/retrieve-chunks-from-a-knowledge-base-test-retrieval
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field, model_validator

from qaip_core.backend import Params, Wire
from qaip_core.backends.dify._service import DIFY
from qaip_core.backends.dify._sources import link
from qaip_core.errors import InvalidParameterError
from qaip_core.operation import Operation
from qaip_core.reading import Notes, Number, Reader, finite, ranked
from qaip_core.types import Citation, source_id

__all__ = [
    "DATASETS",
    "RETRIEVE",
    "DatasetParams",
    "DatasetQuery",
    "DifyCondition",
    "DifyFilter",
    "DifyRerankingModel",
]

DATASETS = replace(
    DIFY,
    key_env=("DIFY_DATASET_API_KEY",),
    key_begins="dataset-",
    docs="the knowledge base's page, API access",
)
"""The same service by the other kind of key: one for an account's knowledge bases."""

LONGEST = 250
"""The most characters of a query."""

Comparison: TypeAlias = Literal[
    "contains", "not contains", "start with", "end with", "is", "is not", "empty", "not empty",
    "in", "not in", "=", "≠", ">", "<", "≥", "≤", "before", "after",
]  # fmt: skip


class DifyCondition(BaseModel, extra="forbid"):
    """A condition on one field of the documents' metadata.

    Parameters:
        name: the field.
        comparison_operator: for texts "contains", "not contains", "start with", "end with",
            "is", "is not", "in", "not in"; for numbers "=", "≠", ">", "<", "≥", "≤"; for times
            (Unix seconds) "before", "after"; "empty", "not empty" for any.
        value: what to compare with; none for the last two.
    """

    name: str
    comparison_operator: Comparison
    value: str | list[str] | int | float | None = None

    @model_validator(mode="after")
    def _compares(self) -> DifyCondition:
        """Refuse what the service would pass over, and search all documents."""
        if self.value is None and self.comparison_operator not in ("empty", "not empty"):
            raise ValueError(f"{self.comparison_operator!r} needs a value to compare with")
        return self


class DifyFilter(BaseModel, extra="forbid"):
    """Conditions on the documents' metadata. Dify 0.15 ignores them.

    Parameters:
        conditions: at least one.
        logical_operator: whether all must hold ("and", the service's default), or one ("or").
    """

    conditions: Annotated[list[DifyCondition], Field(min_length=1)]
    logical_operator: Literal["and", "or"] | None = None


class DifyRerankingModel(BaseModel, extra="forbid"):
    """A reranking model of the workspace.

    Parameters:
        reranking_provider_name: its provider, such as "cohere".
        reranking_model_name: its name there.
    """

    reranking_provider_name: str
    reranking_model_name: str


class DatasetParams(Params):
    """Parameters of a search in a knowledge base.

    The service takes them together or not at all: where none is given, the knowledge base's own
    settings hold; where one is, those that are missing are sent as said here.

    Parameters:
        dataset_id: the knowledge base, a UUID; it stands in the address of its page.
        top_k: how many passages to return at most, at least 1; else 4.
        search_method: how passages are found; "semantic_search" is sent where it is not given.
            "keyword_search" is the only one for economy indexes, gives no scores and knows no
            threshold.
        score_threshold: the least score of a passage, 0 to 1; else none.
        reranking_enable: whether results are ranked anew; else whether a mode, model or weights
            are given.
        reranking_mode: how they are: by a model, or by weights.
        reranking_model: the model for "reranking_model".
        weights: the weights of vectors and keywords for "weighted_score", as the service writes
            them.
        metadata_filtering_conditions: which documents are searched.
        long_query: what is done with a query of more than 250 characters, which the service
            refuses: "refuse" it here (the default) or "cut" it.
    """

    dataset_id: str | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    search_method: (
        Literal["semantic_search", "full_text_search", "hybrid_search", "keyword_search"] | None
    ) = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    reranking_enable: bool | None = None
    reranking_mode: Literal["reranking_model", "weighted_score"] | None = None
    reranking_model: DifyRerankingModel | None = None
    weights: dict[str, Any] | None = None
    metadata_filtering_conditions: DifyFilter | None = None
    long_query: Literal["refuse", "cut"] | None = None


class DatasetQuery(DatasetParams):
    """A search: its parameters, and the query.

    Parameters:
        query: 1 to 250 characters.
    """

    query: Annotated[str, Field(min_length=1)] | None = None


_OURS = frozenset({"dataset_id", "query", "long_query"})


def _encode(params: dict[str, Any]) -> dict[str, Any]:
    query = params["query"]
    if len(query) > LONGEST:
        if params.get("long_query") != "cut":
            raise InvalidParameterError(
                f"{DIFY.title} takes queries up to {LONGEST} characters, and this one has "
                f'{len(query)}: shorten it, or set long_query="cut"'
            )
        query = query[:LONGEST]
    extra = {k: v for k, v in params.items() if k not in DatasetQuery.model_fields}
    given = {k: v for k, v in params.items() if k not in _OURS and k not in extra}
    return {"query": query, **({"retrieval_model": _complete(given)} if given else {}), **extra}


def _complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that have all that the service does not do without."""
    reranks = not {"reranking_mode", "reranking_model", "weights"}.isdisjoint(given)
    return {
        "search_method": "semantic_search",
        "top_k": 4,
        "reranking_enable": reranks,
        "score_threshold_enabled": "score_threshold" in given,
        **given,
    }


class _Document(Wire):
    id: str | None = None
    name: str | None = None
    data_source_type: str | None = None
    doc_type: str | None = None
    doc_metadata: dict[str, Any] | None = None


class _Segment(Wire):
    id: str | None = None
    position: int | None = None
    document_id: str | None = None
    content: str | None = None
    answer: str | None = None
    document: _Document | None = None


class _Child(Wire):
    id: str | None = None
    content: str | None = None
    position: int | None = None
    score: Number | None = None


class _Record(Wire):
    segment: _Segment | None = None
    child_chunks: list[_Child | None] | None = None
    score: Number | None = None
    summary: str | None = None

    def citation(self, rank: int) -> Citation:
        segment = self.segment or _Segment()
        document = segment.document or _Document()
        url = link(document.doc_metadata or {})
        text = "\n".join(filter(None, (segment.content, segment.answer))) or None
        more = {
            "document_id": segment.document_id or document.id,
            "source_type": document.data_source_type,
            "doc_type": document.doc_type,
            "doc_metadata": finite(document.doc_metadata),
            "segment_position": segment.position,
            "child_chunks": [c.model_dump(exclude_none=True) for c in self.child_chunks or () if c],
            "summary": self.summary,
        }
        return Citation(
            id=segment.id or source_id(url or document.name, text, None),
            url=url,
            title=document.name,
            text=text,
            score=self.score,
            rank=rank,
            metadata={k: v for k, v in more.items() if v not in (None, [], {})},
        )


class _Found(Wire):
    records: list[_Record | None]


_READER: Reader[_Found] = Reader(_Found, ("", "records"))


def _decode(body: Any) -> Sequence[Citation]:
    notes: Notes = {}
    records = _READER.body(body, notes).records
    return tuple(record.citation(rank) for rank, record in ranked(records, notes, "records"))


RETRIEVE = Operation(
    DATASETS,
    "/datasets/{dataset_id}/retrieve",
    _decode,
    DatasetQuery,
    ("dataset_id", "query"),
    method="POST",
    encode=_encode,
)
