"""Retrievers: the sources of an answer as Documents."""

from __future__ import annotations

from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, ValidationError, field_validator

from langchain_qaip._messages import documents
from langchain_qaip.errors import InvalidParameterError, as_langchain
from qaip_core.backend import invalid, refuse_unknown

__all__ = ["CitationRetriever"]


class CitationRetriever(BaseRetriever):
    """Asks a chat model that cites and returns its sources as Documents.

    Each query is one answer of the service, billed as such; the answer's text is dropped.

    Parameters:
        model: a chat model of this package whose service cites.
        k: how many sources to return at most, at least 1; None for all. It cuts the service's
            list, whose length the service decides.

    Returns:
        Documents in the service's order: ``id`` is that of the citation, ``page_content`` the
        quoted passage, ``metadata`` url, title, page_number, date, score and rank, each where
        the service gives it.

    Raises:
        ServiceError: see `langchain_qaip.errors`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: BaseChatModel
    k: int | None = Field(default=None, ge=1)

    def __init__(self, **data: Any) -> None:
        with as_langchain():
            refuse_unknown(data, list(type(self).model_fields), "CitationRetriever")
            try:
                super().__init__(**data)
            except ValidationError as error:
                raise invalid(error, "CitationRetriever") from None

    @field_validator("model")
    @classmethod
    def _cites(cls, model: BaseChatModel) -> BaseChatModel:
        endpoint = getattr(model, "endpoint", None)
        if endpoint is None or not endpoint.cites:
            raise ValueError("a chat model of this package whose service answers with sources")
        return model

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        limit = self._limit(k)
        answer = self.model.invoke(query, {"callbacks": run_manager.get_child()}, **kwargs)
        return documents(answer)[:limit]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        limit = self._limit(k)
        config: Any = {"callbacks": run_manager.get_child()}
        answer = await self.model.ainvoke(query, config, **kwargs)
        return documents(answer)[:limit]

    def _limit(self, k: int | None) -> int | None:
        if k is not None and (not isinstance(k, int) or k < 1):
            raise InvalidParameterError(f"k must be a whole number from 1, not {k!r}")
        return self.k if k is None else k
