"""Knowledge bases of PAIS, their indexes, and the search that retrieves from them."""

import mimetypes

from starlette.responses import Response

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import Document
from qaip_sandbox.index import Hit
from qaip_sandbox.service import Call

from .bases import Base, bases
from .errors import refused
from .listing import page, said, when
from .models import EMBEDDINGS
from .request import SearchQuery, parse
from .switches import PAISSwitches

__all__ = [
    "data_sources",
    "documents",
    "index",
    "indexes",
    "indexings",
    "knowledge_base",
    "knowledge_bases",
    "no_indexing",
    "origin",
    "search",
]

_OLD_REFERENCE, _NEW_REFERENCE = 256, 2048
_CHUNK_TOKENS = 200


def origin(document: Document, longest: int = _NEW_REFERENCE) -> Json:
    """Return where a document comes from; an address that is too long is left out."""
    found = {
        "origin_name": document.path.rpartition("/")[2],
        "origin_ref": document.url if len(document.url) <= longest else None,
        "media_type": mimetypes.guess_type(document.path)[0] or "text/plain",
    }
    return {key: value for key, value in found.items() if value}


async def knowledge_bases(call: Call) -> Response:
    """Answer with the knowledge bases."""
    return page(call, [_described(base) for base in bases(call.library)])


async def knowledge_base(call: Call) -> Response:
    """Answer with one knowledge base."""
    return said(_described(_base(call)))


async def indexes(call: Call) -> Response:
    """Answer with the one index of a knowledge base."""
    return page(call, [_index(_base(call))])


async def index(call: Call) -> Response:
    """Answer with an index."""
    return said(_index(_indexed(call)))


async def documents(call: Call) -> Response:
    """Answer with the documents of an index."""
    return page(call, [_document(document) for document in _indexed(call).documents])


async def indexings(call: Call) -> Response:
    """Answer with the one time that an index was filled."""
    base = _indexed(call)
    done = {"id": base.index_id, "object": "indexing", "index_id": base.index_id, "state": "DONE"}
    return page(call, [{**done, "finished_at": when(base.modified)}])


async def no_indexing(call: Call) -> Response:
    """Answer that an index is not being filled."""
    _indexed(call)
    raise refused(call, 404, "No active indexing.")


async def data_sources(call: Call) -> Response:
    """Answer with where the documents come from."""
    source = {
        "id": bases(call.library)[0].id,
        "object": "data_source",
        "name": "sandbox",
        "type": "LOCAL_FILES",
    }
    return page(call, [source])


async def search(call: Call) -> Response:
    """Answer with the chunks of an index that a text finds."""
    base = _indexed(call)
    request = parse(SearchQuery, call)
    hits = call.library.index.search(request.text, request.top_k, base.allows)
    cutoff = request.similarity_cutoff
    kept = [hit for hit in hits if cutoff is None or hit.score >= cutoff]
    await call.pace.wait(1)
    switches = call.switched(PAISSwitches)
    found = [_found(hit, number, switches) for number, hit in enumerate(kept, 1)]
    return said(found if switches.search == "list" else {switches.search: found})


def _base(call: Call) -> Base:
    for base in bases(call.library):
        if base.id == call.parameters["kb"]:
            return base
    raise refused(call, 404, "Invalid knowledge base or index ID.")


def _indexed(call: Call) -> Base:
    base = _base(call)
    if base.index_id != call.parameters["ix"]:
        raise refused(call, 404, "Invalid knowledge base or index ID.")
    return base


def _described(base: Base) -> Json:
    return {
        "id": base.id,
        "name": base.name,
        "description": f"{len(base.documents)} documents of the sandbox",
        "data_origin_type": "DATA_SOURCES",
        "object": "knowledge_base",
        "created_at": when(base.modified),
        "last_updated_at": when(base.modified),
        "next_index_refresh_at": None,
        "status": "AVAILABLE",
        "num_linked_data_sources": 1,
        "num_linked_agents": 1,
    }


def _index(base: Base) -> Json:
    return {
        "id": base.index_id,
        "name": base.name,
        "description": "",
        "embeddings_model_endpoint": EMBEDDINGS,
        "text_splitting": "SENTENCE",
        "chunk_size": _CHUNK_TOKENS,
        "chunk_overlap": 0,
        "hybrid_search": False,
        "text_search_config": None,
        "knowledge_base_id": base.id,
        "object": "index",
        "created_at": when(base.modified),
        "last_indexed_at": when(base.modified),
        "last_indexed_by_id": None,
        "num_documents": len(base.documents),
        "status": "AVAILABLE",
        "status_errors": [],
    }


def _document(document: Document) -> Json:
    return {
        "id": document.id,
        "object": "document",
        "name": document.title,
        **origin(document),
        "created_at": when(document.modified),
        "status": "INDEXED",
    }


def _found(hit: Hit, number: int, switches: PAISSwitches) -> Json:
    old = switches.profile == "9.0"
    return {
        **origin(hit.chunk.document, _OLD_REFERENCE if old else _NEW_REFERENCE),
        **({} if old else {"retrieval_id": f"ref{number:02}"}),
        "document_id": hit.chunk.document.id,
        "score": hit.score,
        "text": hit.chunk.text,
    }
