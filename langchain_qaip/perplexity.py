"""What Perplexity offers beside its first calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from langchain_core.documents import Document
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from pydantic import Field

from langchain_qaip._chat import ChatModel
from langchain_qaip._citing import Citing
from langchain_qaip._messages import to_message
from langchain_qaip._searching import SearchRetriever
from langchain_qaip.errors import as_langchain
from qaip_core import Completion
from qaip_core.backends.perplexity import agent
from qaip_core.backends.perplexity._classes import CancelsRuns, ListsModels
from qaip_core.backends.perplexity.agent import AgentRun
from qaip_core.backends.perplexity.agent_params import PerplexityAgentParams
from qaip_core.backends.perplexity.agent_tools import SERVED
from qaip_core.backends.perplexity.search import MAX_RESULTS, SEARCH, SearchParams, several
from qaip_core.service import Found

__all__ = ["AgentRun", "ChatPerplexityAgent", "PerplexitySearchRetriever"]


class ChatPerplexityAgent(PerplexityAgentParams, ListsModels, CancelsRuns, Citing, ChatModel):
    """Answers through Perplexity's Agent API: models of many vendors, with tools and sources.

    A model by itself never searches: ``web_search=True`` lets it. With ``effort`` the service
    chooses a model, its instructions and its tools::

        ChatPerplexityAgent(model="perplexity/sonar", web_search=True)
        ChatPerplexityAgent(effort="low")

    What the service searched and read stands before the text in ``content_blocks``
    (``server_tool_call``, ``server_tool_result``) and in ``additional_kwargs["server_tools"]``.
    The id of an answer (``AIMessage.id``) is what a later call goes on from:
    ``chat.invoke("And why?", previous_response_id=answer.id)``.

    Parameters:
        model: such as "perplexity/sonar"; or ``models``, ``effort``.
        api_key: or the environment variable PERPLEXITY_API_KEY, or PPLX_API_KEY.
        base_url: or PERPLEXITY_BASE_URL.

    The others are those of `PerplexityAgentParams`. The service takes no stop sequences: ``stop``
    cuts the answer here. Research may go on for minutes without a word:
    ``stream_idle_timeout`` is 300 s here; or `start` it, and read it later.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.perplexity.ai/api-reference/agent-post
    """

    endpoint = agent.AGENT
    served: ClassVar[frozenset[str]] = SERVED

    stream_idle_timeout: float | None = Field(default=300.0, gt=0)
    max_tokens: int | None = Field(default=None, ge=1)  # a call refuses those below 16

    def start(self, input: LanguageModelInput, **kwargs: Any) -> AgentRun[AIMessage]:  # noqa: A002 -- LangChain's name
        """Start a run that goes on in the background, and return at once.

        Parameters:
            input: what is asked, as for ``invoke``.
            kwargs: parameters of the service, for this run; ``stop`` is not applied.

        Returns:
            Its id, for `get_response` and `cancel`, and how far it is.
        """
        with as_langchain():
            return self._read(self.fetch(agent.START, self._started(input, kwargs)))

    async def astart(self, input: LanguageModelInput, **kwargs: Any) -> AgentRun[AIMessage]:  # noqa: A002 -- LangChain's name
        """Do what `start` does, without blocking."""
        with as_langchain():
            return self._read(await self.afetch(agent.START, self._started(input, kwargs)))

    def get_response(self, response_id: str) -> AgentRun[AIMessage]:
        """Return a run that the service keeps, with its answer when it is done.

        Parameters:
            response_id: its id: ``AIMessage.id``, or that of `start`.

        Raises:
            NotFoundError: the service does not keep it.
            ServerReportedError: it failed.
        """
        return self._read(self.fetch(agent.RETRIEVE, {"response_id": response_id}))

    async def aget_response(self, response_id: str) -> AgentRun[AIMessage]:
        """Do what `get_response` does, without blocking."""
        return self._read(await self.afetch(agent.RETRIEVE, {"response_id": response_id}))

    def _started(self, given: LanguageModelInput, call: dict[str, Any]) -> dict[str, Any]:
        messages = self._convert_input(given).to_messages()
        turns, values = self._asked(messages, self._call(None, call))
        return agent.started(turns, values, self.extra_body)

    def _read(self, run: AgentRun[Completion]) -> AgentRun[AIMessage]:
        answer = run.answer
        if answer is None:
            return AgentRun(run.id, run.status)
        name = self.name_of(answer, {})
        return AgentRun(run.id, run.status, to_message(answer, answer.choice, self.provider, name))


class PerplexitySearchRetriever(SearchParams, SearchRetriever):
    """Finds pages through Perplexity's Search API.

    Every parameter may also be given to one call: ``retriever.invoke(query, k=3,
    search_domain_filter=["example.com"])``.

    Parameters:
        k: how many Documents to return at most, 1 to 20; the service's default is 10.
        api_key: or the environment variable PERPLEXITY_API_KEY, or PPLX_API_KEY.
        base_url: or PERPLEXITY_BASE_URL.

    The others are those of `qaip_core.backends.perplexity.search.SearchParams`.

    Returns:
        Documents in the service's order, of which ``page_content`` is the passage and
        ``metadata`` holds url, title, date and last_updated where the service gives them,
        rank, and the search's own id as ``search_id``. There is no score.

    Raises:
        ServiceError: see `langchain_qaip.errors`.

    Source: https://docs.perplexity.ai/api-reference/search-post
    """

    operation = SEARCH
    count_name: ClassVar[str] = "max_results"

    k: int | None = Field(default=None, ge=1, le=MAX_RESULTS)

    def search_many(
        self, queries: list[str], config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Return what the service finds for several queries, in one call of it.

        Parameters:
            queries: 1 to 5 of them.
            config: LangChain's, with callbacks and tags.
            kwargs: ``k`` and the parameters of the service, for this search. Whether the service
                counts ``k`` for each query or for all together it does not say, so nothing is
                cut here.

        Returns:
            One list of all: what is found by two queries stands in it once.

        Raises:
            ServiceError: see `langchain_qaip.errors`.
        """
        with as_langchain():
            first, more = several(queries)
        return self.invoke(first, config, **more, **kwargs)

    async def asearch_many(
        self, queries: list[str], config: RunnableConfig | None = None, **kwargs: Any
    ) -> list[Document]:
        """Do what `search_many` does, without blocking."""
        with as_langchain():
            first, more = several(queries)
        return await self.ainvoke(first, config, **more, **kwargs)

    def _documents(
        self, found: Found, count: int | None, call: Mapping[str, Any]
    ) -> list[Document]:
        return super()._documents(found, None if call.get("more_queries") else count, call)
