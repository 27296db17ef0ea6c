"""Perplexity's Search API in LangChain: the retriever, and the tool for agents."""

import pickle
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.documents import Document
from langchain_core.exceptions import ModelRateLimitError
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException
from langchain_core.tracers.run_collector import RunCollectorCallbackHandler
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_tests.integration_tests import RetrieversIntegrationTests, ToolsIntegrationTests
from langchain_tests.unit_tests import ToolsUnitTests
from pydantic import ValidationError

from langchain_qaip import ChatFireworks, PerplexitySearchRetriever, PerplexitySearchTool
from langchain_qaip.errors import InvalidParameterError, MissingKeyError, RateLimitError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

KEY = "test-key-5f1d0c"
SUN = {"title": "Sun", "url": "https://bees.example/sun", "snippet": "They read the sun."}
DANCE = {"title": "Dance", "url": "https://bees.example/dance", "snippet": "A dance tells."}
FOUND = {"id": "s-1", "results": [{**SUN, "date": "2026-01-02"}, DANCE]}
LAMPS = "Search the web: which lamp draws how many watts?"


@pytest.fixture
def retriever(server: FaultServer) -> Iterator[PerplexitySearchRetriever]:
    server.replies(json_reply(FOUND))
    with PerplexitySearchRetriever(api_key=KEY, base_url=server.url, max_retries=0) as made:
        yield made


def tool(server: FaultServer, **fields: Any) -> PerplexitySearchTool:
    fields = {"api_key": KEY, "base_url": server.url, "max_retries": 0, **fields}
    return PerplexitySearchTool(**fields)


def sent(server: FaultServer) -> Any:
    return server.requests[-1].json()


def test_a_document_is_a_passage_with_what_is_known_of_its_page(
    retriever: PerplexitySearchRetriever,
) -> None:
    first, second = retriever.invoke("bees")
    assert first.page_content == "They read the sun."
    assert first.id
    assert first.metadata == {
        "source": SUN["url"],
        "url": SUN["url"],
        "title": "Sun",
        "date": "2026-01-02",
        "rank": 1,
        "search_id": "s-1",
    }
    assert second.metadata["rank"] == 2
    assert "score" not in second.metadata


async def test_documents_are_the_same_without_blocking(
    retriever: PerplexitySearchRetriever,
) -> None:
    assert await retriever.ainvoke("bees") == retriever.invoke("bees")
    await retriever.aclose()


def test_filters_of_the_object_are_overlaid_by_those_of_the_call(server: FaultServer) -> None:
    server.replies(json_reply(FOUND))
    with PerplexitySearchRetriever(
        api_key=KEY, base_url=server.url, k=7, country="DE", search_mode="web"
    ) as retriever:
        retriever.invoke("bees", k=1, search_mode="sec", search_after_date_filter=date(2026, 1, 2))
    assert sent(server) == {
        "query": "bees",
        "max_results": 1,
        "country": "DE",
        "search_mode": "sec",
        "search_after_date_filter": "01/02/2026",
    }


def test_more_than_a_search_returns_cannot_be_asked_for(
    retriever: PerplexitySearchRetriever, server: FaultServer
) -> None:
    with pytest.raises(InvalidParameterError, match=r"k: .*less than or equal to 20"):
        PerplexitySearchRetriever(api_key=KEY, k=21)
    with pytest.raises(InvalidParameterError, match="less than or equal to 20"):
        retriever.invoke("bees", k=21)
    assert server.requests == []


async def test_several_queries_are_one_request(
    retriever: PerplexitySearchRetriever, server: FaultServer
) -> None:
    found = retriever.search_many(["bees", "wasps"], k=1, country="US")
    assert sent(server) == {"query": ["bees", "wasps"], "max_results": 1, "country": "US"}
    assert len(found) == 2  # whose number it is that k limits is not known
    assert await retriever.asearch_many(["bees", "wasps"], k=1) == found
    await retriever.aclose()


def test_one_of_several_queries_may_be_all(
    retriever: PerplexitySearchRetriever, server: FaultServer
) -> None:
    retriever.search_many(["bees"])
    assert sent(server) == {"query": "bees"}


@pytest.mark.parametrize("queries", [[], "bees", ["q"] * 6])
def test_several_queries_are_one_to_five(
    retriever: PerplexitySearchRetriever, server: FaultServer, queries: Any
) -> None:
    with pytest.raises(InvalidParameterError, match="1 to 5"):
        retriever.search_many(queries)
    assert server.requests == []


