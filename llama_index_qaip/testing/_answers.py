"""Facts about an LLM and its answers, whole and streamed."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    MessageRole,
    TextBlock,
)
from llama_index.core.llms import LLM
from llama_index.core.llms.utils import resolve_llm

from llama_index_qaip.testing._bench import (
    CHATS,
    TEXTS,
    Bench,
    asked,
    every_call,
    every_chat,
    text_of,
)
from llama_index_qaip.testing._contract import Contract, good_practice, needs

__all__ = ["AnswerFacts"]

every_async = pytest.mark.parametrize(
    "call", [name for name in CHATS + TEXTS if name.startswith("a")]
)
every_pair = pytest.mark.parametrize(
    ("whole", "streamed"),
    [
        ("chat", "stream_chat"),
        ("achat", "astream_chat"),
        ("complete", "stream_complete"),
        ("acomplete", "astream_complete"),
    ],
)
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_LATER = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
"""The later names of counts, which LlamaIndex's counters read too."""


class AnswerFacts(Contract):
    """What an LLM is, and what its answers hold.

    Attributes:
        is_chat_model: whether `predict` shall use `chat`.
        calls_tools: whether it is a function calling LLM.
        reports_id: whether the service gives answers ids.
        reports_cost: whether the service says what an answer costs; then override `cost_of`.
    """

    is_chat_model: ClassVar[bool] = True
    calls_tools: ClassVar[bool] = False
    reports_id: ClassVar[bool] = True
    reports_cost: ClassVar[bool] = False

    def cost_of(self, response: Any) -> float:
        """Return where a response says what it costs."""
        raise NotImplementedError

    def test_it_is_an_llm(self, bench: Bench) -> None:
        llm = bench.make()
        assert isinstance(llm, LLM)
        assert "BaseLLM" in [base.__name__ for base in type(llm).__mro__]
        assert isinstance(llm, BaseLLM)
        assert resolve_llm(llm) is llm

    @good_practice
    def test_all_nine_members_are_its_own(self, bench: Bench) -> None:
        owners = {name: _owner(type(bench.make()), name) for name in ("metadata", *CHATS, *TEXTS)}
        inherited = {n for n, o in owners.items() if o.__module__.startswith("llama_index.core")}
        assert not inherited

    @every_async
    def test_an_async_call_does_not_block_the_loop(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(wait=0.05))
        assert bench.beats(bench.make(), call, asked(call)) >= 3

    def test_metadata_says_what_the_model_is(self, bench: Bench) -> None:
        metadata = bench.make().metadata
        assert metadata.is_chat_model is self.is_chat_model
        assert metadata.is_function_calling_model is self.calls_tools
        assert metadata.context_window > 0

    @good_practice
    def test_metadata_are_more_than_defaults(self, bench: Bench) -> None:
        metadata = bench.make().metadata
        assert metadata.model_name != "unknown"
        assert metadata.context_window != 3900, "LlamaIndex packs prompts by it"
        assert metadata.num_output > 0

    @every_call
    def test_an_answer_is_its_text(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        answer = bench.last(call)
        assert isinstance(answer, ChatResponse if call in CHATS else CompletionResponse)
        assert text_of(answer) == self.answer().text
        assert len(bench.service.requests) == 1

    @every_call
    def test_an_answer_without_text_is_an_empty_one(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(pieces=("",)))
        assert not text_of(bench.last(call))

    @every_chat
    def test_a_message_is_one_text_block_of_the_assistant(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(sources=()))
        message = bench.last(call).message
        assert message.role is MessageRole.ASSISTANT
        assert message.blocks == [TextBlock(text=self.answer().text)]

    @every_chat
    @good_practice
    def test_a_message_keeps_its_additional_kwargs_empty(self, bench: Bench, call: str) -> None:
        """LlamaIndex prints them into prompts, and its memory counts them."""
        bench.service.answers(self.answer())
        assert bench.last(call).message.additional_kwargs == {}

    @every_chat
    def test_a_message_survives_json(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        message = bench.last(call).message
        assert ChatMessage.model_validate_json(message.model_dump_json()) == message
        assert ChatMessage.model_validate(message.model_dump()) == message

    @every_call
    def test_raw_is_a_dict_or_becomes_one(self, bench: Bench, call: str) -> None:
        """LlamaIndex's counters look into it."""
        bench.service.answers(self.answer())
        assert dict(bench.last(call).raw)

    @every_call
    @good_practice
    def test_raw_is_plain_data(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        raw = bench.last(call).raw
        assert type(raw) is dict
        assert json.loads(json.dumps(raw)) == raw

    @every_call
    @needs(good_practice=True, reports_usage=True)
    def test_token_counts_are_in_raw_and_in_additional_kwargs(
        self, bench: Bench, call: str
    ) -> None:
        wire = self.answer()
        bench.service.answers(wire)
        answer = bench.last(call)
        counts = {name: answer.additional_kwargs.get(name) for name in _COUNTS}
        assert counts == wire.usage
        usage = answer.raw["usage"]
        assert {name: _count(usage, name) for name in _COUNTS} == wire.usage

    @every_call
    @needs(good_practice=True, reports_finish=True)
    def test_the_finish_reason_is_in_additional_kwargs(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        assert bench.last(call).additional_kwargs.get("finish_reason") == self.answer().finish

    @every_call
    @needs(good_practice=True, reports_id=True)
    def test_the_answer_s_id_is_in_additional_kwargs(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        assert bench.last(call).additional_kwargs.get("id") == self.answer().id

    @every_call
    @needs(good_practice=True, reports_cost=True)
    def test_the_cost_is_what_the_service_says(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        assert self.cost_of(bench.last(call)) == self.answer().cost

    @every_pair
    @good_practice
    def test_a_streamed_answer_says_what_a_whole_one_says(
        self, bench: Bench, whole: str, streamed: str
    ) -> None:
        bench.service.answers(self.answer())
        first, second = bench.last(whole), bench.last(streamed)
        assert text_of(first) == text_of(second)
        if whole in CHATS:
            assert first.message == second.message
        assert first.additional_kwargs == second.additional_kwargs


def _owner(kind: type, name: str) -> type:
    return next(base for base in kind.__mro__ if name in vars(base))


def _count(usage: Any, name: str) -> Any:
    return usage[name if name in usage else _LATER.get(name, name)]
