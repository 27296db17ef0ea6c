"""`SearchRetriever`: the search of one service as a LlamaIndex retriever."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import ConfigDict, Field, PrivateAttr

from llama_index_qaip._sources import as_nodes
from qaip_core.citations import distinct
from qaip_core.service import Found, Searching

__all__ = ["SearchRetriever"]


class SearchRetriever(Searching, BaseRetriever):
    """Finds nodes by the search of one service; see its subclasses.

    A node's id is that of the passage; its score is the service's own, else None, and
    `SimilarityPostprocessor` drops nodes without one at any cutoff.

    Parameters:
        similarity_top_k: how many nodes to return at most, at least 1; where it is not given,
            what the service's own parameter says, else the service's default.
        callback_manager: gets LlamaIndex's events.
        verbose: whether LlamaIndex prints what it does.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,  # who imports twenty classes uses one of them
    )

    similarity_top_k: int | None = Field(default=None, ge=1)
    callback_manager: CallbackManager = Field(
        default_factory=CallbackManager, exclude=True, repr=False
    )
    verbose: bool = False
    object_map: dict[str, Any] = Field(default_factory=dict, exclude=True, repr=False)

    _verbose: bool = PrivateAttr(default=False)

    def model_post_init(self, context: Any, /) -> None:
        """Give LlamaIndex's base what its own constructor, which is not called, would."""
        super().model_post_init(context)
        self._verbose = self.verbose

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return self._nodes(self.search(query_bundle.query_str, count=self.similarity_top_k))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = await self.asearch(query_bundle.query_str, count=self.similarity_top_k)
        return self._nodes(found)

    def _nodes(self, found: Found) -> list[NodeWithScore]:
        """Return one node for each id: a passage that is listed twice is one."""
        nodes = as_nodes(distinct(passage.as_dict() for passage in found))
        return nodes[: self.similarity_top_k]
