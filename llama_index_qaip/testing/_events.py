"""Facts about events, spans, rate limits and token counts."""

# ruff: noqa: S101 -- a test is made of asserts

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.token_counting import TokenCountingHandler

from llama_index_qaip.testing._bench import KEY, Bench, asked, every_call, every_stream
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._recording import Handler, Limiter, recording
from llama_index_qaip.testing._script import Answer, Refusal

__all__ = ["EventFacts"]


class EventFacts(Contract):
    """What LlamaIndex's listeners are told of a call."""

    @every_call
    def test_a_call_has_one_start_and_one_end_event(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        with recording() as record:
            seen = bench.ask(call)
        kind = "LLMChat" if "chat" in call else "LLMCompletion"
        assert len(record.of(f"{kind}StartEvent")) == 1
        (end,) = record.of(f"{kind}EndEvent")
        assert end.response == seen[-1]
        shown = [event.response for event in record.of(f"{kind}InProgressEvent")]
        assert shown == (seen if "stream" in call else [])
        others = {"LLMChat", "LLMCompletion"} - {kind}
        assert not [event for event in record.events if event.class_name().startswith(*others)]

    @every_call
    def test_a_handler_is_told_one_start_and_one_end(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        handler = Handler()
        answer = bench.last(call, llm=bench.make(callback_manager=CallbackManager([handler])))
        assert handler.counts(CBEventType.LLM) == (1, 1)
        assert handler.told(CBEventType.LLM, _payload(call)) == [answer]

    @pytest.mark.parametrize("outcome", ["answered", "refused", "broken"])
    @every_call
    def test_every_span_is_closed(self, bench: Bench, call: str, outcome: str) -> None:
        self._serve(bench, outcome)
        with recording() as record:
            if outcome == "answered":
                bench.ask(call)
            else:
                bench.fails(bench.make(), call)
        assert record.open_spans == []

    @every_call
    def test_a_refused_call_has_one_start_and_an_end_with_the_error(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(Refusal(401))
        handler = Handler()
        llm = bench.make(callback_manager=CallbackManager([handler]))
        failure = bench.fails(llm, call)
        assert handler.counts(CBEventType.LLM) == (1, 1)
        assert handler.exceptions(CBEventType.LLM) == [failure.error]

    @every_stream
    def test_a_stream_that_breaks_ends_with_its_error(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(end="cut"))
        handler = Handler()
        llm = bench.make(callback_manager=CallbackManager([handler]))
        with recording() as record:
            failure = bench.fails(llm, call)
        assert handler.counts(CBEventType.LLM) == (1, 1)
        assert handler.exceptions(CBEventType.LLM) == [failure.error]
        (told,) = record.of("ExceptionEvent")
        assert told.exception is failure.error
        assert record.named("ChatEndEvent", "CompletionEndEvent") == []

    @every_stream
    def test_a_stream_that_is_left_ends_once(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        handler = Handler()
        llm = bench.make(callback_manager=CallbackManager([handler]))
        with recording() as record:
            bench.first(llm, call, asked(call))
        assert handler.counts(CBEventType.LLM) == (1, 1)
        (left,) = handler.exceptions(CBEventType.LLM)
        assert isinstance(left, GeneratorExit)
        assert len(record.of("ExceptionEvent")) == 1

    @every_call
    @good_practice
    def test_no_event_tells_the_key(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(), Refusal(401))
        handler = Handler()
        llm = bench.make(callback_manager=CallbackManager([handler]))
        with recording() as record:
            bench.ask(call, llm=llm)
            bench.fails(llm, call)
        told: list[Any] = [vars(event) for event in record.events]
        assert told
        assert KEY not in repr(told)
        assert KEY not in repr([handler.starts, handler.ends])

    @every_call
    def test_a_rate_limiter_is_asked_once(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        limiter = Limiter()
        bench.ask(call, llm=bench.make(rate_limiter=limiter))
        assert limiter.acquired == 1

    @every_call
    @needs(reports_usage=True)
    def test_tokens_are_counted_as_the_service_counts_them(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer(prompt_tokens=1011, completion_tokens=1007))
        counter = TokenCountingHandler(tokenizer=str.split)
        bench.ask(call, llm=bench.make(callback_manager=CallbackManager([counter])))
        assert counter.prompt_llm_token_count == 1011
        assert counter.completion_llm_token_count == 1007

    @every_call
    @needs(reports_usage=False)
    def test_tokens_are_estimated_where_the_service_counts_none(
        self, bench: Bench, call: str
    ) -> None:
        bench.service.answers(self.answer())
        counter = TokenCountingHandler(tokenizer=str.split)
        bench.ask(call, llm=bench.make(callback_manager=CallbackManager([counter])))
        assert counter.prompt_llm_token_count > 0
        assert counter.completion_llm_token_count >= len(self.answer().text.split())

    def _serve(self, bench: Bench, outcome: str) -> None:
        told: dict[str, Answer | Refusal] = {
            "answered": self.answer(),
            "refused": Refusal(401),
            "broken": self.answer(end="cut"),
        }
        bench.service.answers(told[outcome])


def _payload(call: str) -> EventPayload:
    """Core tells of the answer under another name for completions."""
    return EventPayload.RESPONSE if "chat" in call else EventPayload.COMPLETION
