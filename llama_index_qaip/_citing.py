"""`CitingLLM`: an LLM whose answers come with sources."""

from __future__ import annotations

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip.query_engines import CitedQueryEngine
from llama_index_qaip.retrievers import CitationRetriever

__all__ = ["CitingLLM"]


class CitingLLM(ServiceLLM):
    """An LLM whose answers come with sources."""

    def as_retriever(self) -> CitationRetriever:
        """Return a retriever of the sources that the service cites in its answers."""
        return CitationRetriever(self)

    def as_query_engine(self, *, streaming: bool = False) -> CitedQueryEngine:
        """Return a query engine that answers with sources, in one call.

        Parameters:
            streaming: whether its answers can be read as they grow.
        """
        return CitedQueryEngine(self, streaming=streaming)