def test_a_page_that_two_queries_find_is_one_document(
    retriever: PerplexitySearchRetriever, server: FaultServer
) -> None:
    server.reset()
    server.replies(json_reply({"id": "s-1", "results": [[SUN, DANCE], [DANCE]]}))
    found = retriever.search_many(["bees", "dance"])
    assert [d.metadata["rank"] for d in found] == [1, 2]


def test_several_queries_are_traced_as_a_retriever_s_run(
    retriever: PerplexitySearchRetriever,
) -> None:
    collector = RunCollectorCallbackHandler()
    retriever.search_many(["bees", "wasps"], {"callbacks": [collector]})
    (run,) = collector.traced_runs
    assert (run.run_type, run.name) == ("retriever", "PerplexitySearchRetriever")


def test_a_refusal_is_langchain_s_error_and_ours(
    retriever: PerplexitySearchRetriever, server: FaultServer
) -> None:
    server.reset()
    server.replies(json_reply({"error": {"message": "slow down", "code": 429}}, 429))
    with pytest.raises(RateLimitError, match="slow down") as caught:
        retriever.invoke("bees")
    assert isinstance(caught.value, ModelRateLimitError)


def test_without_a_key_nothing_is_made() -> None:
    for kind in (PerplexitySearchRetriever, PerplexitySearchTool):
        with pytest.raises(MissingKeyError, match="PERPLEXITY_API_KEY or PPLX_API_KEY"):
            kind()


def test_the_model_gets_numbered_passages_and_the_application_documents(
    server: FaultServer,
) -> None:
    server.replies(json_reply(FOUND))
    call = {"type": "tool_call", "id": "c", "name": "perplexity_search", "args": {"query": "bees"}}
    with tool(server) as search:
        message = search.invoke(call)
    assert message.content == (
        "[1] Sun\nhttps://bees.example/sun (2026-01-02)\nThey read the sun.\n\n"
        "[2] Dance\nhttps://bees.example/dance\nA dance tells."
    )
    assert [d.metadata["url"] for d in message.artifact] == [SUN["url"], DANCE["url"]]
    assert sent(server) == {"query": "bees"}


async def test_the_tool_runs_without_blocking(server: FaultServer) -> None:
    server.replies(json_reply(FOUND))
    search = tool(server)
    assert (await search.ainvoke("bees")).startswith("[1] Sun")
    await search.aclose()


def test_the_model_s_arguments_reach_the_service(server: FaultServer) -> None:
    server.replies(json_reply(FOUND))
    with tool(server, max_results=3) as search:
        search.invoke({"query": "bees", "more_queries": ["ants"], "search_mode": "academic"})
    assert sent(server) == {"query": ["bees", "ants"], "max_results": 3, "search_mode": "academic"}


def test_a_filter_of_the_application_holds_whatever_the_model_says(server: FaultServer) -> None:
    server.replies(json_reply(FOUND))
    with tool(server, search_domain_filter=["bees.example"]) as search:
        told = convert_to_openai_tool(search)["function"]["parameters"]["properties"]
        assert "search_domain_filter" not in told
        assert "search_mode" in told
        search.invoke({"query": "bees", "search_domain_filter": ["wasps.example"]})
    assert sent(server)["search_domain_filter"] == ["bees.example"]


def test_arguments_that_cannot_be_used_are_validation_errors(server: FaultServer) -> None:
    with tool(server) as search, pytest.raises(ValidationError, match="without its scheme"):
        search.invoke({"query": "bees", "search_domain_filter": ["https://a.example"]})
    assert server.requests == []


def test_a_refusal_is_raised_typed_unless_it_is_to_be_handled(server: FaultServer) -> None:
    server.replies(json_reply({"error": {"message": "slow down", "code": 429}}, 429))
    with tool(server) as search, pytest.raises(RateLimitError, match="slow down"):
        search.invoke("bees")
    with tool(server, handle_tool_error=True) as search:
        assert search.invoke("bees").startswith("HTTP 429: slow down")


def test_a_handled_error_keeps_its_cause(server: FaultServer) -> None:
    server.replies(json_reply({"error": {"message": "slow down", "code": 429}}, 429))
    causes: list[BaseException | None] = []

    def handle(error: ToolException) -> str:
        causes.append(error.__cause__)
        return "later"

    with tool(server, handle_tool_error=handle) as search:
        assert search.invoke("bees") == "later"
    assert [type(cause) for cause in causes] == [RateLimitError]


