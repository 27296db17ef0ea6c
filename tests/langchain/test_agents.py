"""Agents: LangChain's `create_agent` with each chat model, its tools, formats and middleware."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import (
    ModelFallbackMiddleware,
    ModelRetryMiddleware,
    SummarizationMiddleware,
)
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core import exceptions as theirs
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool, ToolException, create_retriever_tool, tool
from pydantic import BaseModel

from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .models import CHATS, CITING, Kind, every, named

FIREWORKS = named("fireworks")
NATIVE = [kind for kind in CHATS if "json_schema" in kind.cls.endpoint.formats]
WITH_TOOLS = [kind for kind in CHATS if kind.cls.endpoint.takes("tools")]
PROMPTED = [kind for kind in CHATS if kind not in NATIVE]
SAYS = "The tool says: "  # as the sandbox begins, where it is Fireworks
LAMPS = "Which lamp draws how many watts?"
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])


@tool
def weigh(lamp: int) -> str:
    """Weigh a lamp."""
    return f"The lamp weighs {lamp} kg."


class Lamp(BaseModel):
    """A lamp."""

    name: str
    watts: int


def asked(text: str) -> Any:
    return {"messages": [HumanMessage(text)]}


async def run(agent: Any, text: str, *, sync: bool = True) -> Any:
    """Return the final state."""
    return agent.invoke(asked(text)) if sync else await agent.ainvoke(asked(text))


def kinds(messages: Sequence[Any]) -> list[str]:
    return [message.type for message in messages]


def said(text: str) -> Reply:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    return json_reply({"id": "b", "model": "m", "created": 1, "choices": [choice]})


def search(kind: Kind, model: Any) -> BaseTool:
    """Return a tool that asks a service for sources."""
    return create_retriever_tool(
        model.as_retriever(),
        "search",
        "Search the documents about lamps.",
        response_format="content_and_artifact",
    )


# ---- tools


@both_lanes
@both_versions
@every(WITH_TOOLS)
async def test_an_agent_calls_its_tool_and_answers(
    kind: Kind, version: str, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, output_version=version) as model:
        agent = create_agent(model, [weigh], system_prompt="Be brief.")
        state = await run(agent, "Call weigh for lamp 3", sync=sync)
    assert kinds(state["messages"]) == ["human", "ai", "tool", "ai"]
    _, calling, result, answer = state["messages"]
    assert calling.tool_calls[0]["args"] == {"lamp": 3}
    assert result.tool_call_id == calling.tool_calls[0]["id"]
    assert answer.text.removeprefix(SAYS) == "The lamp weighs 3 kg."


@both_lanes
@both_versions
@every(WITH_TOOLS)
async def test_an_agent_streams_tokens_and_calls(
    kind: Kind, version: str, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, output_version=version) as model:
        agent: Any = create_agent(model, [weigh])
        given, mode = asked("Call weigh for lamp 3"), "messages"
        found = (
            list(agent.stream(given, stream_mode=mode))
            if sync
            else [part async for part in agent.astream(given, stream_mode=mode)]
        )
    chunks = [message for message, _ in found if isinstance(message, AIMessageChunk)]
    text = "".join(chunk.text for chunk in chunks)
    assert text.removeprefix(SAYS) == "The lamp weighs 3 kg."
    assert sum(bool(chunk.text) for chunk in chunks) > 3
    pieces = "".join(c["args"] or "" for chunk in chunks for c in chunk.tool_call_chunks)
    assert json.loads(pieces) == {"lamp": 3}


@both_lanes
@every(WITH_TOOLS)
async def test_the_error_of_a_tool_is_told_to_the_model(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    @tool
    def weigh(lamp: int) -> str:
        """Weigh a lamp."""
        raise ToolException("The scales are broken.")

    weigh.handle_tool_error = True
    async with kind.over(sandbox) as model:
        state = await run(create_agent(model, [weigh]), "Call weigh for lamp 3", sync=sync)
    assert state["messages"][2].status == "error"
    assert state["messages"][3].text.removeprefix(SAYS) == "The scales are broken."


async def test_arguments_of_another_type_are_reported_to_the_model(server: FaultServer) -> None:
    call = {
        "index": 0,
        "id": "c1",
        "type": "function",
        "function": {"name": "weigh", "arguments": '{"lamp": "heavy"}'},
    }
    choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    server.replies(json_reply({"id": "a", "model": "m", "choices": [choice]}), said("Sorry."))
    with FIREWORKS.at(server.url) as model:
        state = create_agent(model, [weigh]).invoke(asked("q"))
    result = state["messages"][2]
    assert (result.status, state["messages"][3].text) == ("error", "Sorry.")
    sent = server.requests[1].json()["messages"][-1]
    assert sent.keys() == {"role", "content", "tool_call_id"}


def cut_call(arguments: str) -> Reply:
    def event(delta: Any, reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return json.dumps({"id": "a", "model": "m", "choices": [choice]})

    function = {"name": "weigh", "arguments": arguments}
    call = {"index": 0, "id": "c1", "type": "function", "function": function}
    return sse_reply(event({"tool_calls": [call]}), event({}, "length"), "[DONE]")


def test_an_agent_does_not_run_a_call_that_was_cut(server: FaultServer) -> None:
    """A stream that ends at max_tokens may hold 3 of 300."""
    weighed: list[int] = []

    @tool
    def weigh(lamp: int) -> str:
        """Weigh a lamp."""
        weighed.append(lamp)
        return "2 kg"

    server.replies(cut_call('{"lamp": 3'), *[_streamed("Done.")] * 2)
    with FIREWORKS.at(server.url) as model:
        agent: Any = create_agent(model, [weigh])
        list(agent.stream(asked("Weigh lamp 300"), stream_mode="messages"))
    assert weighed == []


def _streamed(text: str) -> Reply:
    events = [
        {"index": 0, "delta": {"content": text}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": "stop"},
    ]
    return sse_reply(*(json.dumps({"id": "b", "choices": [e]}) for e in events), "[DONE]")


# ---- a citing service as a tool


@both_lanes
@every(CITING)
async def test_an_agent_has_the_cited_documents_of_its_tool(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with FIREWORKS.over(sandbox) as model, kind.over(sandbox) as citing:
        agent = create_agent(model, [search(kind, citing)])
        state = await run(agent, "Use search: which lamp draws how many watts?", sync=sync)
    (result,) = [m for m in state["messages"] if isinstance(m, ToolMessage)]
    assert result.artifact
    assert all(isinstance(document, Document) and document.id for document in result.artifact)
    assert any("watts" in document.page_content for document in result.artifact)


@pytest.mark.parametrize("asking", WITH_TOOLS, ids=lambda asking: asking.id)
@every(CITING)
def test_an_agent_answers_from_what_its_tool_found(
    kind: Kind, asking: Kind, sandbox: Sandbox
) -> None:
    with asking.over(sandbox) as model, kind.over(sandbox) as citing:
        agent = create_agent(model, [search(kind, citing)])
        state = agent.invoke(asked("Use search: which lamp draws how many watts?"))
    answer = state["messages"][-1]
    assert isinstance(answer, AIMessage)
    assert "9 watts" in answer.text


@every(CITING)
def test_the_documents_are_not_sent_beside_their_text(kind: Kind, sandbox: Sandbox) -> None:
    with FIREWORKS.over(sandbox) as model, kind.over(sandbox) as citing:
        create_agent(model, [search(kind, citing)]).invoke(asked("Use search: lamps"))
    sent = [r for r in sandbox.requests if r.service == "fireworks"][-1].body
    assert isinstance(sent, dict)
    (result,) = [turn for turn in sent["messages"] if turn["role"] == "tool"]
    assert result.keys() == {"role", "content", "tool_call_id"}


@every(CITING)
async def test_an_agent_tells_the_sources_while_it_streams(kind: Kind, sandbox: Sandbox) -> None:
    async with FIREWORKS.over(sandbox) as model, kind.over(sandbox) as citing:
        agent: Any = create_agent(model, [search(kind, citing)])
        steps = [step async for step in agent.astream(asked("Use search: lamps"))]
    assert [next(iter(step)) for step in steps] == ["model", "tools", "model"]
    assert steps[1]["tools"]["messages"][0].artifact


@every([kind for kind in CHATS if not kind.cls.endpoint.takes("tools")])
def test_an_agent_with_tools_on_a_service_without_says_what_to_do(
    kind: Kind, server: FaultServer
) -> None:
    with kind.at(server.url) as model:
        agent = create_agent(model, [weigh])
        with pytest.raises(theirs.ModelInvalidRequestError, match="ChatFireworks"):
            agent.invoke(asked("q"))
    assert not server.requests


# ---- without tools


@both_lanes
@every(CHATS)
async def test_an_agent_without_tools_answers(kind: Kind, sync: bool, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        agent = create_agent(model, [], system_prompt="Be brief.")
        state = await run(agent, LAMPS, sync=sync)
    assert "9 watts" in state["messages"][-1].text


@every(CITING)
def test_the_answer_of_an_agent_is_cited(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        state = create_agent(model, []).invoke(asked(LAMPS))
    assert state["messages"][-1].additional_kwargs["citations"]


@every(CHATS)
def test_an_agent_goes_on_with_its_own_answer(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        agent = create_agent(model, [])
        first = agent.invoke(asked("How long lasts the battery of the Solstice lamp?"))
        again = agent.invoke({"messages": [*first["messages"], HumanMessage(LAMPS)]})
    assert kinds(again["messages"]) == ["human", "ai", "human", "ai"]
    assert "Solstice lamp" in again["messages"][-1].text


# ---- structured answers


@both_lanes
@every(NATIVE)
async def test_a_schema_is_enforced_by_the_service_that_can(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        agent = create_agent(model, [], response_format=Lamp)
        state = await run(agent, LAMPS, sync=sync)
    assert isinstance(state["structured_response"], Lamp)
    assert kinds(state["messages"]) == ["human", "ai"]  # no tool call stands in between


@every(NATIVE)
def test_the_schema_goes_over_the_wire(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        create_agent(model, [], response_format=Lamp).invoke(asked(LAMPS))
    body = sandbox.requests[-1].body
    assert isinstance(body, dict)
    assert body["response_format"]["json_schema"]["name"] == "Lamp"
    assert "function" not in {tool["type"] for tool in body.get("tools", [])}


@both_lanes
@every(WITH_TOOLS)
async def test_tools_and_a_schema_go_together(kind: Kind, sync: bool, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        agent = create_agent(model, [weigh], response_format=Lamp)
        state = await run(agent, "Call weigh for lamp 3", sync=sync)
    assert kinds(state["messages"]) == ["human", "ai", "tool", "ai"]
    assert isinstance(state["structured_response"], Lamp)


@both_lanes
@every(WITH_TOOLS)
async def test_a_schema_may_be_a_tool(kind: Kind, sync: bool, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        agent = create_agent(model, [], response_format=ToolStrategy(Lamp))
        state = await run(agent, "The lamp with 3 watts", sync=sync)
    assert state["structured_response"].watts == 3


@both_lanes
@every(PROMPTED)
async def test_a_schema_is_prompted_where_the_service_has_none(
    kind: Kind, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox) as model:
        agent = create_agent(model, [], response_format=ProviderStrategy(Lamp))
        state = await run(agent, LAMPS, sync=sync)
    assert isinstance(state["structured_response"], Lamp)


@every(CHATS)
def test_a_strict_schema_is_answered(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        agent = create_agent(model, [], response_format=ProviderStrategy(Lamp, strict=True))
        assert isinstance(agent.invoke(asked(LAMPS))["structured_response"], Lamp)


@every(CHATS)
async def test_a_structured_answer_is_streamed(kind: Kind, sandbox: Sandbox) -> None:
    async with kind.over(sandbox) as model:
        agent: Any = create_agent(model, [], response_format=ProviderStrategy(Lamp))
        given = asked(LAMPS)
        tokens, states = [], []
        async for mode, part in agent.astream(given, stream_mode=["messages", "values"]):
            (tokens if mode == "messages" else states).append(part)
    text = "".join(chunk.text for chunk, _ in tokens)
    assert Lamp.model_validate_json(text) == states[-1]["structured_response"]


# ---- middleware


def busy() -> Reply:
    return json_reply({"message": "busy"}, 429)


@both_lanes
@every(CHATS)
async def test_the_retry_middleware_asks_again_after_a_rate_limit(
    kind: Kind, sync: bool, server: FaultServer
) -> None:
    server.replies(busy(), kind.reply(stream=kind.streams_whole))
    async with kind.at(server.url) as model:
        again = ModelRetryMiddleware(max_retries=1, initial_delay=0, jitter=False)
        state = await run(create_agent(model, [], middleware=[again]), "q", sync=sync)
    assert state["messages"][-1].text
    assert len(server.requests) == 2


async def test_the_retry_middleware_does_not_repeat_a_wrong_key(server: FaultServer) -> None:
    server.replies(json_reply({"message": "no"}, 401))
    with FIREWORKS.at(server.url) as model:
        again = ModelRetryMiddleware(max_retries=2, initial_delay=0, jitter=False)
        with pytest.raises(theirs.ModelAuthenticationError):
            create_agent(model, [], middleware=[again]).invoke(asked("q"))
    assert len(server.requests) == 1


@both_lanes
async def test_the_fallback_middleware_asks_another_service(sync: bool, sandbox: Sandbox) -> None:
    with FaultServer() as server:
        server.replies(busy())
        async with FIREWORKS.at(server.url) as first, CITING[0].over(sandbox) as second:
            instead = ModelFallbackMiddleware(second)
            agent = create_agent(first, [], middleware=[instead])
            state = await run(agent, LAMPS, sync=sync)
    assert "9 watts" in state["messages"][-1].text


@every(CHATS)
def test_the_summarization_middleware_shortens_a_history(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        shorten = SummarizationMiddleware(model, trigger=("messages", 4), keep=("messages", 1))
        agent = create_agent(model, [], middleware=[shorten])
        history = [HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("Hm."), AIMessage("So?")]
        state = agent.invoke({"messages": [*history, HumanMessage(LAMPS)]})
    assert kinds(state["messages"]) == ["human", "human", "ai"]  # summary, question, answer


def test_the_summarization_middleware_knows_the_size_of_a_loaded_profile(
    sandbox: Sandbox,
) -> None:
    params = {"model": "accounts/sandbox/models/extractive"}
    with FIREWORKS.over(sandbox, **params) as model:
        model.load_profile()
        shorten = SummarizationMiddleware(model, trigger=("fraction", 0.5), keep=("fraction", 0.1))
        state = create_agent(model, [], middleware=[shorten]).invoke(asked(LAMPS))
    assert "9 watts" in state["messages"][-1].text


@every(WITH_TOOLS)
def test_the_usage_of_a_run_is_counted(kind: Kind, sandbox: Sandbox) -> None:
    with kind.over(sandbox) as model:
        state = create_agent(model, [weigh]).invoke(asked("Call weigh for lamp 3"))
    counts = [m.usage_metadata for m in state["messages"] if isinstance(m, AIMessage)]
    assert all(count and count["total_tokens"] > 0 for count in counts)
