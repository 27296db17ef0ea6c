"""Facts about tool calls, and about agents."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import json
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent, ReActAgent
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.tools import FunctionTool

from llama_index_qaip.testing._bench import (
    QUESTION,
    Bench,
    both_lanes,
    every_chat,
    every_stream_chat,
)
from llama_index_qaip.testing._contract import Contract, needs
from llama_index_qaip.testing._memory import ListMemory
from llama_index_qaip.testing._script import Answer, Call

__all__ = ["ToolFacts"]


def tide(harbour: str) -> str:
    """Tell the tide in a harbour."""
    return f"It is high tide in {harbour}."


_TOOL = FunctionTool.from_defaults(tide)
_BERGEN = Call("tide", {"harbour": "Bergen"}, "call_a1")
_SKAGEN = Call("tide", {"harbour": "Skagen"}, "call_b2")


def _calling(*calls: Call, finish: str = "tool_calls") -> Answer:
    return Answer(pieces=("",), calls=calls, finish=finish)


class ToolFacts(Contract):
    """How a model calls tools, and what agents make of it."""

    @every_chat
    @needs(calls_tools=True)
    def test_tool_calls_are_blocks_in_their_order(self, bench: Bench, call: str) -> None:
        bench.service.answers(_calling(_BERGEN, _SKAGEN))
        blocks = _blocks(bench.last(call))
        assert [(b.tool_call_id, b.tool_name) for b in blocks] == [
            (c.id, c.name) for c in (_BERGEN, _SKAGEN)
        ]
        assert [_arguments(b) for b in blocks] == [_BERGEN.arguments, _SKAGEN.arguments]

    @every_stream_chat
    @needs(good_practice=True, calls_tools=True)
    def test_a_tool_call_grows_and_never_looks_complete_before_it_is(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(_calling(_BERGEN))
        *growing, _ = bench.ask(call)
        shown = [block for response in growing for block in _blocks(response)]
        assert shown
        whole = _BERGEN.arguments
        assert all(isinstance(b.tool_kwargs, str) or b.tool_kwargs == whole for b in shown)

    @every_chat
    @needs(good_practice=True, calls_tools=True)
    def test_cut_arguments_are_never_taken_for_a_call(self, bench: Bench, call: str) -> None:
        cut = Call("tide", {"harbour": "Bergen"}, cut=4)
        bench.service.answers(_calling(cut, finish="length"))
        llm = bench.make()
        answer = bench.last(call, llm=llm)
        assert [block.tool_kwargs for block in _blocks(answer)] == [cut.text]
        with pytest.raises(ValueError):  # noqa: PT011 -- what it says is the package's own
            llm.get_tool_calls_from_response(answer)

    @pytest.mark.parametrize(
        "call",
        [f"{a}{kind}_with_tools" for a in ("", "a") for kind in ("chat", "stream_chat")],
    )
    @needs(calls_tools=True)
    def test_tools_are_offered_and_their_calls_selected(self, bench: Bench, call: str) -> None:
        bench.service.answers(_calling(_BERGEN))
        llm = bench.make()
        assert isinstance(llm, FunctionCallingLLM)
        given = bench.call(llm, call, [_TOOL], user_msg=QUESTION)
        (request,) = bench.service.requests
        for text in ("tide", "harbour", "Tell the tide in a harbour.", QUESTION):
            assert request.says(text)
        answer = given[-1] if "stream" in call else given
        (selection,) = llm.get_tool_calls_from_response(answer)
        assert (selection.tool_id, selection.tool_name) == (_BERGEN.id, "tide")
        assert selection.tool_kwargs == _BERGEN.arguments

    @pytest.mark.parametrize("how", ["close", "break"])
    @pytest.mark.parametrize("call", ["stream_chat_with_tools", "astream_chat_with_tools"])
    @needs(calls_tools=True)
    def test_leaving_a_streamed_tool_call_frees_its_connection(
        self, bench: Bench, call: str, how: str
    ) -> None:
        bench.service.answers(Answer(pieces=("I ask.",), calls=(_BERGEN,), end="silence"))
        assert bench.frees(how, bench.make(), call, [_TOOL], user_msg=QUESTION)

    @needs(calls_tools=True)
    def test_a_required_tool_is_asked_for_as_such(self, bench: Bench) -> None:
        bench.service.answers(_calling(_BERGEN))
        llm = bench.make()
        for required in (False, True):
            llm.chat_with_tools([_TOOL], user_msg="q", tool_required=required)
        free, required = (request.body for request in bench.service.requests)
        assert free != required

    @needs(calls_tools=True)
    def test_an_answer_without_tool_calls_says_so(self, bench: Bench) -> None:
        bench.service.answers(self.answer())
        llm = bench.make()
        answer = bench.last("chat", llm=llm)
        assert llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False) == []
        with pytest.raises(ValueError):  # noqa: PT011
            llm.get_tool_calls_from_response(answer)

    @both_lanes
    @needs(calls_tools=True)
    def test_results_of_tools_go_back_with_their_calls(self, bench: Bench, a: str) -> None:
        bench.service.answers(_calling(_BERGEN), self.answer())
        llm = bench.make()
        called = bench.last(f"{a}chat", llm=llm).message
        result = ChatMessage("high", role="tool", additional_kwargs={"tool_call_id": _BERGEN.id})
        bench.ask(f"{a}chat", [ChatMessage("q"), called, result], llm)
        sent = bench.service.requests[-1]
        assert sent.says("high")
        assert str(sent.body).count(_BERGEN.id) == 2
        assert sent.says("Bergen")

    @both_lanes
    @needs(calls_tools=True)
    def test_predict_and_call_runs_the_tool(self, bench: Bench, a: str) -> None:
        bench.service.answers(_calling(_BERGEN))
        given = bench.call(bench.make(), f"{a}predict_and_call", [_TOOL], user_msg="q")
        assert str(given) == "It is high tide in Bergen."

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex looks at old names
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    @needs(calls_tools=True)
    def test_a_function_agent_runs_to_its_end(self, bench: Bench, streaming: bool) -> None:
        bench.service.answers(_calling(_BERGEN), self.answer())
        agent = FunctionAgent(tools=[_TOOL], llm=bench.make(), streaming=streaming)
        assert _ran(bench, agent) == self.answer().text
        assert bench.service.requests[-1].says("It is high tide in Bergen.")

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex looks at old names
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    def test_a_react_agent_runs_to_its_end(self, bench: Bench, streaming: bool) -> None:
        acting = (
            "Thought: I need a tool.\n",
            "Action: tide\n",
            'Action Input: {"harbour": "Bergen"}',
        )
        ending = ("Thought: I can answer without more tools.\n", "Answer: It is high.")
        bench.service.answers(Answer(pieces=acting), Answer(pieces=ending))
        agent = ReActAgent(tools=[_TOOL], llm=bench.make(), streaming=streaming)
        assert _ran(bench, agent) == "It is high."
        assert bench.service.requests[-1].says("It is high tide in Bergen.")


def _blocks(response: Any) -> list[ToolCallBlock]:
    return [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]


def _arguments(block: ToolCallBlock) -> Any:
    """LlamaIndex takes both forms; a dict is what users expect."""
    given = block.tool_kwargs
    return json.loads(given) if isinstance(given, str) else given


def _ran(bench: Bench, agent: Any) -> str:
    async def work() -> str:
        return str(await agent.run(QUESTION, memory=ListMemory()))

    return str(bench.run(work()))
