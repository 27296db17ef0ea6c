"""Perplexity's Search API in LlamaIndex: the retriever, and the tool that it becomes."""

import asyncio
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events.retrieval import RetrievalEndEvent
from llama_index.core.memory import ChatMemoryBuffer
from llama_index_instrumentation import get_dispatcher

from llama_index_qaip import Fireworks, PerplexitySearchRetriever
from llama_index_qaip.errors import InvalidParameterError, RateLimitError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

KEY = "test-key-5f1d0c"
SUN = {"title": "Sun", "url": "https://bees.example/sun", "snippet": "They read the sun."}
DANCE = {"title": "Dance", "url": "https://bees.example/dance", "snippet": "A dance tells."}
FOUND = {"id": "s-1", "results": [{**SUN, "date": "2026-01-02"}, DANCE]}
LAMPS = "Search the web: which lamp draws how many watts?"
FIXED: dict[str, Any] = {
    "search_domain_filter": ["sandbox.invalid"],
    "search_after_date_filter": date(2000, 1, 1),
    "search_before_date_filter": date(2100, 1, 1),
    "search_language_filter": ["en"],
}
"""What the sandbox's model would fill with the question: it reads types, not descriptions."""


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        started.replies(json_reply(FOUND))
        yield started


def retriever(server: FaultServer, **fields: Any) -> PerplexitySearchRetriever:
    fields = {"api_key": KEY, "base_url": server.url, "max_retries": 0, **fields}
    return PerplexitySearchRetriever(**fields)


def sent(server: FaultServer) -> Any:
    return server.requests[-1].json()


def test_a_node_is_a_passage_with_what_is_known_of_its_page(server: FaultServer) -> None:
    with retriever(server) as search:
        first, second = search.retrieve("bees")
    assert (first.text, first.score) == ("They read the sun.", None)
    assert first.metadata == {
        "source": SUN["url"],
        "url": SUN["url"],
        "title": "Sun",
        "date": "2026-01-02",
        "rank": 1,
        "search_id": "s-1",
    }
    assert first.node.ref_doc_id == SUN["url"]
    assert second.metadata["rank"] == 2


async def test_nodes_are_the_same_without_blocking(server: FaultServer) -> None:
    search = retriever(server)
    assert await search.aretrieve("bees") == await asyncio.to_thread(search.retrieve, "bees")
    await search.aclose()


def test_filters_are_sent_as_the_service_writes_them(server: FaultServer) -> None:
    after = date(2026, 1, 2)
    with retriever(server, similarity_top_k=3, search_after_date_filter=after) as search:
        search.retrieve("bees")
    assert sent(server) == {
        "query": "bees",
        "max_results": 3,
        "search_after_date_filter": "01/02/2026",
    }


def test_more_than_a_search_returns_cannot_be_asked_for(server: FaultServer) -> None:
    with pytest.raises(InvalidParameterError, match=r"similarity_top_k: .* equal to 20"):
        retriever(server, similarity_top_k=21)


async def test_several_queries_are_one_request(server: FaultServer) -> None:
    search = retriever(server, similarity_top_k=1)
    found = await asyncio.to_thread(search.search_many, ["bees", "wasps"], country="US")
    assert sent(server) == {"query": ["bees", "wasps"], "max_results": 1, "country": "US"}
    assert len(found) == 2  # whose number it is that similarity_top_k limits is not known
    assert await search.asearch_many(["bees", "wasps"]) == found
    await search.aclose()


@pytest.mark.parametrize("name", ["max_results", "similarity_top_k"])
@pytest.mark.parametrize("queries", [["bees"], ["bees", "wasps"]])
def test_a_number_for_one_search_goes_before_that_of_the_object(
    server: FaultServer, queries: list[str], name: str
) -> None:
    with retriever(server, similarity_top_k=1) as search:
        found = search.search_many(queries, **{name: 2})
    assert sent(server)["max_results"] == 2
    assert len(found) == 2


def test_a_number_for_one_search_has_to_be_one(server: FaultServer) -> None:
    with retriever(server) as search, pytest.raises(InvalidParameterError, match="max_results"):
        search.search_many(["bees"], similarity_top_k=0)
    assert server.requests == []


@pytest.mark.parametrize("queries", [[], "bees", ["q"] * 6])
def test_several_queries_are_one_to_five(server: FaultServer, queries: Any) -> None:
    with retriever(server) as search, pytest.raises(InvalidParameterError, match="1 to 5"):
        search.search_many(queries)
    assert server.requests == []


