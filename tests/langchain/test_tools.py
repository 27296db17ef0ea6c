"""Tools: how they are declared on the wire, and how calls and results come and go."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core import exceptions as theirs
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import StructuredTool, tool
from pydantic import BaseModel, Field

from qaip_core.errors import InvalidParameterError
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, Reply, json_reply, sse_reply

from .models import CHATS, Kind, every, merged, named

FIREWORKS = named("fireworks")
WITH_TOOLS = [kind for kind in CHATS if kind.cls.endpoint.takes("tools")]
WITHOUT_TOOLS = [kind for kind in CHATS if kind not in WITH_TOOLS]
both_lanes = pytest.mark.parametrize("sync", [True, False], ids=["sync", "async"])
both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["invoke", "stream"])
both_versions = pytest.mark.parametrize("version", ["v0", "v1"])
beta = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


def weigh(lamp: int) -> str:
    """Weigh a lamp.

    Args:
        lamp: number of the lamp
    """
    return f"{lamp} kg"


class Weigh(BaseModel):
    """Weigh a lamp."""

    lamp: int = Field(description="number of the lamp")


class WeighDict(TypedDict):
    """Weigh a lamp."""

    lamp: Annotated[int, ..., "number of the lamp"]


@tool
def ping() -> str:
    """Say whether anybody is there."""
    return "pong"


PARAMETERS = {
    "type": "object",
    "properties": {"lamp": {"type": "integer", "description": "number of the lamp"}},
    "required": ["lamp"],
}
FUNCTION = {"name": "weigh", "description": "Weigh a lamp.", "parameters": PARAMETERS}
DECLARATION = {"type": "function", "function": FUNCTION}
KINDS_OF_TOOLS: dict[str, Any] = {
    "function": weigh,
    "pydantic class": Weigh,
    "TypedDict": WeighDict,
    "tool": tool(weigh),
    "structured tool": StructuredTool.from_function(
        weigh, name="weigh", description="Weigh a lamp.", parse_docstring=True
    ),
    "declaration": DECLARATION,
    "OpenAI function": FUNCTION,
    "JSON schema": {**PARAMETERS, "title": "weigh", "description": "Weigh a lamp."},
    "Anthropic tool": {
        "name": "weigh",
        "description": "Weigh a lamp.",
        "input_schema": PARAMETERS,
    },
}
NAMED = {"type": "function", "function": {"name": "weigh"}}


def event(delta: dict[str, Any], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": "a1", "model": "m", "created": 1, "choices": [choice]})


def fragment(
    arguments: str | None, index: int = 0, call_id: str | None = None, name: str | None = None
) -> dict[str, Any]:
    """Return a delta with a piece of a call."""
    function = {"name": name, "arguments": arguments}
    given = {key: value for key, value in function.items() if value is not None}
    call = {"index": index, "id": call_id, "type": "function", "function": given}
    return {"tool_calls": [call]}


def streamed(*deltas: dict[str, Any], finish: str = "tool_calls") -> Reply:
    return sse_reply(*map(event, deltas), event({}, finish), "[DONE]")


def whole(*calls: tuple[str, str, str], text: str | None = None, end: str = "tool_calls") -> Reply:
    """Return an answer with calls of (id, name, arguments)."""
    said = [
        {"index": n, "id": i, "type": "function", "function": {"name": name, "arguments": args}}
        for n, (i, name, args) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": text, "tool_calls": said}
    choice = {"index": 0, "message": message, "finish_reason": end}
    return json_reply({"id": "a1", "model": "m", "created": 1, "choices": [choice]})


def said(arguments: str, *, streaming: bool, finish: str = "tool_calls") -> Reply:
    """Return an answer with one call c1 of `weigh`, in three pieces if streamed."""
    if not streaming:
        return whole(("c1", "weigh", arguments), end=finish)
    half = len(arguments) // 2
    pieces = [arguments[:half], arguments[half:]]
    head = fragment(None, 0, "c1", "weigh")
    return streamed(head, *map(fragment, pieces), finish=finish)


async def answered(
    server: FaultServer, reply: Reply, *, streaming: bool, sync: bool = True, **given: Any
) -> Any:
    """Return the message that an answer becomes."""
    server.replies(reply)
    async with FIREWORKS.at(server.url, **given) as model:
        if streaming:
            return merged(
                model.stream("q") if sync else [chunk async for chunk in model.astream("q")]
            )
        return model.invoke("q") if sync else await model.ainvoke("q")


def sent(server: FaultServer, tools: Sequence[Any], prompt: Any = "q", **bound: Any) -> Any:
    """Return the body that a call with tools becomes."""
    server.replies(whole(text="Yes.", end="stop"))
    with FIREWORKS.at(server.url) as model:
        model.bind_tools(tools, **bound).invoke(prompt)
    return server.requests[-1].json()


def declared_to(kind: Kind, server: FaultServer, tools: Sequence[Any], **bound: Any) -> list[Any]:
    """Return the functions that a service is told of, in whichever form it wants them."""
    server.replies(kind.reply(stream=False))
    with kind.at(server.url) as model:
        model.bind_tools(tools, **bound).invoke("q")
    told = server.requests[-1].json()["tools"]
    assert {tool["type"] for tool in told} == {"function"}
    return [tool.get("function", tool) for tool in told]


def calls_of(message: Any) -> list[tuple[Any, ...]]:
    return [(call["id"], call["name"], call["args"]) for call in message.tool_calls]


# ---- what is sent


@pytest.mark.parametrize("given", KINDS_OF_TOOLS.values(), ids=KINDS_OF_TOOLS)
@every(WITH_TOOLS)
def test_every_kind_of_tool_is_declared_alike(kind: Kind, given: Any, server: FaultServer) -> None:
    (declared,) = declared_to(kind, server, [given])
    assert declared["name"].lower().removesuffix("dict") == "weigh"
    assert declared["description"].startswith("Weigh a lamp.")
    assert declared["parameters"]["properties"]["lamp"]["type"] == "integer"
    assert declared["parameters"]["required"] == ["lamp"]


@every(WITH_TOOLS)
def test_several_tools_keep_their_order(kind: Kind, server: FaultServer) -> None:
    names = [function["name"] for function in declared_to(kind, server, [weigh, ping, Weigh])]
    assert names == ["weigh", "ping", "Weigh"]


@every(WITH_TOOLS)
def test_a_tool_without_arguments_is_declared(kind: Kind, server: FaultServer) -> None:
    (declared,) = declared_to(kind, server, [ping])
    assert declared["parameters"]["properties"] == {}


@pytest.mark.parametrize("strict", [None, True, False])
@every(WITH_TOOLS)
def test_strict_stands_in_every_declaration(
    kind: Kind, strict: bool | None, server: FaultServer
) -> None:
    functions = declared_to(kind, server, [weigh, Weigh], strict=strict)
    assert [function.get("strict") for function in functions] == [strict, strict]


@every(WITH_TOOLS)
def test_strict_parameters_are_closed(kind: Kind, server: FaultServer) -> None:
    (declared,) = declared_to(kind, server, [weigh], strict=True)
    assert declared["parameters"]["additionalProperties"] is False


@pytest.mark.parametrize("parallel", [True, False])
def test_parallel_tool_calls_are_sent(parallel: bool, server: FaultServer) -> None:
    body = sent(server, [weigh], parallel_tool_calls=parallel)
    assert body["parallel_tool_calls"] is parallel


def test_what_is_not_asked_for_is_not_sent(server: FaultServer) -> None:
    body = sent(server, [weigh])
    assert not body.keys() & {"tool_choice", "parallel_tool_calls", "response_format"}


@pytest.mark.parametrize(
    ("choice", "wire"),
    [
        ("any", "required"),
        (True, "required"),
        ("required", "required"),
        ("auto", "auto"),
        ("none", "none"),
        (False, "none"),
        ("weigh", NAMED),
        (NAMED, NAMED),
    ],
    ids=str,
)
def test_a_tool_choice_is_written_as_the_service_does(
    choice: Any, wire: Any, server: FaultServer
) -> None:
    assert sent(server, [weigh, ping], tool_choice=choice)["tool_choice"] == wire


@every(WITH_TOOLS)
def test_a_choice_of_no_tool_is_refused(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError) as caught:
        model.bind_tools([weigh, ping], tool_choice="wiegh")
    assert "'weigh', 'ping'" in str(caught.value)
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)


@pytest.mark.parametrize("name", ["weigh a lamp", "wäge", "w" * 65, ""])
def test_a_name_that_the_service_refuses_is_refused_here(name: str, server: FaultServer) -> None:
    with FIREWORKS.at(server.url) as model, pytest.raises(InvalidParameterError, match="name"):
        model.bind_tools([{**DECLARATION, "function": {**FUNCTION, "name": name}}]).invoke("q")
    assert not server.requests


@pytest.mark.parametrize("wrong", [{"weigh": 1}, 7, "weigh"], ids=str)
@every(WITH_TOOLS)
def test_what_is_no_tool_is_refused(kind: Kind, wrong: Any, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="tool"):
        model.bind_tools([wrong]).invoke("q")
    assert not server.requests


def test_further_parameters_are_those_of_the_call(server: FaultServer) -> None:
    assert sent(server, [weigh], temperature=0.5)["temperature"] == 0.5


def test_stop_sequences_are_bound_with_tools(server: FaultServer) -> None:
    assert sent(server, [weigh], stop=["kg"])["stop"] == ["kg"]


def test_tools_and_a_format_are_sent_together(server: FaultServer) -> None:
    body = sent(server, [weigh], response_format=Weigh)
    assert body["tools"][0]["function"]["name"] == "weigh"
    assert body["response_format"]["json_schema"]["name"] == "Weigh"


def test_a_format_in_the_services_form_goes_through(server: FaultServer) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "a", "schema": PARAMETERS}}
    assert sent(server, [weigh], response_format=form)["response_format"] == form


def test_tools_stay_bound_for_streams(server: FaultServer) -> None:
    server.replies(streamed({"content": "Yes."}, finish="stop"))
    with FIREWORKS.at(server.url) as model:
        list(model.bind_tools([weigh]).stream("q"))
    assert server.requests[-1].json()["tools"][0]["function"]["name"] == "weigh"


def test_binding_tools_leaves_the_model_as_it_was(server: FaultServer) -> None:
    server.replies(whole(text="Yes.", end="stop"))
    with FIREWORKS.at(server.url) as model:
        model.bind_tools([weigh])
        model.invoke("q")
    assert "tools" not in server.requests[-1].json()


def test_no_tools_are_not_sent(server: FaultServer) -> None:
    assert "tools" not in sent(server, [], tool_choice="any")


# ---- services without tools


@every(WITHOUT_TOOLS)
def test_a_service_without_tools_names_the_way_out(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError) as caught:
        model.bind_tools([weigh])
    for part in (model.endpoint.backend.title, "ChatFireworks", "with_structured_output"):
        assert part in str(caught.value)
    assert isinstance(caught.value, theirs.ModelInvalidRequestError)
    assert not server.requests


@every(WITHOUT_TOOLS)
def test_the_way_out_is_one_that_the_service_has(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model:
        with pytest.raises(InvalidParameterError) as caught:
            model.bind_tools([weigh])
        assert ("as_retriever" in str(caught.value)) == hasattr(model, "as_retriever")


@every(WITHOUT_TOOLS)
def test_a_service_without_tools_takes_an_empty_list(kind: Kind, server: FaultServer) -> None:
    server.replies(kind.reply(stream=kind.streams_whole))
    with kind.at(server.url) as model:
        assert model.bind_tools([]).invoke("q").text


@every(WITHOUT_TOOLS)
def test_tools_given_to_a_call_are_refused_before_it(kind: Kind, server: FaultServer) -> None:
    with kind.at(server.url) as model, pytest.raises(InvalidParameterError, match="tools"):
        model.invoke("q", tools=[DECLARATION])
    assert not server.requests


# ---- calls in answers


@both_lanes
@both_ways
@both_versions
async def test_a_call_is_read(
    version: str, streaming: bool, sync: bool, server: FaultServer
) -> None:
    reply = said('{"lamp": 3}', streaming=streaming)
    answer = await answered(server, reply, streaming=streaming, sync=sync, output_version=version)
    assert calls_of(answer) == [("c1", "weigh", {"lamp": 3})]
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    assert answer.invalid_tool_calls == []


@both_ways
@both_versions
async def test_a_call_is_a_block(version: str, streaming: bool, server: FaultServer) -> None:
    reply = said('{"lamp": 3}', streaming=streaming)
    answer = await answered(server, reply, streaming=streaming, output_version=version)
    (block,) = [b for b in answer.content_blocks if b["type"] == "tool_call"]
    assert (block["id"], block["name"], block["args"]) == ("c1", "weigh", {"lamp": 3})


@both_versions
async def test_text_before_a_call_is_kept(version: str, server: FaultServer) -> None:
    reply = streamed({"content": "Let me "}, {"content": "see."}, fragment("{}", 0, "c1", "ping"))
    answer = await answered(server, reply, streaming=True, output_version=version)
    assert answer.text == "Let me see."
    assert [b["type"] for b in answer.content_blocks] == ["text", "tool_call"]


@both_versions
async def test_reasoning_before_a_call_is_kept(version: str, server: FaultServer) -> None:
    reply = streamed({"reasoning_content": "Hm."}, fragment("{}", 0, "c1", "ping"))
    answer = await answered(server, reply, streaming=True, output_version=version)
    assert [b["type"] for b in answer.content_blocks] == ["reasoning", "tool_call"]


@both_lanes
@both_versions
async def test_parallel_calls_that_interleave_are_told_apart(
    version: str, sync: bool, server: FaultServer
) -> None:
    reply = streamed(
        fragment(None, 0, "c1", "weigh"),
        fragment(None, 1, "c2", "weigh"),
        fragment('{"la', 0),
        fragment('{"lam', 1),
        fragment('mp": 3}', 0),
        fragment('p": 4}', 1),
    )
    answer = await answered(server, reply, streaming=True, sync=sync, output_version=version)
    assert calls_of(answer) == [("c1", "weigh", {"lamp": 3}), ("c2", "weigh", {"lamp": 4})]


async def test_parallel_calls_in_one_delta_are_told_apart(server: FaultServer) -> None:
    calls = [fragment("{}", n, f"c{n}", "ping")["tool_calls"][0] for n in (0, 1)]
    answer = await answered(server, streamed({"tool_calls": calls}), streaming=True)
    assert calls_of(answer) == [("c0", "ping", {}), ("c1", "ping", {})]


async def test_parallel_calls_of_a_whole_answer_are_read(server: FaultServer) -> None:
    reply = whole(("c1", "weigh", '{"lamp": 3}'), ("c2", "ping", "{}"))
    answer = await answered(server, reply, streaming=False)
    assert calls_of(answer) == [("c1", "weigh", {"lamp": 3}), ("c2", "ping", {})]


def test_fragments_arrive_one_by_one(server: FaultServer) -> None:
    server.replies(said('{"lamp": 3}', streaming=True))
    with FIREWORKS.at(server.url) as model:
        pieces = [piece for chunk in model.stream("q") for piece in chunk.tool_call_chunks]
    assert [piece["name"] for piece in pieces] == ["weigh", None, None]
    assert "".join(piece["args"] or "" for piece in pieces) == '{"lamp": 3}'


def test_a_stream_of_calls_ends_with_a_chunk_without_a_fragment(server: FaultServer) -> None:
    server.replies(said('{"lamp": 3}', streaming=True))
    with FIREWORKS.at(server.url) as model:
        *_, last = model.stream("q")
    assert last.chunk_position == "last"
    assert not last.tool_call_chunks
    assert not last.invalid_tool_calls


@beta
@both_lanes
async def test_v3_events_project_the_calls(sync: bool, server: FaultServer) -> None:
    server.replies(
        streamed(
            fragment('{"lamp"', 0, "c1", "weigh"), fragment(": 3}"), fragment("{}", 1, "c2", "ping")
        )
    )
    async with FIREWORKS.at(server.url) as model:
        if sync:
            stream = model.stream_events("q", version="v3")
            calls, output = stream.tool_calls.get(), stream.output
        else:
            astream = await model.astream_events("q", version="v3")
            calls, output = await astream.tool_calls, await astream.output
    found = [(call["id"], call["name"], call["args"]) for call in calls]
    assert found == [("c1", "weigh", {"lamp": 3}), ("c2", "ping", {})]
    assert calls_of(output) == found


# ---- odd arguments


@pytest.mark.parametrize("arguments", ["", "{}"], ids=["nothing", "empty"])
@both_ways
@both_versions
async def test_no_arguments_are_an_empty_object(
    version: str, streaming: bool, arguments: str, server: FaultServer
) -> None:
    reply = said(arguments, streaming=streaming)
    answer = await answered(server, reply, streaming=streaming, output_version=version)
    assert calls_of(answer) == [("c1", "weigh", {})]


async def test_a_call_without_any_arguments_on_the_wire_is_read(server: FaultServer) -> None:
    reply = streamed(fragment(None, 0, "c1", "ping"))
    answer = await answered(server, reply, streaming=True)
    assert calls_of(answer) == [("c1", "ping", {})]


BROKEN = ['{"lamp": three}', '{"lamp" 3}', "[3]", '"3"', "null"]


@pytest.mark.parametrize("arguments", BROKEN)
@both_ways
@both_versions
async def test_arguments_that_are_no_object_make_an_invalid_call(
    version: str, streaming: bool, arguments: str, server: FaultServer
) -> None:
    reply = said(arguments, streaming=streaming)
    answer = await answered(server, reply, streaming=streaming, output_version=version)
    assert answer.tool_calls == []
    (call,) = answer.invalid_tool_calls
    assert (call["id"], call["name"], call["args"]) == ("c1", "weigh", arguments)
    (block,) = answer.content_blocks
    assert block["type"] != "tool_call"  # LangChain leaves chunks of invalid calls as they are


@both_ways
async def test_an_object_with_something_behind_it_makes_an_invalid_call(
    streaming: bool, server: FaultServer
) -> None:
    reply = said('{"lamp": 3} and 4', streaming=streaming)
    answer = await answered(server, reply, streaming=streaming)
    assert answer.tool_calls == []
    assert answer.invalid_tool_calls[0]["id"] == "c1"


@both_ways
async def test_a_broken_call_leaves_the_others_whole(streaming: bool, server: FaultServer) -> None:
    parts = ('{"lamp": 3}', "nonsense")
    reply = (
        streamed(*(fragment(part, n, f"c{n}", "weigh") for n, part in enumerate(parts)))
        if streaming
        else whole(*((f"c{n}", "weigh", part) for n, part in enumerate(parts)))
    )
    answer = await answered(server, reply, streaming=streaming)
    assert calls_of(answer) == [("c0", "weigh", {"lamp": 3})]
    assert [call["id"] for call in answer.invalid_tool_calls] == ["c1"]


@both_ways
@both_versions
async def test_a_broken_call_goes_back_with_its_error(
    version: str, streaming: bool, server: FaultServer
) -> None:
    reply = said("[3]", streaming=streaming)
    answer = await answered(server, reply, streaming=streaming, output_version=version)
    told = ToolMessage("no object", tool_call_id="c1", status="error")
    turns = sent(server, [weigh], [HumanMessage("q"), answer, told])["messages"]
    assert turns[1]["tool_calls"][0]["function"] == {"name": "weigh", "arguments": "[3]"}
    assert (turns[2]["tool_call_id"], turns[2]["content"]) == ("c1", "no object")


# A call that max_tokens cut must never look like one that the model meant.
CUT = '{"lamp": 3, "note": "handle with'


@both_lanes
@both_ways
@both_versions
async def test_a_call_that_was_cut_is_no_call(
    version: str, streaming: bool, sync: bool, server: FaultServer
) -> None:
    reply = said(CUT, streaming=streaming, finish="length")
    answer = await answered(server, reply, streaming=streaming, sync=sync, output_version=version)
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.tool_calls == []
    assert [call["id"] for call in answer.invalid_tool_calls] == ["c1"]


@both_versions
async def test_a_call_that_was_cut_is_no_block_of_a_call(version: str, server: FaultServer) -> None:
    reply = said(CUT, streaming=True, finish="length")
    answer = await answered(server, reply, streaming=True, output_version=version)
    assert "tool_call" not in [b["type"] for b in answer.content_blocks]


async def test_a_whole_answer_that_was_streamed_has_no_cut_call(server: FaultServer) -> None:
    reply = said(CUT, streaming=True, finish="length")
    server.replies(reply)
    with FIREWORKS.at(server.url, streaming=True) as model:
        answer = model.invoke("q")
    assert answer.tool_calls == []


@beta
def test_a_cut_call_is_no_call_for_v3_events(server: FaultServer) -> None:
    server.replies(said(CUT, streaming=True, finish="length"))
    with FIREWORKS.at(server.url) as model:
        output = model.stream_events("q", version="v3").output
    assert output.tool_calls == []
    assert [call["id"] for call in output.invalid_tool_calls] == ["c1"]


async def test_a_cut_answer_keeps_the_calls_that_were_complete(server: FaultServer) -> None:
    reply = streamed(
        fragment('{"lamp": 3}', 0, "c1", "weigh"),
        fragment(CUT, 1, "c2", "weigh"),
        finish="length",
    )
    answer = await answered(server, reply, streaming=True)
    assert calls_of(answer) == [("c1", "weigh", {"lamp": 3})]


def test_the_sandbox_cuts_a_call_in_a_stream(sandbox: Sandbox) -> None:
    with FIREWORKS.over(sandbox, max_tokens=3) as model:
        answer = merged(model.bind_tools([weigh], tool_choice="any").stream("Weigh lamp 3"))
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.tool_calls == []


# ---- results


CALLING = AIMessage("", tool_calls=[{"name": "weigh", "args": {"lamp": 3}, "id": "c1"}])


def result_sent(server: FaultServer, message: ToolMessage) -> Any:
    return sent(server, [weigh], [HumanMessage("q"), CALLING, message])["messages"][-1]


@pytest.mark.parametrize(
    "content",
    [
        "2 kg",
        ["2 ", "kg"],
        [{"type": "text", "text": "2 kg"}],
        [{"type": "text", "text": "2 "}, "kg"],
    ],
    ids=["text", "texts", "block", "mixed"],
)
def test_a_result_is_sent_as_text(content: Any, server: FaultServer) -> None:
    turn = result_sent(server, ToolMessage(content, tool_call_id="c1"))
    assert turn == {"role": "tool", "content": "2 kg", "tool_call_id": "c1"}


def test_an_empty_result_is_sent(server: FaultServer) -> None:
    turn = result_sent(server, ToolMessage("", tool_call_id="c1"))
    assert turn == {"role": "tool", "content": "", "tool_call_id": "c1"}


def test_only_the_text_of_a_result_is_sent(server: FaultServer) -> None:
    message = ToolMessage(
        "2 kg",
        tool_call_id="c1",
        name="weigh",
        id="m1",
        artifact={"secret": "bytes"},
        status="error",
        additional_kwargs={"x": 1},
    )
    turn = result_sent(server, message)
    assert turn == {"role": "tool", "content": "2 kg", "tool_call_id": "c1"}


def test_a_call_goes_back_with_arguments_that_are_not_ascii(server: FaultServer) -> None:
    call = {"name": "weigh", "args": {"lamp": "ランプ"}, "id": "c1"}
    prompt = [
        HumanMessage("q"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("x", tool_call_id="c1"),
    ]
    arguments = sent(server, [weigh], prompt)["messages"][1]["tool_calls"][0]["function"][
        "arguments"
    ]
    assert json.loads(arguments) == {"lamp": "ランプ"}


def test_a_call_without_an_id_goes_back(server: FaultServer) -> None:
    """LangChain allows calls without an id; the service needs a text there."""
    call = {"name": "weigh", "args": {}, "id": None}
    prompt = [HumanMessage("q"), AIMessage("", tool_calls=[call]), HumanMessage("never mind")]
    (back,) = sent(server, [weigh], prompt)["messages"][1]["tool_calls"]
    assert isinstance(back["id"], str)


def test_the_text_beside_a_call_goes_back(server: FaultServer) -> None:
    call = {"name": "weigh", "args": {}, "id": "c1"}
    prompt = [
        HumanMessage("q"),
        AIMessage("See.", tool_calls=[call]),
        ToolMessage("x", tool_call_id="c1"),
    ]
    turn = sent(server, [weigh], prompt)["messages"][1]
    assert (turn["content"], turn["tool_calls"][0]["id"]) == ("See.", "c1")


# ---- whole behaviours, over a server that refuses what the service would


@both_lanes
@both_ways
@both_versions
@every(WITH_TOOLS)
async def test_the_strict_sandbox_takes_question_call_result_and_answers(
    kind: Kind, version: str, streaming: bool, sync: bool, sandbox: Sandbox
) -> None:
    async with kind.over(sandbox, output_version=version) as plain:
        model = plain.bind_tools([weigh, ping], strict=True, parallel_tool_calls=False)

        async def ask(prompt: list[Any]) -> Any:
            if streaming:
                chunks = model.stream(prompt) if sync else [c async for c in model.astream(prompt)]
                return merged(chunks)
            return model.invoke(prompt) if sync else await model.ainvoke(prompt)

        question = HumanMessage("Call weigh for lamp 3")
        calling = await ask([question])
        (call,) = calling.tool_calls
        told = tool(weigh).invoke(call)
        answer = await ask([question, calling, told])
    assert call["args"] == {"lamp": 3}
    assert answer.text.removeprefix("The tool says: ") == "3 kg"


@both_ways
@every(WITH_TOOLS)
async def test_the_sandbox_calls_several_tools_at_once(
    kind: Kind, streaming: bool, sandbox: Sandbox
) -> None:
    prompt = "Call weigh for lamp 3, then ping"
    with kind.over(sandbox) as plain:
        model = plain.bind_tools([ping, weigh], parallel_tool_calls=True)
        answer = merged(model.stream(prompt)) if streaming else model.invoke(prompt)
    assert [(c["name"], c["args"]) for c in answer.tool_calls] == [
        ("weigh", {"lamp": 3}),
        ("ping", {}),
    ]
    assert len({c["id"] for c in answer.tool_calls}) == 2


@pytest.mark.parametrize(
    ("choice", "names"),
    [("any", ["weigh"]), ("ping", ["ping"]), ("none", []), ("auto", ["weigh"])],
)
@every(WITH_TOOLS)
def test_a_choice_is_followed(kind: Kind, choice: str, names: list[str], sandbox: Sandbox) -> None:
    with kind.over(sandbox) as plain:
        model = plain.bind_tools([weigh, ping], tool_choice=choice)
        answer = model.invoke("Please weigh lamp 3")
    assert [call["name"] for call in answer.tool_calls] == names


def call(name: str, arguments: str, call_id: str, index: int | None) -> dict[str, Any]:
    """Return a delta with a whole call."""
    delta = fragment(arguments, 0, call_id, name)
    if index is None:
        del delta["tool_calls"][0]["index"]
    return delta


BOTH = [("c1", "weigh", {"lamp": 1}), ("c2", "ping", {})]


@both_ways
@pytest.mark.parametrize("index", [0, None])
async def test_calls_with_one_index_are_told_apart_by_their_ids(
    index: int | None, streaming: bool, server: FaultServer
) -> None:
    reply = (
        streamed(call("weigh", '{"lamp": 1}', "c1", index), call("ping", "{}", "c2", index))
        if streaming
        else whole(("c1", "weigh", '{"lamp": 1}'), ("c2", "ping", "{}"))
    )
    answer = await answered(server, reply, streaming=streaming)
    assert calls_of(answer) == BOTH
    assert not answer.invalid_tool_calls


def test_v3_tells_them_apart_too(server: FaultServer) -> None:
    server.replies(streamed(call("weigh", '{"lamp": 1}', "c1", 0), call("ping", "{}", "c2", 0)))
    with FIREWORKS.at(server.url) as model:
        assert calls_of(model.stream_events("q", version="v3").output) == BOTH


async def test_a_name_that_is_repeated_is_no_longer_name(server: FaultServer) -> None:
    pieces = [fragment('{"lamp":', 0, "c1", "weigh"), fragment(" 1}", 0, "c1", "weigh")]
    answer = await answered(server, streamed(*pieces), streaming=True)
    assert calls_of(answer) == BOTH[:1]


@both_ways
async def test_a_line_break_in_an_argument_is_taken(streaming: bool, server: FaultServer) -> None:
    answer = await answered(
        server, said('{"lamp": "a\nb"}', streaming=streaming), streaming=streaming
    )
    assert calls_of(answer) == [("c1", "weigh", {"lamp": "a\nb"})]


@pytest.mark.parametrize("wrong", [["weigh"], 7])
@every(WITH_TOOLS)
def test_a_choice_that_is_no_name_is_refused(kind: Kind, wrong: Any) -> None:
    with pytest.raises(InvalidParameterError, match="tool_choice"):
        kind.at("http://127.0.0.1:1").bind_tools([weigh], tool_choice=wrong)


def test_arguments_that_json_lacks_are_sent_as_text(server: FaultServer) -> None:
    called = AIMessage("", tool_calls=[{"name": "f", "args": {"on": date(2026, 1, 2)}, "id": "c1"}])
    server.replies(whole(text="Yes.", end="stop"))
    with FIREWORKS.at(server.url) as model:
        model.invoke(["q", called, ToolMessage("ok", tool_call_id="c1")])
    assert "2026-01-02" in str(server.requests[0].json()["messages"])


async def test_calls_that_interleave_at_one_index_are_told_apart(server: FaultServer) -> None:
    pieces = [
        ("c1", "weigh", '{"lamp":'),
        ("c2", "ping", "{"),
        ("c1", "weigh", "1}"),
        ("c2", "ping", "}"),
    ]
    reply = streamed(*(call(name, args, call_id, 0) for call_id, name, args in pieces))
    assert calls_of(await answered(server, reply, streaming=True)) == BOTH
