"""Function calling: what is offered, what comes back, and calls that were cut."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.base.llms.types import TextBlock, ToolCallBlock
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool

from llama_index_qaip import Fireworks
from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

Make = Callable[..., Fireworks]
LANES = ("sync", "async")
both_lanes = pytest.mark.parametrize("lane", LANES)


def tide(port: str, day: int = 1) -> str:
    """Tells the tide."""
    return f"high at {port} on {day}"


TOOLS = [FunctionTool.from_defaults(tide)]


def call(arguments: str, id_: str | None = "7", index: int = 0) -> dict[str, Any]:
    return {"id": id_, "index": index, "function": {"name": "tide", "arguments": arguments}}


def whole(*calls: dict[str, Any], text: str | None = None, finish: str = "tool_calls") -> Reply:
    message = {"content": text, "tool_calls": list(calls)}
    return json_reply({"id": "1", "choices": [{"message": message, "finish_reason": finish}]})


def streamed(*deltas: dict[str, Any], finish: str = "tool_calls") -> Reply:
    chunks = [{"id": "1", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return sse_reply(*map(json.dumps, chunks), "[DONE]")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"parallel_tool_calls": False}),
        ({"tool_required": True}, {"tool_choice": "required"}),
        ({"tool_choice": "any"}, {"tool_choice": "required"}),
        ({"tool_choice": "auto", "tool_required": True}, {"tool_choice": "auto"}),
        (
            {"tool_choice": "tide"},
            {"tool_choice": {"type": "function", "function": {"name": "tide"}}},
        ),
        ({"allow_parallel_tool_calls": True}, {"parallel_tool_calls": True}),
        ({"temperature": 0.5}, {"temperature": 0.5}),
    ],
    ids=str,
)
def test_how_tools_are_offered(
    given: dict[str, Any], sent: dict[str, Any], make: Make, server: FaultServer
) -> None:
    server.replies(whole(call("{}")))
    make("fireworks").chat_with_tools(TOOLS, "q", [ChatMessage("before")], **given)
    body = server.requests[0].json()
    assert sent.items() <= body.items()
    assert [turn["content"] for turn in body["messages"]] == ["before", "q"]
    (tool,) = body["tools"]
    assert tool["function"]["name"] == "tide"
    assert tool["function"]["parameters"]["required"] == ["port"]
    assert ("tool_choice" in body) is ("tool_choice" in sent)


def test_no_tools_are_no_tools_on_the_wire(make: Make, server: FaultServer) -> None:
    server.replies(whole(text="hm", finish="stop"))
    make("fireworks").chat_with_tools([], "q", tool_required=True)
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & server.requests[0].json().keys()


def test_a_choice_of_no_tool_is_refused_before_it_is_sent(make: Make, server: FaultServer) -> None:
    with pytest.raises(InvalidParameterError, match="names none of the tools 'tide'"):
        make("fireworks").chat_with_tools(TOOLS, "q", tool_choice="tied")
    assert server.requests == []


def test_strict_tools_are_asked_for_on_the_object_or_for_a_call(
    make: Make, server: FaultServer
) -> None:
    server.replies(whole(call("{}")))
    make("fireworks", strict=True).chat_with_tools(TOOLS, "q")
    make("fireworks", strict=True).chat_with_tools(TOOLS, "q", strict=False)
    make("fireworks").chat_with_tools(TOOLS, "q")
    sent = [request.json()["tools"][0]["function"].get("strict") for request in server.requests]
    assert sent == [True, False, None]


@both_lanes
async def test_the_tool_is_chosen_and_called(lane: str, make: Make, server: FaultServer) -> None:
    server.replies(whole(call('{"port": "Bergen", "day": 3}')))
    async with make("fireworks") as llm:
        answer = (
            llm.predict_and_call(TOOLS, "q")
            if lane == "sync"
            else await llm.apredict_and_call(TOOLS, "q")
        )
    assert answer.response == "high at Bergen on 3"


@both_lanes
async def test_calls_grow_and_are_whole_at_the_end(
    lane: str, make: Make, server: FaultServer
) -> None:
    pieces = [call(""), call('{"port": "Ber', None), call('gen"}', None)]
    server.replies(streamed(*({"tool_calls": [piece]} for piece in pieces)))
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


@pytest.mark.parametrize("reply", [whole, streamed], ids=["whole", "streamed"])
def test_a_call_that_was_cut_is_not_made(reply: Any, make: Make, server: FaultServer) -> None:
    cut = call('{"port": "Ber')
    server.replies(
        whole(cut, finish="length")
        if reply is whole
        else streamed({"tool_calls": [cut]}, finish="length")
    )
    llm = make("fireworks")
    if reply is whole:
        answer = llm.chat_with_tools(TOOLS, "q")
    else:
        *_, answer = llm.stream_chat_with_tools(TOOLS, "q")
    with pytest.raises(InvalidOutputError, match="raise max_tokens") as caught:
        llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
    assert caught.value.body == '{"port": "Ber'


def test_an_answer_without_a_call_is_an_error_only_on_demand(
    make: Make, server: FaultServer
) -> None:
    server.replies(whole(text="I would not know.", finish="stop"))
    llm = make("fireworks")
    answer = llm.chat_with_tools(TOOLS, "q")
    assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
    with pytest.raises(InvalidOutputError, match="I would not know"):
        llm.get_tool_calls_from_response(answer)


@pytest.mark.parametrize("parallel", [False, True])
def test_of_several_calls_one_is_kept_unless_more_are_allowed(
    parallel: bool, make: Make, server: FaultServer
) -> None:
    twice = call('{"port": "Oslo"}', None)
    server.replies(whole(twice, twice))
    llm = make("fireworks")
    answer = llm.chat_with_tools(TOOLS, "q", allow_parallel_tool_calls=parallel)
    chosen = llm.get_tool_calls_from_response(answer)
    assert [c.tool_id for c in chosen] == ["call_0", "call_1"][: 2 if parallel else 1]


def test_a_call_and_its_result_go_back_with_the_history(make: Make, server: FaultServer) -> None:
    server.replies(whole(call('{"port": "Oslo"}')))
    llm = make("fireworks")
    asked = llm.chat_with_tools(TOOLS, "q").message
    told = ChatMessage("at 3", role="tool", additional_kwargs={"tool_call_id": "7"})
    llm.chat([ChatMessage("q"), asked, told])
    _, assistant, tool = server.requests[1].json()["messages"]
    (sent,) = assistant["tool_calls"]
    assert (sent["id"], json.loads(sent["function"]["arguments"])) == ("7", {"port": "Oslo"})
    assert tool == {"role": "tool", "content": "at 3", "tool_call_id": "7"}


def test_a_model_without_tools_says_so(make: Make) -> None:
    assert make("fireworks").metadata.is_function_calling_model
    assert not make("fireworks", is_function_calling_model=False).metadata.is_function_calling_model
