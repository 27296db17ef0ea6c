"""`KnowledgeBase`: what the PAIS retrievers of both frameworks have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from qaip_core.backends.pais.listing import (
    ACTIVE_INDEXING,
    DATA_SOURCES,
    DOCUMENTS,
    INDEXES,
    INDEXINGS,
    KNOWLEDGE_BASES,
    Resource,
    all_of,
    all_of_async,
)
from qaip_core.backends.pais.search import SEARCH, TOP_K, PaisSearchParams
from qaip_core.errors import NotFoundError
from qaip_core.service import Searching

__all__ = ["KnowledgeBase"]


class KnowledgeBase(PaisSearchParams, Searching):
    """The knowledge bases of a site of VMware Private AI Services, and the search of one index.

    Without ``knowledge_base_id`` and ``index_id`` it lists what there is; to search, both are
    needed, on the object or for the call.

    Parameters:
        control_base_url: where knowledge bases are, if not beside ``base_url``: that ends in
            ``/compatibility/openai/v1``, for which ``/control`` is taken.
    """

    operation = SEARCH
    query_name = "text"
    count_name = "top_k"

    control_base_url: str | None = Field(default=None)

    @property
    def _given_url(self) -> str | None:
        return self.control_base_url or self.base_url

    def asked(self, query: str, count: int | None, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one search; ``top_k`` is always among them."""
        return {"top_k": TOP_K, **super().asked(query, count, call)}

    def list_knowledge_bases(self, name: str | None = None) -> list[Resource]:
        """Return the knowledge bases of the site.

        Parameters:
            name: only those of this name.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return all_of(self, KNOWLEDGE_BASES, name=name)

    async def alist_knowledge_bases(self, name: str | None = None) -> list[Resource]:
        """Do what `list_knowledge_bases` does, without blocking."""
        return await all_of_async(self, KNOWLEDGE_BASES, name=name)

    def list_data_sources(self) -> list[Resource]:
        """Return where the documents of the site come from.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return all_of(self, DATA_SOURCES)

    async def alist_data_sources(self) -> list[Resource]:
        """Do what `list_data_sources` does, without blocking."""
        return await all_of_async(self, DATA_SOURCES)

    def list_indexes(self, knowledge_base_id: str | None = None) -> list[Resource]:
        """Return the indexes of a knowledge base.

        Parameters:
            knowledge_base_id: the knowledge base; the object's where it is not given.

        Raises:
            InvalidParameterError: neither says which.
            ServiceError: see `qaip_core.errors`.
        """
        return all_of(self, INDEXES, knowledge_base_id=knowledge_base_id or self.knowledge_base_id)

    async def alist_indexes(self, knowledge_base_id: str | None = None) -> list[Resource]:
        """Do what `list_indexes` does, without blocking."""
        wanted = knowledge_base_id or self.knowledge_base_id
        return await all_of_async(self, INDEXES, knowledge_base_id=wanted)

    def list_documents(self) -> list[Resource]:
        """Return the documents of the index.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return all_of(self, DOCUMENTS, **self._index)

    async def alist_documents(self) -> list[Resource]:
        """Do what `list_documents` does, without blocking."""
        return await all_of_async(self, DOCUMENTS, **self._index)

    def list_indexings(self) -> list[Resource]:
        """Return how often the index was filled; it is empty until one of them is DONE.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        return all_of(self, INDEXINGS, **self._index)

    async def alist_indexings(self) -> list[Resource]:
        """Do what `list_indexings` does, without blocking."""
        return await all_of_async(self, INDEXINGS, **self._index)

    def active_indexing(self) -> Resource | None:
        """Return the filling of the index that is going on; None if there is none.

        Raises:
            ServiceError: see `qaip_core.errors`.
        """
        try:
            return self.fetch(ACTIVE_INDEXING, self._index)
        except NotFoundError as error:
            _refuse(error)
            return None

    async def aactive_indexing(self) -> Resource | None:
        """Do what `active_indexing` does, without blocking."""
        try:
            return await self.afetch(ACTIVE_INDEXING, self._index)
        except NotFoundError as error:
            _refuse(error)
            return None

    @property
    def _index(self) -> dict[str, Any]:
        return {"knowledge_base_id": self.knowledge_base_id, "index_id": self.index_id}


def _refuse(error: NotFoundError) -> None:
    """Raise what says that the index itself is not there, not just that nothing goes on."""
    if "knowledge base or index" in error.message.lower():
        raise error
