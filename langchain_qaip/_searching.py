"""`SearchRetriever`: the search of one service as a LangChain retriever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever, LangSmithRetrieverParams
from pydantic import Field

from langchain_qaip._connected import Translated
from langchain_qaip._messages import to_documents
from langchain_qaip.errors import as_langchain
from qaip_core.errors import InvalidParameterError
from qaip_core.service import Found, Searching

__all__ = ["SearchRetriever"]


class SearchRetriever(Translated, Searching, BaseRetriever):
    """Finds Documents by the search of one service; see its subclasses.

    Parameters:
        k: how many Documents to return at most, at least 1; where it is not given, what the
            service's own parameter says, else the service's default.
    """

    k: int | None = Field(default=None, ge=1)

    def _get_ls_params(self, **kwargs: Any) -> LangSmithRetrieverParams:
        params = super()._get_ls_params(**kwargs)
        params["ls_retriever_name"] = type(self).__name__
        return params

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002 -- LangChain's
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        with as_langchain():
            count, call = self._of_call(k, kwargs)
            return self._documents(self.search(query, count=count, **call), count, call)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,  # noqa: ARG002 -- LangChain's
        k: int | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        with as_langchain():
            count, call = self._of_call(k, kwargs)
            return self._documents(await self.asearch(query, count=count, **call), count, call)

    def _of_call(self, k: int | None, call: Mapping[str, Any]) -> tuple[int | None, dict[str, Any]]:
        """Return how many Documents are wanted, and the other parameters of a call.

        The number is None where nobody says it, or a parameter of the call does.
        """
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise InvalidParameterError(f"k must be a whole number from 1, not {k!r}")
        wanted = self.k if k is None and call.get(self.count_name) is None else k
        return wanted, dict(call)

    def _documents(
        self,
        found: Found,
        count: int | None,
        call: Mapping[str, Any],  # noqa: ARG002 -- for subclasses
    ) -> list[Document]:
        return to_documents(found)[:count]
