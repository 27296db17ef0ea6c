"""Every operation that answers with data: how it is asked, and a right answer of it.

The fault suite runs over all of them; an operation that is missing here fails a test.
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import qaip_core.backends
from qaip_core.backends import fireworks
from qaip_core.backends.dify import app, conversations, datasets, files
from qaip_core.backends.fireworks import vectors as fireworks_vectors
from qaip_core.backends.pais import listing
from qaip_core.backends.pais import search as pais_search
from qaip_core.backends.pais import vectors as pais_vectors
from qaip_core.backends.perplexity import agent
from qaip_core.backends.perplexity import models as perplexity_models
from qaip_core.backends.perplexity import search as perplexity_search
from qaip_core.backends.qaip import extract, library, stored
from qaip_core.backends.qaip import search as qaip_search
from qaip_core.operation import Operation
from support.faults.speech import PERPLEXITY_AGENT

__all__ = ["ASKED", "UUID", "Asked", "declared"]

Json = Any
UUID = "3f0a8c52-6a1e-4c2b-9d47-8b1f0e5a7c31"


@dataclass(frozen=True)
class Asked:
    """One operation.

    body: a right answer, as JSON; None where it answers with nothing.
    values: what it cannot do without.
    name: of two that share their path, what tells them apart.
    """

    operation: Operation[Any]
    body: Json
    values: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __repr__(self) -> str:
        operation = self.operation
        return f"{operation.backend.name} {operation.method} {operation.path}{self.name}"


def _vectors(model: str | None) -> Json:
    entries = [{"object": "embedding", "index": 0, "embedding": [0.5, -0.25]}]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    return {"object": "list", "data": entries, "model": model, "usage": usage}


# Qaip

_PASSAGE: Json = {
    "id": "c-1",
    "url": "https://tea.example/leaf",
    "title": "Leaf",
    "text": "Leaves are dried.",
    "page_number": 2,
    "file_type": "html",
    "keywords": ["tea"],
}
_QUESTION: Json = {
    "id": "u-1",
    "role": "user",
    "content": "How?",
    "parent_id": None,
    "created_at": "2026-01-02T03:04:05Z",
    "filter_snapshot": {"tags": ["tea"]},
}
_ANSWER: Json = {
    "id": "a-1",
    "role": "assistant",
    "content": "Dried.",
    "parent_id": "u-1",
    "created_at": "2026-01-02T03:04:06Z",
    "citations": [_PASSAGE],
    "assistant_metadata": {"grounding": True},
}
_STORED: Json = {
    "id": UUID,
    "title": "Tea",
    "current_leaf_id": "a-1",
    "principal_id": "p-1",
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:06Z",
}
_TALK = {"conversation_id": UUID}
_QAIP = [
    Asked(stored.LIST, {"conversations": [_STORED]}),
    Asked(
        stored.READ,
        {**_STORED, "active_path": [_QUESTION, _ANSWER], "tree": [_QUESTION, _ANSWER]},
        _TALK,
    ),
    Asked(stored.CHANGE, None, {**_TALK, "title": "Tea"}),
    Asked(stored.CHANGE_OF_PRINCIPAL, None, {**_TALK, "title": "Tea", "principal_id": "p-1"}),
    Asked(stored.DELETE, None, _TALK),
    Asked(extract.EXTRACT, {"result": {"leaf": "dried", "pots": 2}}, {"object_schema": {}}),
    Asked(library.TAGS, {"tags": [{"id": "t-1", "name": "tea", "description": "All teas"}]}),
    Asked(library.CONTENT, _PASSAGE, {"content_id": UUID}),
    Asked(qaip_search.SEARCH, {"results": [_PASSAGE]}, {"query": "q"}),
    Asked(qaip_search.SEARCH_AS_SENT, {"results": [_PASSAGE]}, {"query": "q"}, " as sent"),
]

# Fireworks

_FIREWORKS = [
    Asked(fireworks.MODELS, {"object": "list", "data": [{"id": "m-1", "context_length": 4096}]}),
    Asked(fireworks_vectors.EMBEDDINGS, _vectors("m"), {"model": "m", "input": ["hello"]}),
    Asked(
        fireworks_vectors.RERANK,
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        {"query": "q", "documents": ["hello"]},
    ),
]

# PAIS

_BASE = {"knowledge_base_id": "k-1"}
_INDEX = {**_BASE, "index_id": "i-1"}


def _entries(**more: Any) -> Json:
    entry = {"id": "e-1", "name": "Teas", "description": "All of them", **more}
    return {"object": "list", "data": [entry], "has_more": False, "last_id": "e-1"}


_PAIS = [
    Asked(
        listing.MODELS,
        {"data": [{"id": "m-1", "created": 1, "owned_by": "me", "model_type": "EMBEDDINGS"}]},
    ),
    Asked(listing.AGENTS, _entries(model="m-1")),
    Asked(listing.KNOWLEDGE_BASES, _entries()),
    Asked(listing.DATA_SOURCES, _entries(type="S3")),
    Asked(listing.INDEXES, _entries(status="READY"), _BASE),
    Asked(listing.DOCUMENTS, _entries(origin_name="leaf.pdf", state="INDEXED"), _INDEX),
    Asked(listing.INDEXINGS, _entries(state="DONE"), _INDEX),
    Asked(listing.ACTIVE_INDEXING, {"id": "r-1", "status": "RUNNING", "done": 0.5}, _INDEX),
    Asked(
        pais_search.SEARCH,
        {
            "chunks": [
                {
                    "text": "Leaves are dried.",
                    "document_id": "d-1",
                    "score": 0.5,
                    "origin_name": "leaf.pdf",
                    "origin_ref": "https://tea.example/leaf.pdf",
                    "media_type": "application/pdf",
                }
            ]
        },
        {**_INDEX, "text": "q"},
    ),
    Asked(pais_vectors.EMBEDDINGS, _vectors("m"), {"model": "m", "input": ["hello"]}),
]

# Perplexity

_RUN = PERPLEXITY_AGENT.body("tea [1]")
_FOUND: Json = {
    "id": "s-1",
    "server_time": None,
    "results": [
        {
            "title": "Leaf",
            "url": "https://tea.example/leaf",
            "snippet": "Leaves are dried.",
            "date": "2026-01-02",
            "last_updated": None,
        }
    ],
}
_PRICED: Json = {
    "id": "perplexity/sonar",
    "object": "model",
    "created": 0,
    "owned_by": "perplexity",
    "pricing": {"input": 1.0, "output": 1.0, "unit": "usd_per_million_tokens"},
}
_PERPLEXITY = [
    Asked(
        agent.START,
        {**_RUN, "status": "queued", "output": [], "usage": None},
        {"input": "q", "model": "perplexity/sonar", "web_search": False},
    ),
    Asked(agent.RETRIEVE, _RUN, {"response_id": "resp_1"}),
    Asked(
        agent.CANCEL,
        {"response_id": "resp_1", "status": "cancelling"},
        {"response_id": "resp_1"},
    ),
    Asked(perplexity_models.MODELS, {"object": "list", "data": [_PRICED]}),
    Asked(perplexity_search.SEARCH, _FOUND, {"query": "q"}),
]

# Dify

_FORM: Json = [
    {"text-input": {"variable": "pot", "label": "Pot", "required": True, "max_length": 48}},
    {"select": {"variable": "leaf", "label": "Leaf", "options": ["green", "black"]}},
]
_TALKED: Json = {
    "id": UUID,
    "name": "Tea",
    "inputs": {"pot": "small"},
    "status": "normal",
    "created_at": 1760000000,
    "updated_at": 1760000001,
}
_SAID: Json = {
    "id": "m-1",
    "conversation_id": UUID,
    "query": "How?",
    "answer": "Dried.",
    "feedback": {"rating": "like"},
    "retriever_resources": [{"position": 1, "segment_id": "s-1", "content": "Leaves are dried."}],
    "created_at": 1760000000,
}
_RECORD: Json = {
    "segment": {
        "id": "s-1",
        "position": 3,
        "document_id": "d-1",
        "content": "Leaves are dried.",
        "answer": None,
        "document": {"id": "d-1", "name": "leaf.txt", "doc_metadata": {"url": "https://t.example"}},
    },
    "child_chunks": [{"id": "x-1", "content": "Leaves", "position": 1, "score": 0.25}],
    "score": 0.5,
}
_DIFY = [
    Asked(app.INFO, {"name": "Teas", "description": "", "mode": "chat", "tags": ["tea"]}),
    Asked(
        app.PARAMETERS,
        {
            "opening_statement": "Tea?",
            "suggested_questions": ["Which pot?"],
            "user_input_form": _FORM,
            "retriever_resource": {"enabled": True},
        },
    ),
    Asked(app.FEEDBACK, None, {"message_id": "m-1", "rating": "like"}),
    Asked(conversations.CONVERSATIONS, {"limit": 20, "has_more": False, "data": [_TALKED]}),
    Asked(conversations.MESSAGES, {"limit": 20, "has_more": True, "data": [_SAID]}, _TALK),
    Asked(conversations.RENAME, _TALKED, {**_TALK, "name": "Tea"}),
    Asked(
        datasets.RETRIEVE,
        {"query": {"content": "q"}, "records": [_RECORD]},
        {"dataset_id": UUID, "query": "q"},
    ),
    Asked(
        files.UPLOAD,
        {"id": UUID, "name": "leaf.png", "size": 4, "extension": "png"},
        {"name": "leaf.png", "content": "dGVhLg=="},
    ),
]

ASKED: list[Asked] = [*_QAIP, *_FIREWORKS, *_PAIS, *_PERPLEXITY, *_DIFY]


def declared() -> Iterator[Operation[Any]]:
    """Every operation that a backend declares, once."""
    seen: set[int] = set()
    for module in pkgutil.walk_packages(qaip_core.backends.__path__, "qaip_core.backends."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Operation) and id(value) not in seen:
                seen.add(id(value))
                yield value
