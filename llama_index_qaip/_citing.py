"""`CitingLLM`: an LLM whose answers come with sources."""

from __future__ import annotations

from llama_index.core.callbacks import CallbackManager
from llama_index.core.prompts import BasePromptTemplate

from llama_index_qaip._structured import ObjectLLM
from llama_index_qaip.query_engines import CitedQueryEngine
from llama_index_qaip.retrievers import CitationRetriever

__all__ = ["CitingLLM"]


class CitingLLM(ObjectLLM):
    """An LLM whose answers come with sources."""

    def as_retriever(self, *, similarity_top_k: int | None = None) -> CitationRetriever:
        """Return a retriever of the sources that the service cites in its answers.

        Parameters:
            similarity_top_k: how many sources to return at most, at least 1; None for all.

        Raises:
            InvalidParameterError: ``similarity_top_k`` is no such number.
        """
        return CitationRetriever(self, similarity_top_k=similarity_top_k)

    def as_query_engine(
        self,
        *,
        streaming: bool = False,
        query_template: BasePromptTemplate | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> CitedQueryEngine:
        """Return a query engine that answers with sources, in one call.

        Parameters:
            streaming: whether its answers can be read as they grow.
            query_template: how the query is asked, with the variable ``query_str``.
            callback_manager: that of this LLM where it is not given.

        Raises:
            InvalidParameterError: the template has no place for the query.
        """
        return CitedQueryEngine(
            self,
            streaming=streaming,
            query_template=query_template,
            callback_manager=callback_manager,
        )
