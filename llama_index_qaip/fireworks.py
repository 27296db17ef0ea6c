"""What Fireworks offers beside its LLM: embeddings and a reranker."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from llama_index_instrumentation import get_dispatcher
from pydantic import ConfigDict, Field

from llama_index_qaip._embedding import EmbeddingModel
from qaip_core.backends.fireworks.vectors import (
    EMBEDDINGS,
    RERANK,
    FireworksEmbeddingParams,
    FireworksRerankParams,
)
from qaip_core.embedding import Ranking
from qaip_core.errors import InvalidParameterError
from qaip_core.vectors import Reranked

__all__ = ["FireworksEmbedding", "FireworksRerank"]

dispatcher = get_dispatcher(__name__)


class FireworksEmbedding(FireworksEmbeddingParams, EmbeddingModel):
    """Turns texts into vectors with a model on Fireworks.

    Service page: https://docs.fireworks.ai/guides/querying-embeddings-models

    Parameters:
        api_key: the key; read from ``FIREWORKS_API_KEY`` where it is not given.
        base_url: where the service is; ``FIREWORKS_API_BASE``, else the vendor's address.
        model: such as "nomic-ai/nomic-embed-text-v1.5"; required.
        embed_batch_size: texts that one request holds at most, 1 to 2048.
        num_workers: requests that an async call has under way at once.
        query_prompt_template: what stands around a query, such as "search_query: {text}";
            ``prompt_template``, if it is not given.

    The others are those of `qaip_core.backends.fireworks.vectors.FireworksEmbeddingParams`.
    `embed` and `aembed` return the token counts, too.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    operation = EMBEDDINGS

    query_prompt_template: str | None = None

    @property
    def _of_query(self) -> Mapping[str, Any]:
        return {"prompt_template": self.query_prompt_template}


class FireworksRerank(FireworksRerankParams, Ranking, BaseNodePostprocessor):
    """Puts retrieved nodes into the order in which they fit the query.

    The nodes that come back have the service's score in place of the retriever's; those that
    came in are not changed. What is sent of a node is what its embedding is made of (its text,
    and the metadata that are not excluded there).

    `rank` and `arank` take bare texts, and return their places with the token counts.

    Service page: https://docs.fireworks.ai/api-reference/rerank-documents

    Parameters:
        model: such as "fireworks/qwen3-reranker-8b"; the service need not be told one.
        top_n: how many of the best are returned, at least 1; all if not given.
        api_key: the key; read from ``FIREWORKS_API_KEY`` where it is not given.
        base_url: where the service is; ``FIREWORKS_API_BASE``, else the vendor's address.
        callback_manager: gets LlamaIndex's events.

    The others are those of `qaip_core.backends.fireworks.vectors.FireworksRerankParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,  # who imports twenty classes uses one of them
    )

    operation = RERANK

    callback_manager: CallbackManager = Field(
        default_factory=CallbackManager, exclude=True, repr=False
    )

    @classmethod
    def class_name(cls) -> str:
        """Return the key that serialized objects are told apart by."""
        return cls.__name__

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _text_of(query_bundle)
        with self._told(query, nodes) as ranked:
            ranked.extend(_scored(nodes, self.rank(query, _texts(nodes))))
        return ranked

    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        query = _text_of(query_bundle)
        with self._told(query, nodes) as ranked:
            ranked.extend(_scored(nodes, await self.arank(query, _texts(nodes))))
        return ranked

    @contextmanager
    def _told(self, query: str, nodes: list[NodeWithScore]) -> Iterator[list[NodeWithScore]]:
        """Tell LlamaIndex's listeners what is ranked; take the nodes that come of it."""
        ranked: list[NodeWithScore] = []
        count = len(nodes) if self.top_n is None else self.top_n
        model = self.model or self.operation.backend.name
        said: dict[str, Any] = {
            EventPayload.NODES: nodes,
            EventPayload.MODEL_NAME: model,
            EventPayload.QUERY_STR: query,
            EventPayload.TOP_K: count,
        }
        dispatcher.event(ReRankStartEvent(query=query, nodes=nodes, top_n=count, model_name=model))
        with self.callback_manager.event(CBEventType.RERANKING, payload=said) as event:
            yield ranked
            event.on_end(payload={EventPayload.NODES: ranked})
        dispatcher.event(ReRankEndEvent(nodes=ranked))


def _text_of(query: QueryBundle | None) -> str:
    if query is None:
        raise InvalidParameterError("a ranking needs a query: pass query_str=... or query_bundle")
    return query.query_str


def _texts(nodes: Sequence[NodeWithScore]) -> list[str]:
    return [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]


def _scored(nodes: Sequence[NodeWithScore], ranked: Reranked) -> list[NodeWithScore]:
    return [NodeWithScore(node=nodes[one.index].node, score=one.score) for one in ranked.places]
