"""`EmbeddingModel`: the embeddings of one service, as LangChain's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.embeddings import Embeddings
from pydantic import Field

from langchain_qaip._connected import Translated
from langchain_qaip.errors import as_langchain
from qaip_core.embedding import Embedding
from qaip_core.vectors import Embedded

__all__ = ["EmbeddingModel"]


class EmbeddingModel(Translated, Embedding, Embeddings):
    """Turns texts into vectors; see its subclasses.

    Parameters:
        batch_size: texts that one request holds at most, 1 to 2048.
        max_concurrency: requests that an async call has under way at once, at least 1.
    """

    batch_size: int = Field(default=64, ge=1, le=2048)
    max_concurrency: int = Field(default=4, ge=1)

    @property
    def _limits(self) -> tuple[int, int]:
        return self.batch_size, self.max_concurrency

    def embed(self, texts: Sequence[str], **call: Any) -> Embedded:
        """Return the vectors of texts, in their order, with what they have cost.

        Parameters:
            texts: none of them empty; without any, nothing is sent.
            call: parameters of the service, for this call.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        with as_langchain():
            return super().embed(texts, **call)

    async def aembed(self, texts: Sequence[str], **call: Any) -> Embedded:
        """Do what `embed` does, without blocking, `max_concurrency` batches at a time."""
        with as_langchain():
            return await super().aembed(texts, **call)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts, in their order; see `embed`."""
        return self.embed(texts).vectors

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Do what `embed_documents` does, without blocking."""
        return (await self.aembed(texts)).vectors

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one text; see `embed`."""
        (vector,) = self.embed([text], **self._of_query).vectors
        return vector

    async def aembed_query(self, text: str) -> list[float]:
        """Do what `embed_query` does, without blocking."""
        (vector,) = (await self.aembed([text], **self._of_query)).vectors
        return vector
