"""The search of the knowledge base."""

import uuid
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import Chunk
from qaip_sandbox.index import Filter, Hit
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces, words

from .bodies import Argument, fields_of, json_body
from .conditions import MetadataFilteringCondition
from .knowledge import DATASET, file_name, links, question_and_answer
from .profiles import profile_of
from .refusals import invalid, nowhere, refusal, told
from .switches import DifySwitches

__all__ = ["retrieve"]

_LONGEST = 250
_TOP = 4
_KEYWORDS = "keyword_search"


# The models are named as the service's own, because the texts of their errors name them.
class RetrievalMethod(Enum):
    """How the knowledge base can be searched."""

    SEMANTIC = "semantic_search"
    FULL_TEXT = "full_text_search"
    HYBRID = "hybrid_search"
    KEYWORD = "keyword_search"


class RetrievalModel(BaseModel):
    """How the newer releases are told to search."""

    search_method: RetrievalMethod
    reranking_enable: bool
    reranking_model: dict[str, Any] | None = None
    reranking_mode: str | None = None
    top_k: int
    score_threshold_enabled: bool
    score_threshold: float | None = None
    weights: dict[str, Any] | None = None
    metadata_filtering_conditions: MetadataFilteringCondition | None = None


class HitTestingPayload(BaseModel):
    """What the newer releases take as a search."""

    query: str = Field(default="", max_length=_LONGEST)
    retrieval_model: RetrievalModel | None = None
    external_retrieval_model: dict[str, Any] | None = None
    attachment_ids: list[str] | None = None


_ARGUMENTS = (
    Argument("query", str),
    Argument("retrieval_model", dict),
    Argument("external_retrieval_model", dict),
)


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a search asks for; `scores` is off where the method has none."""

    limit: int
    floor: float
    allowed: Filter
    scores: bool


async def retrieve(call: Call) -> Response:
    """Search the knowledge base."""
    switches = call.switched(DifySwitches)
    try:
        wanted = str(uuid.UUID(call.parameters["dataset_id"]))
    except ValueError:
        return nowhere(switches)  # the route takes nothing but ids
    if wanted != DATASET:
        raise refusal(switches, 404, "not_found", "Dataset not found.")
    fields = fields_of(switches, json_body(call), _ARGUMENTS, HitTestingPayload)
    query = _query(switches, fields)
    asked: Json = {"content": query}
    if not call.library.documents and profile_of(switches).restful:
        asked["tsne_position"] = {"x": 0, "y": 0}
    settings = _settings(call, switches, fields["retrieval_model"] or {})
    records = [_record(switches, hit, settings) for hit in _hits(call, query, settings)]
    return told(switches, {"query": asked, "records": records})


def _hits(call: Call, query: str, settings: _Settings | None) -> list[Hit]:
    if settings is None or not settings.limit:
        return []
    found = call.library.index.search(query, settings.limit, settings.allowed)
    return [hit for hit in found if hit.score >= settings.floor]


def _query(switches: DifySwitches, fields: dict[str, Json]) -> str:
    query = fields["query"] or ""
    if profile_of(switches).typed and not query:
        raise invalid(switches, "Query or attachment_ids is required")
    if not 0 < len(query) <= _LONGEST:
        raise invalid(switches, f"Query is required and cannot exceed {_LONGEST} characters")
    return query


def _settings(call: Call, switches: DifySwitches, model: dict[str, Json]) -> _Settings | None:
    """Return what a search asks for; None where it can find nothing."""
    if switches.knowledge == "external":
        if not model:
            raise refusal(switches, 500, "internal_server_error", "'reranking_enable'")
        return None  # another system's passages are only found through an app
    for key in ("score_threshold_enabled", "reranking_enable"):
        if model and key not in model:
            raise refusal(switches, 500, "internal_server_error", f"'{key}'")
    method = model.get("search_method", _KEYWORDS if switches.economy else "semantic_search")
    method = method.value if isinstance(method, RetrievalMethod) else method
    if method not in [known.value for known in RetrievalMethod]:
        return None
    scores = method != _KEYWORDS
    floor = _floor(switches, model) if scores else 0.0
    return _Settings(_limit(call, switches, model), floor, _allowed(switches, model), scores)


def _limit(call: Call, switches: DifySwitches, model: dict[str, Json]) -> int:
    limit = model.get("top_k", _TOP)
    if limit is None:
        return len(call.library.index.chunks)
    if not isinstance(limit, int):
        message = "slice indices must be integers or None or have an __index__ method"
        raise invalid(switches, message)
    return max(limit, 0)


def _floor(switches: DifySwitches, model: dict[str, Json]) -> float:
    floor = (model.get("score_threshold") or 0.0) if model.get("score_threshold_enabled") else 0.0
    if not isinstance(floor, int | float):
        message = f"'>=' not supported between instances of 'float' and '{type(floor).__name__}'"
        raise refusal(switches, 500, "internal_server_error", message)
    return floor


def _allowed(switches: DifySwitches, model: dict[str, Json]) -> Filter:
    wanted = model.get("metadata_filtering_conditions")
    if not wanted or not profile_of(switches).filters:
        return lambda _: True
    try:
        conditions = MetadataFilteringCondition.model_validate(wanted)
    except ValidationError as error:
        raise invalid(switches, str(error)) from None
    return lambda chunk: conditions.holds(_metadata(switches, chunk))


def _metadata(switches: DifySwitches, chunk: Chunk) -> dict[str, Json]:
    """Return the fields that conditions can name: the links and the service's built-in ones."""
    return (links(switches, chunk) or {}) | {
        "document_name": file_name(chunk.document),
        "uploader": "Sandbox",
        "upload_date": chunk.document.modified,
        "last_update_date": chunk.document.modified,
        "source": "file_upload",
    }


def _record(switches: DifySwitches, hit: Hit, settings: _Settings | None) -> Json:
    newer = profile_of(switches).lists_files
    more: Json = {"files": [], "summary": None} if newer else {}
    return {
        "segment": _segment(switches, hit.chunk),
        "child_chunks": [] if newer else None,
        "score": hit.score if settings and settings.scores else None,
        "tsne_position": None,
        **more,
    }


def _segment(switches: DifySwitches, chunk: Chunk) -> Json:
    content, answer = chunk.text, None
    if switches.knowledge == "qa":
        content, answer = question_and_answer(chunk)
    modified = chunk.document.modified
    profile = profile_of(switches)
    return {
        "id": chunk.id,
        "position": chunk.position,
        "document_id": chunk.document.id,
        "content": content,
        **({"sign_content": content} if profile.links else {}),
        "answer": answer,
        "word_count": len(content),
        "tokens": len(pieces(content)),
        "keywords": sorted(set(words(chunk.heading or chunk.document.title))),
        "index_node_id": chunk.id,
        "index_node_hash": chunk.id.replace("-", ""),
        "hit_count": 0,
        "enabled": True,
        "disabled_at": None,
        "disabled_by": None,
        "status": "completed",
        "created_by": DATASET,
        "created_at": modified,
        "indexing_at": None,
        "completed_at": modified,
        "error": None,
        "stopped_at": None,
        "document": {
            "id": chunk.document.id,
            "data_source_type": "upload_file",
            "name": file_name(chunk.document),
            "doc_type": None,
            **({"doc_metadata": links(switches, chunk)} if profile.links else {}),
        },
    }
