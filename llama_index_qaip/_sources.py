"""What the retriever and the query engine share: who cites, and sources as nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import (
    NodeRelationship,
    NodeWithScore,
    RelatedNodeInfo,
    TextNode,
)

from llama_index_qaip._base import ServiceLLM
from qaip_core.errors import InvalidParameterError

__all__ = ["QUERY", "as_nodes", "citing"]

QUERY = PromptTemplate("{query_str}")
"""A query as it is."""


def citing(llm: ServiceLLM) -> ServiceLLM:
    """Return the LLM if its service gives sources.

    Raises:
        InvalidParameterError: it does not.
    """
    if not isinstance(llm, ServiceLLM) or not llm.endpoint.cites:
        raise InvalidParameterError(
            f"{type(llm).__name__} gives no sources: pass one of the LLMs with as_query_engine()"
        )
    return llm


def as_nodes(citations: Iterable[Mapping[str, Any]]) -> list[NodeWithScore]:
    """Return citations as nodes, in their order."""
    return [_node(citation) for citation in citations]


def _node(citation: Mapping[str, Any]) -> NodeWithScore:
    facts = {k: v for k, v in citation.items() if k not in ("id", "text", "spans", "score")}
    technical = [k for k in facts if k in ("rank", "marker") or k.endswith("_id")]
    source = facts.get("source")
    node = TextNode(
        id_=citation["id"],
        text=citation["text"],
        metadata=facts,
        excluded_embed_metadata_keys=technical,
        excluded_llm_metadata_keys=technical,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=source)} if source else {},
    )
    return NodeWithScore(node=node, score=citation.get("score"))
