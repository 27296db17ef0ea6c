"""Facts about requests: what is sent of a call, and from where."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock

from llama_index_qaip.testing._bench import (
    QUESTION,
    Bench,
    both_lanes,
    every_call,
    every_chat,
    every_text,
    every_whole,
)
from llama_index_qaip.testing._contract import Contract, needs
from llama_index_qaip.testing._script import Request, leaves

__all__ = ["SentFacts"]

_HISTORY = (
    ChatMessage("Be brief.", role=MessageRole.SYSTEM),
    ChatMessage("When?"),
    ChatMessage("In 1823.", role=MessageRole.ASSISTANT),
    ChatMessage([TextBlock(text="And"), TextBlock(text="then?")]),
)


class SentFacts(Contract):
    """What a service is sent.

    Attributes:
        has_text_endpoint: whether `complete` goes to another place than `chat`.
        formats_completions: whether `complete` applies ``completion_to_prompt``; LLMs that answer
            completions by chat may leave it out.
        tells_roles: whether the service is told who said what; then `roles_of` says how.
        parameter_field: a parameter of the service that the object and each call may set.
        parameter_values: two values of it.
    """

    formats_completions: ClassVar[bool] = True
    has_text_endpoint: ClassVar[bool] = False
    tells_roles: ClassVar[bool] = True
    parameter_field: ClassVar[str] = "temperature"
    parameter_values: ClassVar[tuple[Any, Any]] = (0.25, 0.75)

    def roles_of(self, request: Request) -> list[str]:
        """Return the roles of the turns in a request."""
        return [turn["role"] for turn in request.body["messages"]]

    @every_whole
    @needs(parameter_field=True)
    def test_a_parameter_of_the_object_is_sent(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        first, _ = self.parameter_values
        bench.ask(call, llm=bench.make(**{self.parameter_field: first}))
        assert set(leaves(first)) <= set(leaves(bench.service.requests[0].body))

    @every_call
    @needs(parameter_field=True)
    def test_a_parameter_of_a_call_overrules_the_object_s(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        first, second = self.parameter_values
        llm = bench.make(**{self.parameter_field: first})
        bench.ask(call, llm=llm, **{self.parameter_field: second})
        sent = set(leaves(bench.service.requests[0].body))
        assert set(leaves(second)) <= sent
        assert not set(leaves(first)) & sent

    @every_chat
    def test_messages_are_left_as_they_were(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        history, given = list(_HISTORY), deepcopy(list(_HISTORY))
        bench.ask(call, given)
        assert given == history

    @every_chat
    @needs(tells_roles=True)
    def test_each_turn_keeps_its_role(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        bench.ask(call, list(_HISTORY))
        roles = self.roles_of(bench.service.requests[0])
        assert roles == ["system", "user", "assistant", "user"]

    @every_text
    @needs(formats_completions=True)
    def test_completion_to_prompt_writes_the_prompt_once(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make(completion_to_prompt=lambda prompt: f"<<{prompt}>>")
        bench.ask(call, "q", llm)
        bench.ask(call, "<<q>>", llm, formatted=True)
        for request in bench.service.requests:
            assert request.says("<<q>>")
            assert not request.says("<<<<q>>>>")

    @both_lanes
    @needs(has_text_endpoint=True)
    def test_completions_have_a_place_of_their_own(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make()
        for call in (f"{a}chat", f"{a}complete"):
            bench.ask(call, llm=llm)
        chat, text = bench.service.requests
        assert chat.path != text.path
        assert QUESTION in text.body.values()

    @every_chat
    @needs(is_chat_model=False)
    def test_messages_to_prompt_writes_the_conversation(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        llm = bench.make(messages_to_prompt=lambda messages: f"{len(messages)} turns")
        bench.ask(call, [ChatMessage("first"), ChatMessage("second")], llm)
        assert bench.service.requests[0].says("2 turns")
