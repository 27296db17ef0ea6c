"""The knowledge base: what passages are called there, and how answers cite them."""

import uuid
from collections.abc import Sequence

from qaip_sandbox._wire import Json
from qaip_sandbox.documents import NAMESPACE, Chunk, Document
from qaip_sandbox.index import Hit

from .profiles import profile_of
from .switches import DifySwitches

__all__ = ["DATASET", "cited", "file_name", "links", "question_and_answer"]

DATASET = str(uuid.uuid5(NAMESPACE, "dataset"))
"""The id of the only knowledge base."""

_NAME = "Sandbox documents"


def file_name(document: Document) -> str:
    """Return what the service calls a document: the name of its file."""
    return document.path.rpartition("/")[2]


def links(switches: DifySwitches, chunk: Chunk) -> Json:
    """Return the metadata of a document; that of other systems, and of questions, is none."""
    return {"source_url": chunk.url} if switches.knowledge == "documents" else None


def question_and_answer(chunk: Chunk) -> tuple[str, str]:
    """Return a passage as a question and the text that answers it."""
    return f"What is said about {chunk.heading or chunk.document.title}?", chunk.text


def cited(switches: DifySwitches, hits: Sequence[Hit]) -> list[Json]:
    """Return the sources of an answer, best first; none where citations are off."""
    if not switches.citations:
        return []
    shape = _bare if profile_of(switches).bare else _full
    return [shape(switches, place, hit) for place, hit in enumerate(hits, 1)]


def _full(switches: DifySwitches, place: int, hit: Hit) -> Json:
    chunk, external = hit.chunk, switches.knowledge == "external"
    more: Json = {"files": [], "summary": None} if profile_of(switches).lists_files else {}
    return {
        "position": place,
        "dataset_id": DATASET,
        "dataset_name": _NAME,
        "document_id": file_name(chunk.document) if external else chunk.document.id,
        "document_name": file_name(chunk.document),
        "data_source_type": "external" if external else "upload_file",
        "segment_id": None if external else chunk.id,
        "retriever_from": "api",
        "score": hit.score,
        "hit_count": None,
        "word_count": None,
        "segment_position": None,
        "index_node_hash": None,
        "content": _content(switches, chunk),
        "page": None,
        "doc_metadata": links(switches, chunk),
        "title": None,
        **more,
    }


def _bare(switches: DifySwitches, place: int, hit: Hit) -> Json:
    """Return a source as 0.15 tells it: what has no value is left out, the position comes last."""
    full = _full(switches, place, hit)
    of_others = ("document_id", "segment_id") if switches.knowledge == "external" else ()
    left_out = {"position", "doc_metadata", *of_others}
    kept = {k: v for k, v in full.items() if v is not None and k not in left_out}
    score = {"score": 0.0} if switches.economy else {}
    return {**kept, **score, "position": place}


def _content(switches: DifySwitches, chunk: Chunk) -> str:
    if switches.knowledge != "qa":
        return chunk.text
    question, answer = question_and_answer(chunk)
    return f"question:{question} \nanswer:{answer}"
