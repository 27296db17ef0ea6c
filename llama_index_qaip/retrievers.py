"""Retrievers over services that answer with sources."""

from __future__ import annotations

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._sources import QUERY, as_nodes, citing
from llama_index_qaip.errors import InvalidParameterError
from qaip_core.citations import distinct

__all__ = ["CitationRetriever"]


class CitationRetriever(BaseRetriever):
    """Retrieves the sources that a service cites in its answer to the query.

    A node's id is the citation's, its text the passage that the service quotes. Its score is
    the service's own, else None: `SimilarityPostprocessor` drops such nodes at any cutoff.

    Parameters:
        llm: one of this package whose service cites, such as `Qaip`; one call of it for each query.
        similarity_top_k: how many sources to return at most, at least 1; None for all. It cuts
            the service's list, whose length the service decides.
        callback_manager: that of the LLM where it is not given.
        verbose: whether LlamaIndex prints what it does.

    Raises:
        InvalidParameterError: the LLM's service gives no sources, or ``similarity_top_k`` is
            no number of them.
    """

    def __init__(
        self,
        llm: ServiceLLM,
        *,
        similarity_top_k: int | None = None,
        callback_manager: CallbackManager | None = None,
        verbose: bool = False,
    ) -> None:
        top_k = similarity_top_k
        if top_k is not None and (not isinstance(top_k, int) or top_k < 1):
            raise InvalidParameterError(f"similarity_top_k is a whole number from 1, not {top_k!r}")
        self._llm = citing(llm)
        self._top_k = top_k
        super().__init__(callback_manager or llm.callback_manager, verbose=verbose)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._distinct(self._llm.chat(self._messages(query_bundle)))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._distinct(await self._llm.achat(self._messages(query_bundle)))

    def _messages(self, query: QueryBundle) -> list[ChatMessage]:
        return self._llm.messages_for(QUERY, query_str=query.query_str)

    def _distinct(self, answer: ChatResponse) -> list[NodeWithScore]:
        """Return one node for each id: a source that is listed twice is one source."""
        return as_nodes(distinct(answer.additional_kwargs["citations"]))[: self._top_k]
