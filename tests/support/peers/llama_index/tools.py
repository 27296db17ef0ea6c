"""Rows about tools and agents."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import suppress
from typing import Any

from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.llms import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool

from support.fault_server import FaultServer
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import ACHAT, ASTREAM, CHAT, CHATS, STREAM, Way, over
from support.peers.replies import Answer, Call, saying
from support.peers.subject import Subject

__all__ = ["GROUP"]

_CALL = Call("tide", {"harbour": "Bergen"})
_CALLING = Answer(pieces=("",), calls=(_CALL,), finish="tool_calls")
_TWO = Answer(
    pieces=("",),
    calls=(_CALL, Call("tide", {"harbour": "Skagen"}, id="call_b2")),
    finish="tool_calls",
)
_CUT = Answer(pieces=("",), calls=(Call("tide", {"harbour": "Bergen"}, cut=6),), finish="length")
_ASKED = "What is the tide in Bergen?"


class _Harbours:
    """A tool that remembers what it was asked."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.tool = FunctionTool.from_defaults(self.tide)

    def tide(self, harbour: str) -> str:
        """Tell the tide in a harbour."""
        self.names.append(harbour)
        return "high"


def _selected(model: Any, response: Any) -> list[Any]:
    calls = model.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [(call.tool_name, call.tool_kwargs, call.tool_id) for call in calls]


def _with_tools(model: Any, way: Way, **how: Any) -> Any:
    """Return the last response of the twin of a way that takes tools."""
    tools = [_Harbours().tool]
    method = getattr(model, f"{way.name}_with_tools")

    async def soon() -> list[Any]:
        found = await method(tools, user_msg=_ASKED, **how)
        return [r async for r in found] if way.streaming else [found]

    if not way.sync:
        return asyncio.run(soon())[-1]
    found = method(tools, user_msg=_ASKED, **how)
    return list(found)[-1] if way.streaming else found


def _called(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire, _CALLING))
    model = subject.chat_model(server)
    response = _with_tools(model, way)
    assert _selected(model, response) == [("tide", {"harbour": "Bergen"}, "call_a1")]
    blocks = [b for b in response.message.blocks if b.block_type == "tool_call"]
    assert [b.tool_name for b in blocks] == ["tide"], "no ToolCallBlock"
    (sent,) = server.requests[0].json()["tools"]
    assert sent["function"]["name"] == "tide"


def _two(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire, _TWO))
    model = subject.chat_model(server)
    found = _selected(model, _with_tools(model, way, allow_parallel_tool_calls=True))
    assert [kwargs["harbour"] for _, kwargs, _ in found] == ["Bergen", "Skagen"], found


def _sent(subject: Subject, server: FaultServer, **how: Any) -> Any:
    server.replies(subject.wire.whole(_CALLING))
    _with_tools(subject.chat_model(server), CHAT, **how)
    return server.requests[0].json()


def _required(subject: Subject, server: FaultServer) -> None:
    sent = _sent(subject, server, tool_required=True).get("tool_choice")
    assert sent in ("required", "any"), sent


def _strict(subject: Subject, server: FaultServer) -> None:
    (tool,) = _sent(subject, server, strict=True)["tools"]
    assert tool["function"].get("strict") is True, tool


def _by_name(subject: Subject, server: FaultServer) -> None:
    sent = _sent(subject, server, tool_choice="tide").get("tool_choice")
    assert sent == {"type": "function", "function": {"name": "tide"}}, sent


def _single(subject: Subject, server: FaultServer) -> None:
    """LlamaIndex's default: one call at a time, whatever the model says."""
    server.replies(subject.wire.whole(_TWO))
    model = subject.chat_model(server)
    found = _selected(model, _with_tools(model, CHAT))
    told = server.requests[0].json().get("parallel_tool_calls")
    assert len(found) == 1 or told is False, f"{len(found)} calls, and the service was not told"


def _results(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire, _CALLING), CHAT.served(subject))
    model = subject.chat_model(server)
    call = _with_tools(model, way).message
    result = ChatMessage(role="tool", content="high", additional_kwargs={"tool_call_id": "call_a1"})
    model.chat([ChatMessage(_ASKED), call, result])
    _, turn, answer = server.requests[1].json()["messages"]
    (sent,) = turn["tool_calls"]
    assert (sent["id"], answer["tool_call_id"]) == ("call_a1", "call_a1")
    assert sent["function"]["arguments"] == '{"harbour": "Bergen"}', sent
    assert answer["content"] == "high"


def _prompt_clean(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.reply(subject.wire, _CALLING))
    message = _with_tools(subject.chat_model(server), way).message
    prompt = messages_to_prompt([message])
    assert "Function" not in prompt, f"there are objects in the prompt: {prompt}"


