"""PerplexityAgent: answers with sources, tools of both kinds, runs that are kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import CitationBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole
from llama_index.core.prompts import PromptTemplate
from llama_index.core.schema import MetadataMode
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

import llama_index_qaip
from llama_index_qaip import PerplexityAgent
from llama_index_qaip.errors import (
    BadRequestError,
    InvalidParameterError,
    NotFoundError,
    ServiceError,
)
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, sse_reply
from support.wire import WireCase, cases

QUESTION = "Which lamp draws how many watts?"
TEXT = "The Meridian lamp draws 9 watts.[1] The Solstice lamp draws 4 watts.[2]"
WIRE = {case.name: case for case in cases("perplexity") if case.operation == "agent"}
Make = Callable[..., PerplexityAgent]
ASKED = [ChatMessage(QUESTION)]
of_an_agent = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's own


class Lamp(BaseModel):
    """A lamp."""

    name: str


def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It rains in {city}."


TOOL = FunctionTool.from_defaults(get_weather)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(Path(__file__).parent.parent / "sandbox" / "docs") as running:
        yield running


@pytest.fixture
def make(sandbox: Sandbox) -> Iterator[Make]:
    """Make LLMs that ask the sandbox."""
    made: list[PerplexityAgent] = []

    def at(switches: Any = None, **fields: Any) -> PerplexityAgent:
        made.append(
            PerplexityAgent(
                api_key=sandbox.env["PERPLEXITY_API_KEY"],
                base_url=sandbox.env["PERPLEXITY_BASE_URL"],
                default_headers={"x-sandbox-switches": json.dumps(switches or {})},
                **{"model": "perplexity/sonar", "web_search": True, **fields},
            )
        )
        return made[-1]

    yield at
    for llm in made:
        llm.close()


def of(server: FaultServer, **fields: Any) -> PerplexityAgent:
    known = {"model": "perplexity/sonar", "web_search": True, "max_retries": 0}
    return PerplexityAgent(api_key="k", base_url=server.url, **{**known, **fields})


async def _chat(llm: PerplexityAgent) -> ChatResponse:
    return llm.chat(ASKED)


async def _achat(llm: PerplexityAgent) -> ChatResponse:
    return await llm.achat(ASKED)


async def _stream_chat(llm: PerplexityAgent) -> ChatResponse:
    *_, last = llm.stream_chat(ASKED)
    return last


async def _astream_chat(llm: PerplexityAgent) -> ChatResponse:
    *_, last = [r async for r in await llm.astream_chat(ASKED)]
    return last


WAYS = [_chat, _achat, _stream_chat, _astream_chat]
every_way = pytest.mark.parametrize("ask", WAYS, ids=[way.__name__.strip("_") for way in WAYS])


@every_way
async def test_an_answer_tells_its_sources_and_what_the_service_did(make: Make, ask: Any) -> None:
    answer = await ask(make())
    about = answer.additional_kwargs
    assert answer.message.content == TEXT
    cited = [b for b in answer.message.blocks if isinstance(b, CitationBlock)]
    spans = [c["spans"] for c in about["citations"]]
    assert [TEXT[s[0][0] : s[0][1]] for s in spans] == ["[1]", "[2]"]
    assert [b.additional_location_info["start_index"] for b in cited] == [s[0][0] for s in spans]
    (search,) = about["server_tools"]
    assert (search["name"], search["arguments"]) == ("web_search", {"queries": [QUESTION]})
    assert about["id"].startswith("resp_")
    assert about["cost"]["currency"] == "USD"
    assert (about["total_tokens"], about["finish_reason"]) == (23, "stop")
    assert answer.message.additional_kwargs == {}
    assert answer.raw["usage"]["output_tokens"] == 16


@every_way
async def test_markers_name_the_ids_of_results(make: Make, ask: Any) -> None:
    answer = await ask(make({"agent": "multi"}))
    text = answer.message.content
    cited = [c for c in answer.additional_kwargs["citations"] if c["spans"]]
    assert sorted(c["marker"] for c in cited) == [1, 2]
    for citation in cited:
        ((start, end),) = citation["spans"]
        assert text[start:end] == f"[web:{citation['marker']}]"


def test_all_that_was_spent_is_told(server: FaultServer) -> None:
    server.replies(WIRE["agent_fetched"].reply())
    with of(server) as llm:
        answer = llm.chat(ASKED)
    spent = {"cached_tokens": 8, "cache_written_tokens": 0, "reasoning_tokens": 0}
    assert spent.items() <= answer.additional_kwargs.items()


def test_a_text_is_completed_with_the_same_facts(make: Make) -> None:
    *_, last = make().stream_complete(QUESTION)
    assert last.text == TEXT
    assert len(last.additional_kwargs["citations"]) == 2
    assert len(last.additional_kwargs["server_tools"]) == 1


@pytest.mark.parametrize("name", sorted(n for n in WIRE if not n.startswith("err_")))
def test_whatever_the_wire_says_can_be_shown(server: FaultServer, name: str) -> None:
    case = WIRE[name]
    server.replies(case.reply())
    with of(server) as llm:
        answer = list(llm.stream_chat(ASKED))[-1] if case.stream else llm.chat(ASKED)
    assert answer.message.content == case.expected["text"]
    urls = [c.get("url") for c in answer.additional_kwargs["citations"]]
    assert urls == [c.get("url") for c in case.expected["citations"]]


def _failing() -> list[WireCase]:
    return [WIRE[name] for name in sorted(WIRE) if name.startswith("err_agent")]


@pytest.mark.parametrize("case", _failing(), ids=lambda case: case.name)
def test_failures_are_typed(server: FaultServer, case: WireCase) -> None:
    server.replies(case.reply())
    failure = case.expected["error"]
    assert failure is not None
    with of(server) as llm, pytest.raises(ServiceError) as caught:
        list(llm.stream_chat(ASKED)) if case.stream else llm.chat(ASKED)
    assert failure["message"] in str(caught.value)


def test_functions_are_offered_beside_the_services_tools(server: FaultServer) -> None:
    server.replies(WIRE["agent_tool_call"].reply())
    with of(server, server_tools=[{"type": "fetch_url"}]) as llm:
        answer = llm.chat_with_tools([TOOL], "q", tool_choice="get_weather")
        (selection,) = llm.get_tool_calls_from_response(answer)
    body = server.requests[-1].json()
    assert [t["type"] for t in body["tools"]] == ["fetch_url", "web_search", "function"]
    assert body["tools"][2]["name"] == "get_weather"
    assert body["tool_choice"] == {"name": "get_weather"}
    assert (selection.tool_name, selection.tool_kwargs) == ("tide_at", {"port": "Skerry"})


def test_a_call_goes_back_with_its_signature(server: FaultServer) -> None:
    server.replies(WIRE["agent_tool_call"].reply(), WIRE["agent_whole"].reply())
    with of(server) as llm:
        called = llm.chat(ASKED)
        result = ChatMessage("low", role=MessageRole.TOOL)
        result.additional_kwargs["tool_call_id"] = "call_8"
        llm.chat([*ASKED, called.message, result])
    _, call, returned = server.requests[-1].json()["input"]
    assert call["thought_signature"] == returned["thought_signature"] == "c2lnbmVk"


def test_a_streamed_call_comes_whole(server: FaultServer) -> None:
    told = {"type": "response.completed", "response": json.loads(WIRE["agent_tool_call"].body)}
    server.replies(sse_reply(json.dumps(told)))
    with of(server) as llm:
        *_, last = llm.stream_chat(ASKED)
    (block,) = [b for b in last.message.blocks if isinstance(b, ToolCallBlock)]
    assert block.tool_kwargs == {"port": "Skerry"}


@of_an_agent
async def test_an_agent_of_llama_index_calls_functions(make: Make) -> None:
    agent = FunctionAgent(tools=[get_weather], llm=make())
    assert "It rains in Oslo." in str(await agent.run("What is the weather in Oslo?"))


@of_an_agent
async def test_an_agent_of_llama_index_lets_the_service_search(make: Make) -> None:
    agent = FunctionAgent(tools=[get_weather], llm=make())
    answer: Any = await agent.run(QUESTION)
    assert str(answer) == TEXT
    assert any(isinstance(b, CitationBlock) for b in answer.response.blocks)


def test_answers_are_objects_of_a_class(make: Make, server: FaultServer) -> None:
    llm = make(web_search=False)
    assert isinstance(llm.structured_predict(Lamp, PromptTemplate(QUESTION)), Lamp)
    server.replies(WIRE["agent_whole"].reply())
    with of(server) as asked, pytest.raises(ServiceError, match="no Lamp"):
        asked.structured_predict(Lamp, PromptTemplate(QUESTION))
    assert server.requests[-1].json()["response_format"]["json_schema"]["name"] == "Lamp"


def test_sources_are_nodes(make: Make) -> None:
    answer = make().as_query_engine().query(QUESTION)
    assert [n.score for n in answer.source_nodes] == [None, None]
    assert "9 watts" in answer.source_nodes[0].node.get_content(MetadataMode.NONE)
    found = make().as_retriever(similarity_top_k=1).retrieve(QUESTION)
    assert [n.node_id for n in found] == [answer.source_nodes[0].node_id]


def test_a_page_that_was_fetched_is_a_source(server: FaultServer) -> None:
    server.replies(WIRE["agent_fetched"].reply())
    with of(server) as llm:
        answer = llm.chat(ASKED)
    (citation,) = answer.additional_kwargs["citations"]
    assert citation["spans"] == []
    assert "marker" not in citation
    assert answer.additional_kwargs["server_tools"][0]["name"] == "fetch_url"


def test_an_answer_can_be_gone_on_from(make: Make) -> None:
    llm = make()
    first = llm.chat(ASKED).additional_kwargs["id"]
    second = llm.chat([ChatMessage("And why?")], previous_response_id=first)
    assert second.additional_kwargs["previous_response_id"] == first


def test_a_run_in_the_background_is_read_when_it_is_done(make: Make) -> None:
    llm = make()
    run = llm.start(ASKED)
    assert (run.status, run.done, run.answer) == ("queued", False, None)
    assert llm.get_response(run.id).status == "in_progress"
    answer = llm.get_response(run.id).answer
    assert answer is not None
    assert answer.message.content == TEXT
    assert answer.additional_kwargs["citations"][0]["spans"]


async def test_a_run_may_be_asked_a_text(make: Make) -> None:
    async with make({"polls": 0}) as llm:
        run = llm.get_response(llm.start(QUESTION).id)
        assert run.answer is not None
        assert run.answer.message.content == TEXT
        assert (await llm.astart(QUESTION)).status == "queued"


async def test_a_run_in_the_background_can_be_cancelled(make: Make) -> None:
    async with make() as llm:
        run = await llm.astart(ASKED)
        assert await llm.acancel(run.id) == "cancelling"
        assert (await llm.aget_response(run.id)).status == "cancelled"
        with pytest.raises(BadRequestError, match="already terminal"):
            llm.cancel(run.id)


def test_an_answer_that_was_not_kept_is_not_found(make: Make) -> None:
    llm = make(store=False)
    with pytest.raises(NotFoundError):
        llm.get_response(llm.chat(ASKED).additional_kwargs["id"])


def test_the_model_behind_a_bundle_is_told(make: Make) -> None:
    llm = make(model=None, web_search=None, effort="low")
    assert llm.metadata.model_name == "low"
    *_, last = llm.stream_chat(ASKED)
    assert last.additional_kwargs["model"] == "openai/gpt-6-luna"


def test_models_of_chat_completions_are_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidParameterError, match="effort='low'"):
        PerplexityAgent(model="sonar-pro", api_key="k")


def test_it_survives_being_written_as_a_dict() -> None:
    llm = PerplexityAgent(model="a/b", api_key="secret-key", max_tokens=20, web_search=True)
    known = llm.to_dict()
    assert "secret-key" not in str(known)
    again = PerplexityAgent.from_dict(known, api_key="k")
    assert (again.model, again.max_tokens, again.web_search) == ("a/b", 20, True)
    assert again.metadata.is_function_calling_model


def test_it_is_imported_when_it_is_asked_for() -> None:
    assert "PerplexityAgent" in llama_index_qaip.__all__
    assert "PerplexityAgent" in dir(llama_index_qaip)
