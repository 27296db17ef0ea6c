"""What Perplexity offers beside its first calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from llama_index.core.llms import ChatMessage, ChatResponse
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
from pydantic import Field, ValidationError

from llama_index_qaip._citing import CitingLLM
from llama_index_qaip._searching import SearchRetriever
from llama_index_qaip._sources import as_nodes
from llama_index_qaip._tools import ToolCallingLLM
from qaip_core import Completion
from qaip_core.backend import invalid
from qaip_core.backends.perplexity import agent
from qaip_core.backends.perplexity._classes import CancelsRuns, ListsModels
from qaip_core.backends.perplexity.agent import AgentRun
from qaip_core.backends.perplexity.agent_params import PerplexityAgentParams
from qaip_core.backends.perplexity.search import (
    MAX_RESULTS,
    SEARCH,
    TOOL,
    SearchArguments,
    SearchParams,
    arguments,
    as_text,
    several,
)
from qaip_core.citations import distinct
from qaip_core.service import Found

if TYPE_CHECKING:  # few retrievers become tools
    from llama_index.core.tools import FunctionTool

__all__ = ["AgentRun", "PerplexityAgent", "PerplexitySearchRetriever"]


class PerplexityAgent(PerplexityAgentParams, ListsModels, CancelsRuns, CitingLLM, ToolCallingLLM):
    """Perplexity's Agent API: models of many vendors, with tools and sources.

    A model by itself never searches: ``web_search=True`` lets it. With ``effort`` the service
    chooses a model, its instructions and its tools::

        PerplexityAgent(model="perplexity/sonar", web_search=True)
        PerplexityAgent(effort="low")

    What the service searched and read stands in ``additional_kwargs["server_tools"]`` of a
    response. Its ``additional_kwargs["id"]`` is what a later call goes on from:
    ``llm.chat(messages, previous_response_id=...)``.

    Service page: https://docs.perplexity.ai/api-reference/agent-post

    Parameters:
        api_key: the key; read from ``PERPLEXITY_API_KEY`` or ``PPLX_API_KEY``.
        base_url: where the service is; ``PERPLEXITY_BASE_URL``, else the vendor's address.
        model: such as "perplexity/sonar"; or ``models``, ``effort``.
        stop: sequences at which the answer is cut on this side.

    All others are those of `PerplexityAgentParams`. Research may go on for minutes without a word:
    ``stream_idle_timeout`` is 300 s here; or `start` it, and read it later.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    endpoint = agent.AGENT

    unknown_context: ClassVar[int] = 127_072

    stream_idle_timeout: float | None = Field(default=300.0, gt=0)

    def start(self, messages: Sequence[ChatMessage] | str, **kwargs: Any) -> AgentRun[ChatResponse]:
        """Start a run that goes on in the background, and return at once.

        Parameters:
            messages: what is asked: the turns of a chat, or a text.
            kwargs: parameters of the service, for this run; ``stop`` is not applied.

        Returns:
            Its id, for `get_response` and `cancel`, and how far it is.

        Raises:
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self._read(self.fetch(agent.START, self._started(messages, kwargs)))

    async def astart(
        self, messages: Sequence[ChatMessage] | str, **kwargs: Any
    ) -> AgentRun[ChatResponse]:
        """Do what `start` does, without blocking."""
        return self._read(await self.afetch(agent.START, self._started(messages, kwargs)))

    def get_response(self, response_id: str) -> AgentRun[ChatResponse]:
        """Return a run that the service keeps, with its answer when it is done.

        Parameters:
            response_id: its id, from `start` or from an answer.

        Raises:
            NotFoundError: the service does not keep it.
            ServerReportedError: it failed.
        """
        return self._read(self.fetch(agent.RETRIEVE, {"response_id": response_id}))

    async def aget_response(self, response_id: str) -> AgentRun[ChatResponse]:
        """Do what `get_response` does, without blocking."""
        return self._read(await self.afetch(agent.RETRIEVE, {"response_id": response_id}))

    def _started(
        self, messages: Sequence[ChatMessage] | str, call: dict[str, Any]
    ) -> dict[str, Any]:
        messages = [ChatMessage(messages)] if isinstance(messages, str) else messages
        _, turns, values = self._chat_call(messages, call)
        return agent.started(turns, values, self.extra_body)

    def _read(self, run: AgentRun[Completion]) -> AgentRun[ChatResponse]:
        answer = run.answer
        return AgentRun(run.id, run.status, None if answer is None else self._chat.whole(answer))


@dataclass
class _Search(QueryBundle):
    """A query, and the parameters of this one search."""

    call: dict[str, Any] = field(default_factory=dict)


class PerplexitySearchRetriever(SearchParams, SearchRetriever):
    """Finds pages through Perplexity's Search API.

    A node's text is the passage; its metadata holds url, title, date and last_updated where
    the service gives them, rank, and the search's own id as ``search_id``. There is no score.

    Service page: https://docs.perplexity.ai/api-reference/search-post

    Parameters:
        similarity_top_k: how many nodes to return at most, 1 to 20; the service's default is 10.
        api_key: the key; read from ``PERPLEXITY_API_KEY`` or ``PPLX_API_KEY``.
        base_url: where the service is; ``PERPLEXITY_BASE_URL``, else the vendor's address.

    All others are those of `qaip_core.backends.perplexity.search.SearchParams`.

    Raises:
        MissingKeyError: there is no key.
        ConfigurationError: the base URL or a parameter cannot be used.
    """

    operation = SEARCH
    count_name: ClassVar[str] = "max_results"

    similarity_top_k: int | None = Field(default=None, ge=1, le=MAX_RESULTS)

    def search_many(
        self, queries: Sequence[str], *, similarity_top_k: int | None = None, **call: Any
    ) -> list[NodeWithScore]:
        """Return what the service finds for several queries, in one call of it.

        Parameters:
            queries: 1 to 5 of them.
            similarity_top_k: how many nodes are asked for, in place of the object's. Whether the
                service counts them for each query or for all together it does not say, so of
                several nothing is cut here.
            call: parameters of the service, for this search.

        Returns:
            One list of all: what is found by two queries stands in it once.

        Raises:
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self.retrieve(_of_several(queries, similarity_top_k, call))

    async def asearch_many(
        self, queries: Sequence[str], *, similarity_top_k: int | None = None, **call: Any
    ) -> list[NodeWithScore]:
        """Do what `search_many` does, without blocking."""
        return await self.aretrieve(_of_several(queries, similarity_top_k, call))

    def as_tool(
        self, *, name: str = TOOL["name"], description: str = TOOL["description"]
    ) -> FunctionTool:
        """Return a tool that lets an agent search.

        The model gets numbered passages as text; the nodes are the ``raw_output``, in the same
        order. A filter that is set on the retriever is not the model's to choose.

        Parameters:
            name: what the tool is called.
            description: what the model is told of it.
        """
        from llama_index.core.tools import FunctionTool

        def search(**said: Any) -> list[NodeWithScore]:
            return self.retrieve(self._asked_by_model(said))

        async def asearch(**said: Any) -> list[NodeWithScore]:
            return await self.aretrieve(self._asked_by_model(said))

        return FunctionTool.from_defaults(
            fn=search,
            async_fn=asearch,
            name=name,
            description=description,
            fn_schema=arguments(self._fixed),
            callback=_as_text,
        )

    @property
    def _fixed(self) -> frozenset[str]:
        fields = vars(self)
        names = SearchArguments.model_fields
        return frozenset(name for name in names if fields.get(name) is not None)

    def _asked_by_model(self, said: dict[str, Any]) -> _Search:
        fixed = self._fixed
        try:
            asked = arguments(fixed).model_validate(said)
        except ValidationError as error:
            raise invalid(error, "the search") from None
        call = {name: value for name, value in asked if name not in fixed}
        return _Search(call.pop("query"), call=call)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        count, call = self._of_call(query_bundle)
        return self._listed(self.search(query_bundle.query_str, count=count, **call), call)

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        count, call = self._of_call(query_bundle)
        return self._listed(await self.asearch(query_bundle.query_str, count=count, **call), call)

    def _of_call(self, query: QueryBundle) -> tuple[int | None, dict[str, Any]]:
        """Return how many nodes are wanted, where the call does not say so, and the call's own."""
        call = query.call if isinstance(query, _Search) else {}
        return self.similarity_top_k if call.get(self.count_name) is None else None, call

    def _listed(self, found: Found, call: dict[str, Any]) -> list[NodeWithScore]:
        wanted = call.get(self.count_name) or self.similarity_top_k
        nodes = as_nodes(distinct(page.as_dict() for page in found))
        return nodes if call.get("more_queries") else nodes[:wanted]


def _of_several(queries: Sequence[str], count: int | None, call: dict[str, Any]) -> _Search:
    first, more = several(queries)
    counted = {} if count is None else {PerplexitySearchRetriever.count_name: count}
    return _Search(first, call={**call, **counted, **more})


def _as_text(nodes: Sequence[NodeWithScore]) -> str:
    return as_text((n.node.metadata, n.node.get_content(MetadataMode.NONE)) for n in nodes)