def test_the_tool_can_be_pickled_and_shows_no_key(server: FaultServer) -> None:
    search = tool(server, search_mode="sec")
    copied = pickle.loads(pickle.dumps(search))
    assert (copied.name, copied.search_mode) == ("perplexity_search", "sec")
    assert KEY not in repr(search) + str(vars(copied))


def agent_of(sandbox: Sandbox, search: BaseTool, **more: Any) -> Any:
    model = ChatFireworks(
        model="accounts/fireworks/models/llama-v3p1-8b-instruct",
        api_key=sandbox.env["FIREWORKS_API_KEY"],
        base_url=sandbox.env["FIREWORKS_API_BASE"],
    )
    return create_agent(model, [search], **more)


FIXED = {
    "search_domain_filter": ["sandbox.invalid"],
    "search_after_date_filter": date(2000, 1, 1),
    "search_before_date_filter": date(2100, 1, 1),
    "search_language_filter": ["en"],
}
"""Filters of the application, which hold whatever the model says."""


def of_sandbox(sandbox: Sandbox) -> dict[str, Any]:
    return {
        "api_key": sandbox.env["PERPLEXITY_API_KEY"],
        "base_url": sandbox.env["PERPLEXITY_BASE_URL"],
    }


def test_an_agent_searches_and_answers(sandbox: Sandbox) -> None:
    with PerplexitySearchTool(max_results=2, **FIXED, **of_sandbox(sandbox)) as search:
        said = agent_of(sandbox, search).invoke({"messages": [HumanMessage(LAMPS)]})
    (result,) = [m for m in said["messages"] if isinstance(m, ToolMessage)]
    assert result.text.startswith("[1] ")
    assert all(isinstance(d, Document) for d in result.artifact)
    assert len(result.artifact) >= 1
    assert isinstance(said["messages"][-1], AIMessage)
    assert "watts" in said["messages"][-1].text


async def test_an_agent_searches_without_blocking(sandbox: Sandbox) -> None:
    search = PerplexitySearchTool(max_results=2, **FIXED, **of_sandbox(sandbox))
    said = await agent_of(sandbox, search).ainvoke({"messages": [HumanMessage(LAMPS)]})
    assert [m.status for m in said["messages"] if isinstance(m, ToolMessage)] == ["success"]
    await search.aclose()


def test_an_agent_tells_its_model_of_arguments_that_cannot_be_used(sandbox: Sandbox) -> None:
    asked = f"{LAMPS} (search after date filter: some day)"
    with PerplexitySearchTool(**of_sandbox(sandbox)) as search:
        said = agent_of(sandbox, search).invoke({"messages": [HumanMessage(asked)]})
    (result,) = [m for m in said["messages"] if isinstance(m, ToolMessage)]
    assert result.status == "error"
    assert "search_after_date_filter" in result.text


def test_an_agent_s_middleware_repeats_what_may_pass(sandbox: Sandbox, server: FaultServer) -> None:
    refusal = {"error": {"message": "slow down", "code": 429}}
    server.replies(json_reply(refusal, 429), json_reply(FOUND))
    retry = ToolRetryMiddleware(retry_on=(RateLimitError,), initial_delay=0, jitter=False)
    with tool(server, **FIXED) as search:
        agent = agent_of(sandbox, search, middleware=[retry])
        said = agent.invoke({"messages": [HumanMessage(LAMPS)]})
    assert [m.status for m in said["messages"] if isinstance(m, ToolMessage)] == ["success"]
    assert len(server.requests) == 2


class TestRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _over_the_sandbox(self, sandbox: Sandbox) -> None:
        type(self)._found = of_sandbox(sandbox)

    _found: dict[str, Any] = {}

    @property
    def retriever_constructor(self) -> type[PerplexitySearchRetriever]:
        return PerplexitySearchRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return self._found

    @property
    def retriever_query_example(self) -> str:
        return "lamp watts"


class _OfTool:
    _found: dict[str, Any] = {}

    @pytest.fixture(autouse=True)
    def _over_the_sandbox(self, sandbox: Sandbox) -> None:
        _OfTool._found = of_sandbox(sandbox)

    @property
    def tool_constructor(self) -> type[PerplexitySearchTool]:
        return PerplexitySearchTool

    @property
    def tool_constructor_params(self) -> dict[str, Any]:
        return self._found

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "lamp watts", "search_recency_filter": "year"}


class TestToolUnit(_OfTool, ToolsUnitTests):
    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        return {"PPLX_API_KEY": KEY}, {}, {"api_key": KEY}


class TestToolIntegration(_OfTool, ToolsIntegrationTests):
    pass
