"""ChatPerplexityAgent: searches as blocks, one list of citations, tools, runs that are kept."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.exceptions import ModelInvalidRequestError
from langchain_core.load import dumpd, load
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from pydantic import BaseModel

import langchain_qaip
from langchain_qaip import ChatPerplexityAgent, documents, register_providers
from langchain_qaip.errors import (
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
BLOCKS = ["server_tool_call", "server_tool_result", "text"]
WIRE = {case.name: case for case in cases("perplexity") if case.operation == "agent"}
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
Make = Callable[..., ChatPerplexityAgent]


class Lamp(BaseModel):
    """A lamp."""

    name: str


@tool
def get_weather(city: str) -> str:
    """Tells the weather of a city."""
    return f"It rains in {city}."


@pytest.fixture
def make(sandbox: Sandbox) -> Iterator[Make]:
    """Make models that ask the sandbox."""
    made: list[ChatPerplexityAgent] = []

    def at(switches: Any = None, **fields: Any) -> ChatPerplexityAgent:
        made.append(
            ChatPerplexityAgent(
                api_key=sandbox.env["PERPLEXITY_API_KEY"],
                base_url=sandbox.env["PERPLEXITY_BASE_URL"],
                default_headers={"x-sandbox-switches": json.dumps(switches or {})},
                **{"model": "perplexity/sonar", "web_search": True, **fields},
            )
        )
        return made[-1]

    yield at
    for model in made:
        model.close()


def of(server: FaultServer, **fields: Any) -> ChatPerplexityAgent:
    known = {"model": "perplexity/sonar", "web_search": True, "max_retries": 0}
    return ChatPerplexityAgent(api_key="k", base_url=server.url, **{**known, **fields})


def merged(chunks: Any) -> Any:
    first, *others = chunks
    return sum(others, first)


async def _invoke(model: Any) -> Any:
    return model.invoke(QUESTION)


async def _ainvoke(model: Any) -> Any:
    return await model.ainvoke(QUESTION)


async def _stream(model: Any) -> Any:
    return merged(model.stream(QUESTION))


async def _astream(model: Any) -> Any:
    return merged([chunk async for chunk in model.astream(QUESTION)])


async def _events(model: Any) -> Any:
    stream = model.stream_events(QUESTION, version="v3")
    return stream.output


async def _aevents(model: Any) -> Any:
    stream = await model.astream_events(QUESTION, version="v3")
    return await stream.output


WAYS = [_invoke, _ainvoke, _stream, _astream, _events, _aevents]
every_way = pytest.mark.parametrize("ask", WAYS, ids=[way.__name__.strip("_") for way in WAYS])


def plain(blocks: Any) -> list[Any]:
    """Blocks without what tells one answer from another, or a stream from a whole."""
    known = []
    for block in blocks:
        named = {k: v for k, v in block.items() if k not in ("id", "tool_call_id", "index")}
        known.append(named)
    return known


@beta
@every_way
@pytest.mark.parametrize("version", [None, "v1"])
async def test_searches_stand_before_the_text_in_every_form(
    make: Make, ask: Any, version: Any
) -> None:
    whole = make().invoke(QUESTION)
    answer = await ask(make(output_version=version))
    assert [block["type"] for block in answer.content_blocks] == BLOCKS
    assert plain(answer.content_blocks) == plain(whole.content_blocks)
    call, result, text = answer.content_blocks
    assert (call["name"], call["args"]) == ("web_search", {"queries": [QUESTION]})
    assert call["id"] == result["tool_call_id"]
    assert call["id"].startswith(answer.id)
    assert result["output"][0]["id"] == 1
    assert text["text"] == TEXT


@beta
@every_way
async def test_citations_are_the_same_in_every_form(make: Make, ask: Any) -> None:
    answer = await ask(make({"agent": "multi"}))
    (block,) = (b for b in answer.content_blocks if b["type"] == "text")
    marked = [n for n in block["annotations"] if "start_index" in n]
    places = [block["text"][n["start_index"] : n["end_index"]] for n in marked]
    assert sorted(places) == ["[web:1]", "[web:2]"]
    assert {f"[web:{n['extras']['marker']}]" for n in marked} == set(places)
    assert {n["id"] for n in block["annotations"]} == {d.id for d in documents(answer)}


@every_way
@beta
async def test_facts_are_the_same_in_every_form(make: Make, ask: Any) -> None:
    answer = await ask(make())
    facts = answer.response_metadata
    assert facts["finish_reason"] == "stop"
    assert facts["model_name"] == "perplexity/sonar"
    assert facts["model_provider"] == "qaip-perplexity"
    assert facts["cost"]["currency"] == "USD"
    assert facts["tool_calls_details"]["search_web"]["invocation"] == 1
    assert answer.usage_metadata["total_tokens"] == 23
    assert answer.id.startswith("resp_")
    assert len(answer.additional_kwargs["server_tools"]) == 1


@beta
@every_way
async def test_the_model_behind_a_bundle_is_told(make: Make, ask: Any) -> None:
    answer = await ask(make(model=None, web_search=None, effort="low"))
    facts = answer.response_metadata
    named = {facts["model_name"], facts.get("resolved_model", facts["model_name"])}
    assert named in ({"openai/gpt-6-luna"}, {"low", "openai/gpt-6-luna"})


@pytest.mark.parametrize("name", sorted(n for n in WIRE if not n.startswith("err_")))
def test_whatever_the_wire_says_can_be_shown(server: FaultServer, name: str) -> None:
    case = WIRE[name]
    server.replies(case.reply())
    with of(server) as model:
        answer = merged(model.stream("q")) if case.stream else model.invoke("q")
    replaced = answer.additional_kwargs.get("replacements")
    assert (replaced[-1] if replaced else answer.text) == case.expected["text"]
    urls = [c.get("url") for c in answer.additional_kwargs.get("citations", ())]
    assert urls == [c.get("url") for c in case.expected["citations"]]


def _failing() -> list[WireCase]:
    return [WIRE[name] for name in sorted(WIRE) if name.startswith("err_agent")]


@pytest.mark.parametrize("case", _failing(), ids=lambda case: case.name)
def test_failures_are_typed(server: FaultServer, case: WireCase) -> None:
    server.replies(case.reply())
    failure = case.expected["error"]
    assert failure is not None
    with of(server) as model, pytest.raises(ServiceError) as caught:
        merged(model.stream("q")) if case.stream else model.invoke("q")
    assert failure["message"] in str(caught.value)
    assert "langchain_qaip" in type(caught.value).__module__


def test_tools_of_the_service_and_functions_are_bound_alike(server: FaultServer) -> None:
    server.replies(WIRE["agent_tool_call"].reply())
    with of(server, web_search=None, server_tools=[{"type": "fetch_url"}]) as model:
        bound = model.bind_tools([{"type": "web_search", "max_results": 3}, get_weather])
        answer = bound.invoke("q")
    body = server.requests[-1].json()
    assert [t["type"] for t in body["tools"]] == ["fetch_url", "web_search", "function"]
    assert body["tools"][1] == {"type": "web_search", "max_results": 3}
    assert body["tools"][2]["name"] == "get_weather"
    assert [call["name"] for call in answer.tool_calls] == ["tide_at"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("any", "required"),
        ("get_weather", {"name": "get_weather"}),
        ("web_search", {"type": "web_search"}),
        (False, "none"),
    ],
)
def test_a_choice_of_tools_is_sent_as_the_service_writes_it(
    server: FaultServer, choice: Any, sent: Any
) -> None:
    server.replies(WIRE["agent_whole"].reply())
    with of(server) as model:
        model.bind_tools([get_weather], tool_choice=choice).invoke("q")
    assert server.requests[-1].json()["tool_choice"] == sent


def test_a_function_may_be_declared_as_the_service_writes_it(server: FaultServer) -> None:
    server.replies(WIRE["agent_whole"].reply())
    declared = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
    with of(server, web_search=None) as model:
        model.bind_tools([declared], tool_choice="weather").invoke("q")
    body = server.requests[-1].json()
    assert body["tools"] == [declared]
    assert body["tool_choice"] == {"name": "weather"}


def test_a_choice_of_no_tool_is_refused(server: FaultServer) -> None:
    with of(server) as model, pytest.raises(InvalidParameterError, match="get_weather"):
        model.bind_tools([get_weather], tool_choice="get_wether")


def test_a_call_goes_back_with_its_signature(server: FaultServer) -> None:
    server.replies(WIRE["agent_tool_call"].reply(), WIRE["agent_whole"].reply())
    with of(server) as model:
        called = model.invoke("q")
        model.invoke([HumanMessage("q"), called, ToolMessage("low", tool_call_id="call_8")])
    _, call, result = server.requests[-1].json()["input"]
    assert call["thought_signature"] == result["thought_signature"] == "c2lnbmVk"
    assert result["output"] == "low"


def test_a_streamed_call_keeps_its_signature(server: FaultServer) -> None:
    case = WIRE["agent_tool_call"]
    told = {"type": "response.completed", "response": json.loads(case.body)}
    server.replies(sse_reply(json.dumps(told)))
    with of(server) as model:
        answer = merged(model.stream("q"))
    assert answer.tool_calls[0]["args"] == {"port": "Skerry"}
    assert answer.additional_kwargs["thought_signatures"] == {"call_8": "c2lnbmVk"}


def test_what_the_service_did_is_not_sent_back(make: Make, server: FaultServer) -> None:
    answer = make(output_version="v1").invoke(QUESTION)
    server.replies(WIRE["agent_whole"].reply())
    with of(server) as model:
        model.invoke([SystemMessage("Be brief."), HumanMessage(QUESTION), answer, "And why?"])
    said = server.requests[-1].json()["input"]
    assert [item["role"] for item in said] == ["system", "user", "assistant", "user"]
    assert said[2]["content"] == TEXT


def test_an_agent_of_langchain_calls_functions(make: Make) -> None:
    agent = create_agent(make(), [get_weather])
    answer = agent.invoke({"messages": [HumanMessage("What is the weather in Oslo?")]})
    kinds = [type(message) for message in answer["messages"]]
    assert kinds == [HumanMessage, AIMessage, ToolMessage, AIMessage]
    assert "It rains in Oslo." in answer["messages"][-1].text


async def test_an_agent_of_langchain_may_be_given_the_services_tools(make: Make) -> None:
    agent = create_agent(make(web_search=None), [{"type": "web_search"}, get_weather])
    answer = await agent.ainvoke({"messages": [HumanMessage(QUESTION)]})
    assert documents(answer["messages"][-1])


@pytest.mark.parametrize("method", ["json_schema", "function_calling", "json_mode"])
def test_answers_are_objects_of_a_class(make: Make, method: Any) -> None:
    found = make(web_search=False).with_structured_output(Lamp, method=method).invoke(QUESTION)
    assert isinstance(found, Lamp)


def test_a_schema_is_enforced_by_the_service(server: FaultServer) -> None:
    server.replies(WIRE["agent_whole"].reply())
    with of(server) as model:
        model.with_structured_output(Lamp, include_raw=True, strict=True).invoke("q")
    wanted = server.requests[-1].json()["response_format"]
    assert wanted["json_schema"]["name"] == "Lamp"
    assert wanted["json_schema"]["strict"] is True


def test_a_retriever_returns_what_was_found(make: Make) -> None:
    found = make().as_retriever(k=1).invoke(QUESTION)
    assert [d.metadata["rank"] for d in found] == [1]


def test_an_answer_can_be_gone_on_from(make: Make) -> None:
    model = make()
    first = model.invoke(QUESTION)
    second = model.invoke("And the other?", previous_response_id=first.id)
    assert second.response_metadata["previous_response_id"] == first.id


def test_a_run_in_the_background_is_read_when_it_is_done(make: Make) -> None:
    model = make({"polls": 2})
    run = model.start(QUESTION)
    assert (run.status, run.answer) == ("queued", None)
    states = [model.get_response(run.id).status for _ in range(3)]
    assert states == ["in_progress", "in_progress", "completed"]
    answer = model.get_response(run.id).answer
    assert answer is not None
    assert answer.text == TEXT
    assert answer.additional_kwargs["annotations"][0]["start_index"] == TEXT.index("[1]")


async def test_a_run_in_the_background_can_be_cancelled(make: Make) -> None:
    async with make() as model:
        run = await model.astart([HumanMessage(QUESTION)])
        assert await model.acancel(run.id) == "cancelling"
        read = await model.aget_response(run.id)
        assert (read.status, read.done) == ("cancelled", True)
        with pytest.raises(BadRequestError, match="already terminal"):
            await model.acancel(run.id)
    with make() as model:
        assert model.cancel(model.start(QUESTION).id) == "cancelling"


def test_an_answer_that_was_not_kept_is_not_found(make: Make) -> None:
    model = make(store=False)
    answer = model.invoke(QUESTION)
    assert answer.id is not None
    with pytest.raises(NotFoundError, match="resource not found"):
        model.get_response(answer.id)


def test_a_refusal_is_langchains_error_too(make: Make) -> None:
    with pytest.raises(ModelInvalidRequestError, match="is not supported"):
        make(model="perplexity/unheard-of").invoke(QUESTION)


def test_models_of_chat_completions_are_refused_with_what_to_write() -> None:
    with pytest.raises(InvalidParameterError, match="model='perplexity/sonar', web_search=True"):
        ChatPerplexityAgent(model="sonar", api_key="k")


@beta
def test_it_survives_being_dumped_and_loaded() -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    search = {"filters": {"search_recency_filter": "week"}}
    model = ChatPerplexityAgent(
        model="a/b", api_key="k", max_tokens=100, web_search=search, tools=tools
    )
    loaded = load(
        dumpd(model),
        allowed_objects=[ChatPerplexityAgent],
        valid_namespaces=["langchain_qaip"],
        secrets_map={"PERPLEXITY_API_KEY": "k"},
    )
    assert loaded._identifying_params == model._identifying_params
    assert (loaded.max_tokens, loaded.web_search) == (100, search)


def test_it_can_be_made_by_its_name() -> None:
    from langchain.chat_models import init_chat_model

    register_providers()
    model = init_chat_model("qaip-perplexity-agent:openai/gpt-6-luna", api_key="k")
    assert isinstance(model, ChatPerplexityAgent)
    assert model.model == "openai/gpt-6-luna"


def test_its_profile_says_what_it_takes() -> None:
    profile: Any = ChatPerplexityAgent(model="a/b", api_key="k").profile
    takes = ("tool_calling", "structured_output", "image_inputs", "pdf_inputs", "video_inputs")
    assert [profile[name] for name in takes] == [True, True, True, True, False]


def test_it_is_imported_when_it_is_asked_for() -> None:
    assert "ChatPerplexityAgent" in langchain_qaip.__all__
    assert "ChatPerplexityAgent" in dir(langchain_qaip)


def test_the_search_can_be_switched_off_for_one_call(server: FaultServer) -> None:
    server.replies(WIRE["agent_whole"].reply())
    with of(server) as model:
        model.invoke("q", web_search=False)
    assert "tools" not in server.requests[-1].json()
