"""`EmbeddingModel`: the embeddings of one service, as LlamaIndex's."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager
from pydantic import ConfigDict, Field

from qaip_core.embedding import Embedding
from qaip_core.errors import InvalidParameterError

__all__ = ["EmbeddingModel"]


class EmbeddingModel(Embedding, BaseEmbedding):
    """Turns texts into vectors; see its subclasses.

    Parameters:
        model_name: LlamaIndex's name for ``model``.
        embed_batch_size: texts that one request holds at most, 1 to 2048.
        num_workers: requests that an async call has under way at once, at least 1; LlamaIndex's
            own `aget_text_embedding_batch` takes 1 for no limit.
        callback_manager: gets LlamaIndex's events.
        embeddings_cache, rate_limiter: LlamaIndex's own.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,  # who imports twenty classes uses one of them
    )

    model: str | None = None
    embed_batch_size: int = Field(default=64, ge=1, le=2048)
    num_workers: int | None = Field(default=4, ge=1)
    callback_manager: CallbackManager = Field(
        default_factory=CallbackManager, exclude=True, repr=False
    )

    def __init__(self, **data: Any) -> None:
        unnamed = None, self.operation.backend.name  # what `model_name` is without a model
        names = {data.get(name) for name in ("model", "model_name")}.difference(unnamed)
        if len(names) > 1:
            raise InvalidParameterError("model_name is a synonym of model: pass one of them")
        for name in names:
            data["model"] = name
        super().__init__(**data)
        self.model_name = self.model or self.operation.backend.name

    @property
    def _limits(self) -> tuple[int, int]:
        return self.embed_batch_size, self.num_workers or 1

    @classmethod
    def class_name(cls) -> str:
        """Return the key that serialized objects are told apart by."""
        return cls.__name__

    def _get_query_embedding(self, query: str) -> list[float]:
        (vector,) = self.embed([query], **self._of_query).vectors
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        (vector,) = (await self.aembed([query], **self._of_query)).vectors
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        (vector,) = self._get_text_embeddings([text])
        return vector

    async def _aget_text_embedding(self, text: str) -> list[float]:
        (vector,) = await self._aget_text_embeddings([text])
        return vector

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self.embed(texts).vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return (await self.aembed(texts)).vectors
