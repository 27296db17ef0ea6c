"""What Fireworks offers beside its chat and text completions: embeddings and a reranker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document

from langchain_qaip._connected import Translated
from langchain_qaip._embedding import EmbeddingModel
from langchain_qaip.errors import as_langchain
from qaip_core.backends.fireworks.vectors import (
    EMBEDDINGS,
    RERANK,
    FireworksEmbeddingParams,
    FireworksRerankParams,
)
from qaip_core.embedding import Ranking
from qaip_core.vectors import Reranked

__all__ = ["FireworksEmbeddings", "FireworksRerank"]


class FireworksEmbeddings(FireworksEmbeddingParams, EmbeddingModel):
    """Turns texts into vectors with a model on Fireworks.

    Parameters:
        model: such as "nomic-ai/nomic-embed-text-v1.5"; required.
        api_key: or the environment variable FIREWORKS_API_KEY.
        base_url: or FIREWORKS_API_BASE, with or without /v1.
        batch_size: texts that one request holds at most, 1 to 2048.
        max_concurrency: requests that an async call has under way at once.
        query_prompt_template: what stands around a query, such as "search_query: {text}";
            ``prompt_template``, if it is not given.

    The others are those of `FireworksEmbeddingParams`. `embed` and `aembed` return the token
    counts, too.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.fireworks.ai/guides/querying-embeddings-models
    """

    operation = EMBEDDINGS

    query_prompt_template: str | None = None

    @property
    def _of_query(self) -> Mapping[str, Any]:
        return {"prompt_template": self.query_prompt_template}


class FireworksRerank(FireworksRerankParams, Translated, Ranking, BaseDocumentCompressor):
    """Puts retrieved Documents into the order in which they fit the query.

    For LangChain's ``ContextualCompressionRetriever``, or by itself. The Documents that come
    back are copies, with the service's score in ``metadata["relevance_score"]``.

    `rank` and `arank` take bare texts, and return their places with the token counts.

    Parameters:
        model: such as "fireworks/qwen3-reranker-8b"; the service need not be told one.
        top_n: how many of the best are returned, at least 1; all if not given.
        api_key: or the environment variable FIREWORKS_API_KEY.
        base_url: or FIREWORKS_API_BASE, with or without /v1.

    The others are those of `FireworksRerankParams`.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.fireworks.ai/api-reference/rerank-documents
    """

    operation = RERANK

    def rank(self, query: str, documents: Sequence[str], **call: Any) -> Reranked:
        """Return the places of texts, best first, with their scores and what they have cost.

        Parameters:
            query: what they are to fit.
            documents: the texts, in a list; without any, nothing is sent.
            call: parameters of the service, for this call.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        with as_langchain():
            return super().rank(query, documents, **call)

    async def arank(self, query: str, documents: Sequence[str], **call: Any) -> Reranked:
        """Do what `rank` does, without blocking."""
        with as_langchain():
            return await super().arank(query, documents, **call)

    def compress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 -- LangChain's
    ) -> Sequence[Document]:
        """Return the documents that fit the query, best first.

        Parameters:
            documents: without any, nothing is sent.
            query: what they are to fit.
            callbacks: not used: a compressor is no run of its own.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        return _scored(documents, self.rank(query, _texts(documents)))

    async def acompress_documents(
        self,
        documents: Sequence[Document],
        query: str,
        callbacks: Callbacks | None = None,  # noqa: ARG002 -- LangChain's
    ) -> Sequence[Document]:
        """Do what `compress_documents` does, without blocking."""
        return _scored(documents, await self.arank(query, _texts(documents)))


def _texts(documents: Sequence[Document]) -> list[str]:
    return [document.page_content for document in documents]


def _scored(documents: Sequence[Document], ranked: Reranked) -> list[Document]:
    found = ((documents[one.index], one.score) for one in ranked.places)
    return [
        document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
        for document, score in found
    ]
