"""Function calling: what is offered, what comes back, and calls that were cut."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import TextBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from llama_index_qaip.testing import Call
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .speech import sent_turns, spoken

Make = Callable[..., Any]
LANES = ("sync", "async")
both_lanes = pytest.mark.parametrize("lane", LANES)


def tide(port: str, day: int = 1) -> str:
    """Tells the tide."""
    return f"high at {port} on {day}"


TOOLS = [FunctionTool.from_defaults(tide)]


every_caller = pytest.mark.parametrize("service", ["fireworks", "perplexity-agent"])


def call(arguments: str, id_: str = "7") -> Call:
    return Call("tide", arguments, id_)


@every_caller
@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"parallel_tool_calls": False}),
        ({"tool_required": True}, {"tool_choice": "required"}),
        ({"tool_choice": "any"}, {"tool_choice": "required"}),
        ({"tool_choice": "auto", "tool_required": True}, {"tool_choice": "auto"}),
        ({"tool_choice": "tide"}, {"tool_choice": {"name": "tide"}}),
        ({"allow_parallel_tool_calls": True}, {"parallel_tool_calls": True}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
    ],
    ids=str,
)
def test_how_tools_are_offered(
    service: str, given: dict[str, Any], sent: dict[str, Any], make: Make, server: FaultServer
) -> None:
    server.replies(spoken(service, "whole", finish="tool_calls", calls=[call("{}")]))
    make(service).chat_with_tools(TOOLS, "q", [ChatMessage("before")], **given)
    body = server.requests[0].json()
    if isinstance(choice := body.get("tool_choice"), dict):  # each has a form of its own
        assert choice.get("function", choice)["name"] == sent["tool_choice"]["name"]
    else:
        assert sent.items() <= body.items()
    assert [content for _, content in sent_turns(body)] == ["before", "q"]
    (tool,) = body["tools"]
    function = tool.get("function", tool)
    assert function["name"] == "tide"
    assert function["parameters"]["required"] == ["port"]
    assert ("tool_choice" in body) is ("tool_choice" in sent)


@every_caller
def test_no_tools_are_no_tools_on_the_wire(service: str, make: Make, server: FaultServer) -> None:
    server.replies(spoken(service, "whole", "hm"))
    make(service).chat_with_tools([], "q", tool_required=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & server.requests[0].json().keys()


@every_caller
def test_a_choice_of_no_tool_is_refused_before_it_is_sent(
    service: str, make: Make, server: FaultServer
) -> None:
    with pytest.raises(InvalidParameterError, match="names none of the tools 'tide'"):
        make(service).chat_with_tools(TOOLS, "q", tool_choice="tied")
    assert server.requests == []


@every_caller
def test_strict_tools_are_asked_for_on_the_object_or_for_a_call(
    service: str, make: Make, server: FaultServer
) -> None:
    server.replies(spoken(service, "whole", finish="tool_calls", calls=[call("{}")]))
    make(service, strict=True).chat_with_tools(TOOLS, "q")
    make(service, strict=True).chat_with_tools(TOOLS, "q", strict=False)
    make(service).chat_with_tools(TOOLS, "q")
    tools = [request.json()["tools"][0] for request in server.requests]
    sent = [tool.get("function", tool).get("strict") for tool in tools]
    assert sent == [True, False, None]


@both_lanes
@every_caller
async def test_the_tool_is_chosen_and_called(
    service: str, lane: str, make: Make, server: FaultServer
) -> None:
    calls = [call('{"port": "Bergen", "day": 3}')]
    server.replies(spoken(service, "whole", finish="tool_calls", calls=calls))
    async with make(service) as llm:
        answer = (
            llm.predict_and_call(TOOLS, "q")
            if lane == "sync"
            else await llm.apredict_and_call(TOOLS, "q")
        )
    assert answer.response == "high at Bergen on 3"


def piece(arguments: str, id_: str | None = None) -> dict[str, Any]:
    return {"id": id_, "index": 0, "function": {"name": "tide", "arguments": arguments}}


def streamed(*deltas: dict[str, Any]) -> Reply:
    chunks = [{"id": "1", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    end = {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    return sse_reply(*map(json.dumps, [*chunks, end]), "[DONE]")


@both_lanes
async def test_calls_grow_and_are_whole_at_the_end(
    lane: str, make: Make, server: FaultServer
) -> None:
    pieces = [piece("", "7"), piece('{"port": "Ber'), piece('gen"}')]
    server.replies(streamed(*({"tool_calls": [each]} for each in pieces)))
    async with make("fireworks") as llm:
        if lane == "sync":
            seen = list(llm.stream_chat_with_tools(TOOLS, "q"))
        else:
            seen = [r async for r in await llm.astream_chat_with_tools(TOOLS, "q")]
        chosen = [llm.get_tool_calls_from_response(r) for r in seen]
    arguments = [calls[0].tool_kwargs for calls in chosen]
    assert arguments[:3] == [{}, {"port": "Ber"}, {"port": "Bergen"}]
    assert arguments[-1] == {"port": "Bergen"}
    blocks = [response.message.blocks for response in seen]
    named = {"tool_call_id": "7", "tool_name": "tide"}
    assert blocks[1] == [TextBlock(text=""), ToolCallBlock(**named, tool_kwargs='{"port": "Ber')]
    assert blocks[-1] == [
        TextBlock(text=""),
        ToolCallBlock(**named, tool_kwargs={"port": "Bergen"}),
    ]


@every_caller
@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_a_call_that_was_cut_is_not_made(
    service: str, form: str, make: Make, server: FaultServer
) -> None:
    server.replies(spoken(service, form, finish="length", calls=[call('{"port": "Ber')]))
    llm = make(service)
    if form == "whole":
        answer = llm.chat_with_tools(TOOLS, "q")
    else:
        *_, answer = llm.stream_chat_with_tools(TOOLS, "q")
    with pytest.raises(InvalidOutputError, match="raise max_tokens") as caught:
        llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    assert caught.value.body == '{"port": "Ber'


@every_caller
def test_an_answer_without_a_call_is_an_error_only_on_demand(
    service: str, make: Make, server: FaultServer
) -> None:
    server.replies(spoken(service, "whole", "I would not know."))
    llm = make(service)
    answer = llm.chat_with_tools(TOOLS, "q")
    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
    with pytest.raises(InvalidOutputError, match="I would not know"):
        llm.get_tool_calls_from_response(answer)


@every_caller
@pytest.mark.parametrize("parallel", [False, True])
def test_of_several_calls_one_is_kept_unless_more_are_allowed(
    service: str, parallel: bool, make: Make, server: FaultServer
) -> None:
    twice = [call('{"port": "Oslo"}', id_) for id_ in ("call_0", "call_1")]
    server.replies(spoken(service, "whole", finish="tool_calls", calls=twice))
    llm = make(service)
    answer = llm.chat_with_tools(TOOLS, "q", allow_parallel_tool_calls=parallel)
    chosen = llm.get_tool_calls_from_response(answer)
    assert [c.tool_id for c in chosen] == ["call_0", "call_1"][: 2 if parallel else 1]


def test_calls_without_an_id_get_one(make: Make, server: FaultServer) -> None:
    unnamed = {"tool_calls": [piece('{"port": "Oslo"}'), piece('{"port": "Bergen"}')]}
    server.replies(json_reply({"choices": [{"message": unnamed, "finish_reason": "tool_calls"}]}))
    llm = make("fireworks")
    answer = llm.chat_with_tools(TOOLS, "q", allow_parallel_tool_calls=True)
    chosen = llm.get_tool_calls_from_response(answer)
    assert [c.tool_id for c in chosen] == ["call_0", "call_1"]


@every_caller
def test_a_call_and_its_result_go_back_with_the_history(
    service: str, make: Make, server: FaultServer
) -> None:
    calls = [call('{"port": "Oslo"}')]
    server.replies(spoken(service, "whole", finish="tool_calls", calls=calls))
    llm = make(service)
    asked = llm.chat_with_tools(TOOLS, "q").message
    told = ChatMessage("at 3", role="tool", additional_kwargs={"tool_call_id": "7"})
    llm.chat([ChatMessage("q"), asked, told])
    assert WRITTEN[service](server.requests[1].json()) == ("7", {"port": "Oslo"}, "at 3", "7")


def in_turns(body: Any) -> tuple[Any, ...]:
    _, assistant, tool = body["messages"]
    (sent,) = assistant["tool_calls"]
    arguments = json.loads(sent["function"]["arguments"])
    return sent["id"], arguments, tool["content"], tool["tool_call_id"]


def in_items(body: Any) -> tuple[Any, ...]:
    _, sent, told = body["input"]
    return sent["call_id"], json.loads(sent["arguments"]), told["output"], told["call_id"]


WRITTEN = {"fireworks": in_turns, "perplexity-agent": in_items}


@every_caller
def test_a_model_without_tools_says_so(service: str, make: Make) -> None:
    assert make(service).metadata.is_function_calling_model
    assert not make(service, is_function_calling_model=False).metadata.is_function_calling_model