def _predicted(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole(_CALLING))
    harbours = _Harbours()
    answer = subject.chat_model(server).predict_and_call([harbours.tool], user_msg=_ASKED)
    assert harbours.names == ["Bergen"]
    assert str(answer) == "high"


def _not_run(subject: Subject, server: FaultServer) -> None:
    server.replies(subject.wire.whole(_CUT))
    harbours = _Harbours()
    with suppress(Exception):  # to raise is as good as to pass it over
        subject.chat_model(server).predict_and_call([harbours.tool], user_msg=_ASKED)
    assert not harbours.names, f"the tool was run with {harbours.names}"


def _not_selected(subject: Subject, server: FaultServer) -> None:
    server.replies(STREAM.reply(subject.wire, _CUT))
    model = subject.chat_model(server)
    found: list[Any] = []
    with suppress(Exception):
        found = _selected(model, _with_tools(model, STREAM))
    complete = [kwargs for _, kwargs, _ in found if kwargs]
    assert not complete, f"cut arguments became {complete}"


def _run(kind: Any, subject: Subject, server: FaultServer, *, streaming: bool) -> None:
    harbours = _Harbours()
    memory = ChatMemoryBuffer.from_defaults(token_limit=9000, tokenizer_fn=str.split)
    model = subject.chat_model(server)

    async def run() -> Any:
        agent = kind(tools=[harbours.tool], llm=model, streaming=streaming)
        return await agent.run(_ASKED, memory=memory)

    with warnings.catch_warnings():
        # LlamaIndex's agents look at every attribute of an LLM, also at those that are deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        answer = asyncio.run(run())
    assert harbours.names == ["Bergen"], harbours.names
    assert str(answer) == "The tide is high.", str(answer)


def _agent(*, streaming: bool) -> Part:
    way = ASTREAM if streaming else ACHAT

    def part(subject: Subject, server: FaultServer) -> None:
        said = saying("The tide is high.")
        server.replies(way.reply(subject.wire, _CALLING), way.reply(subject.wire, said))
        _run(FunctionAgent, subject, server, streaming=streaming)

    return part


_STEP = 'Thought: I need a tool.\nAction: tide\nAction Input: {"harbour": "Bergen"}\n'
_END = "Thought: I can answer without using any more tools.\nAnswer: The tide is high."


def _react(*, streaming: bool) -> Part:
    way = ASTREAM if streaming else ACHAT

    def part(subject: Subject, server: FaultServer) -> None:
        server.replies(*(way.reply(subject.wire, saying(text)) for text in (_STEP, _END)))
        _run(ReActAgent, subject, server, streaming=streaming)

    return part


_FUNCTIONS = frozenset({"functions"})
_LOOSE = frozenset({"openai", "fireworks"})

GROUP = Group(
    "Tools and agents",
    (
        Check(
            "tools",
            "`chat_with_tools` and its three siblings",
            over(_called, *CHATS),
            needs=_FUNCTIONS,
            note="A `ToolCallBlock` with name, arguments and id. Perplexity's chat completions "
            "take no tools.",
        ),
        Check("two_calls", "Two calls in one answer", over(_two), _FUNCTIONS),
        Check("tool_required", "`tool_required`", {"": _required}, _FUNCTIONS),
        Check("tool_choice", "A tool by name", {"": _by_name}, _FUNCTIONS),
        Check(
            "tool_strict",
            "`strict` tools",
            {"": _strict},
            needs=_FUNCTIONS,
        ),
        Check("single", "No parallel calls unless they are allowed", {"": _single}, _FUNCTIONS),
        Check("tool_results", "Results go back with their call", over(_results), _FUNCTIONS),
        Check(
            "tool_prompt",
            "Later prompts hold no objects of the call",
            over(_prompt_clean),
            needs=_FUNCTIONS,
            defect_of=_LOOSE,
        ),
        Check("predict_and_call", "`predict_and_call`", {"": _predicted}, _FUNCTIONS),
        Check(
            "cut_arguments",
            "Arguments that were cut are not used",
            {"predict_and_call": _not_run, "stream": _not_selected},
            needs=_FUNCTIONS,
            defect_of=_LOOSE,
            note='`{"harbour": "Be`, with `finish_reason` "length".',
        ),
        Check(
            "function_agent",
            "`FunctionAgent`",
            {"streaming": _agent(streaming=True), "whole": _agent(streaming=False)},
            needs=_FUNCTIONS,
        ),
        Check(
            "react_agent",
            "`ReActAgent`",
            {"streaming": _react(streaming=True), "whole": _react(streaming=False)},
            defect_of=frozenset({"perplexity"}),
        ),
    ),
)
