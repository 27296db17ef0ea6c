"""Retrievers over services that answer with sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._sources import as_messages, as_nodes, citing

__all__ = ["CitationRetriever"]


class CitationRetriever(BaseRetriever):
    """Retrieves the sources that a service cites in its answer to the query.

    A node's id is the citation's, its text the passage that the service quotes. Its score is
    the service's own, else None: `SimilarityPostprocessor` drops such nodes at any cutoff.

    Parameters:
        llm: a `Qaip`, `Perplexity` or `Dify`; one call of it for each query.
        callback_manager: that of the LLM where it is not given.
        verbose: whether LlamaIndex prints what it does.

    Raises:
        InvalidParameterError: the LLM's service gives no sources.
    """

    def __init__(
        self,
        llm: ServiceLLM,
        *,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        self._llm = citing(llm)
        super().__init__(callback_manager or llm.callback_manager, verbose=verbose)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = self._llm.chat(as_messages(self._llm, query_bundle))
        return _distinct(answer.additional_kwargs["citations"])

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        answer = await self._llm.achat(as_messages(self._llm, query_bundle))
        return _distinct(answer.additional_kwargs["citations"])


def _distinct(citations: Iterable[Mapping[str, Any]]) -> list[NodeWithScore]:
    """Return one node for each id: a source that is listed twice is one source."""
    nodes: dict[str, NodeWithScore] = {}
    for node in as_nodes(citations):
        nodes.setdefault(node.node_id, node)
    return list(nodes.values())