def test_a_page_that_two_queries_find_is_one_node(server: FaultServer) -> None:
    server.reset()
    server.replies(json_reply({"id": "s-1", "results": [[SUN, DANCE], [DANCE]]}))
    with retriever(server) as search:
        found = search.search_many(["bees", "dance"])
    assert [n.node_id for n in found] == list({n.node_id: None for n in found})
    assert [n.metadata["url"] for n in found] == [SUN["url"], DANCE["url"]]


class _Heard(BaseEventHandler):
    ends: list[int] = []

    def handle(self, event: Any, **_: Any) -> None:
        if isinstance(event, RetrievalEndEvent):
            self.ends.append(len(event.nodes))


def test_several_queries_fire_the_events_of_a_retrieval(server: FaultServer) -> None:
    dispatcher, heard = get_dispatcher(), _Heard()
    dispatcher.add_event_handler(heard)
    try:
        with retriever(server) as search:
            search.search_many(["bees", "wasps"])
    finally:
        dispatcher.event_handlers.remove(heard)
    assert heard.ends == [2]


def test_a_refusal_is_typed(server: FaultServer) -> None:
    server.reset()
    server.replies(json_reply({"error": {"message": "slow down", "code": 429}}, 429))
    with retriever(server) as search, pytest.raises(RateLimitError, match="slow down"):
        search.retrieve("bees")


def test_the_tool_gives_the_model_text_and_the_application_nodes(server: FaultServer) -> None:
    with retriever(server) as search:
        said = search.as_tool().call(query="bees", more_queries=["ants"], search_mode="academic")
    assert said.content == (
        "[1] Sun\nhttps://bees.example/sun (2026-01-02)\nThey read the sun.\n\n"
        "[2] Dance\nhttps://bees.example/dance\nA dance tells."
    )
    assert [n.metadata["url"] for n in said.raw_output] == [SUN["url"], DANCE["url"]]
    assert sent(server) == {"query": ["bees", "ants"], "search_mode": "academic"}


async def test_the_tool_runs_without_blocking(server: FaultServer) -> None:
    search = retriever(server)
    said = await search.as_tool(name="look_up", description="Looks up.").acall(query="bees")
    assert (said.tool_name, said.content.startswith("[1] Sun")) == ("look_up", True)
    await search.aclose()


def test_a_filter_of_the_application_holds_whatever_the_model_says(server: FaultServer) -> None:
    with retriever(server, search_domain_filter=["bees.example"]) as search:
        tool = search.as_tool()
        told = tool.metadata.get_parameters_dict()["properties"]
        tool.call(query="bees", search_domain_filter=["wasps.example"])
    assert ("search_domain_filter" in told, "search_mode" in told) == (False, True)
    assert sent(server)["search_domain_filter"] == ["bees.example"]


@pytest.mark.parametrize(
    "said", [{}, {"query": "bees", "search_domain_filter": ["https://a.example"]}]
)
def test_arguments_that_cannot_be_used_are_an_error(
    server: FaultServer, said: dict[str, Any]
) -> None:
    with retriever(server) as search, pytest.raises(InvalidParameterError, match="the search"):
        search.as_tool().call(**said)
    assert server.requests == []


# LlamaIndex's agents look at every attribute of an LLM, also at those that are deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_an_agent_searches_and_answers() -> None:
    with Sandbox(Path(__file__).parent.parent / "sandbox" / "docs") as sandbox:
        env = sandbox.env
        search = PerplexitySearchRetriever(
            api_key=env["PERPLEXITY_API_KEY"], base_url=env["PERPLEXITY_BASE_URL"], **FIXED
        )
        llm = Fireworks(
            model="accounts/fireworks/models/llama-v3p1-8b-instruct",
            api_key=env["FIREWORKS_API_KEY"],
            base_url=env["FIREWORKS_API_BASE"],
        )
        agent = FunctionAgent(tools=[search.as_tool()], llm=llm)
        memory = ChatMemoryBuffer.from_defaults(token_limit=100_000)
        said: Any = await agent.run(
            "Search the web: which lamp draws how many watts?", memory=memory
        )
        await search.aclose()
        await llm.aclose()
    (call,) = said.tool_calls
    assert (call.tool_name, call.tool_output.is_error) == ("perplexity_search", False)
    assert call.tool_output.content.startswith("[1] ")
    assert "watts" in str(said)
