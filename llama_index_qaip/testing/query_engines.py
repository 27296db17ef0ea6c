"""`QueryEngineContract`: the facts that hold for engines that answer with sources."""

# ruff: noqa: D102, S101 -- a test is named by its fact, and made of asserts

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.chat_engine import CondenseQuestionChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.prompts import BasePromptTemplate, PromptTemplate
from llama_index.core.query_engine import RouterQueryEngine, SubQuestionQueryEngine
from llama_index.core.schema import MetadataMode
from llama_index.core.tools import QueryEngineTool

from llama_index_qaip.testing._asking import First, Same
from llama_index_qaip.testing._bench import QUESTION, Bench, both_lanes
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._errors import check_error
from llama_index_qaip.testing._memory import ListMemory
from llama_index_qaip.testing._prompts import said_by
from llama_index_qaip.testing._recording import Handler, recording
from llama_index_qaip.testing._script import SOURCES, Refusal

__all__ = ["QueryEngineContract"]


class QueryEngineContract(Contract):
    """The facts that hold for every engine whose answers have sources.

    ``make`` takes ``streaming`` beside the fields.

    Attributes:
        prompt_key: the name of the prompt that the query is put into; "" if there is none.
    """

    cites = True
    prompt_key: ClassVar[str] = ""

    def test_it_is_a_query_engine(self, bench: Bench) -> None:
        assert isinstance(bench.make(streaming=False), BaseQueryEngine)

    def test_querying_async_does_not_block_the_loop(self, bench: Bench) -> None:
        bench.service.answers(self.answer(wait=0.05))
        assert bench.beats(bench.make(streaming=False), "aquery", QUESTION) >= 3

    @both_lanes
    def test_an_answer_has_its_text_and_sources(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        response = bench.call(bench.make(streaming=False), f"{a}query", QUESTION)
        assert isinstance(response, Response)
        assert response.response == self.answer().text
        _check_sources(response)
        assert len(bench.service.requests) == 1

    @both_lanes
    def test_a_streamed_answer_fills_the_very_list_of_sources(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        engine = bench.make(streaming=True)
        response = bench.call(engine, f"{a}query", QUESTION)
        assert isinstance(response, AsyncStreamingResponse if a else StreamingResponse)
        nodes = response.source_nodes
        pieces = _pieces(bench, response)
        assert "".join(pieces) == self.answer().text
        assert len(pieces) > 1
        assert response.source_nodes is nodes
        _check_sources(response)

    @both_lanes
    def test_a_streamed_answer_can_be_awaited_whole(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        response = bench.call(bench.make(streaming=True), f"{a}query", QUESTION)
        whole = bench.call(response, "get_response", a=a)
        assert whole.response == self.answer().text
        assert len(whole.source_nodes) == len(SOURCES)
        assert str(self.answer().text) in str(whole)

    @both_lanes
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    def test_a_query_has_one_start_and_one_end_event(
        self, bench: Bench, a: str, streaming: bool
    ) -> None:
        bench.service.answers(self.answer())
        handler = Handler()
        engine = bench.make(streaming=streaming, callback_manager=CallbackManager([handler]))
        with recording() as record:
            response = bench.call(engine, f"{a}query", QUESTION)
            if streaming:
                _pieces(bench, response)
        assert len(record.of("QueryStartEvent")) == len(record.of("QueryEndEvent")) == 1
        assert record.open_spans == []
        assert handler.counts(CBEventType.QUERY) == handler.counts(CBEventType.LLM) == (1, 1)
        assert handler.told(CBEventType.QUERY, EventPayload.RESPONSE) == [response]
        assert len(handler.told(CBEventType.LLM, EventPayload.RESPONSE)) == 1

    @both_lanes
    @needs(good_practice=True, reports_finish=True)
    def test_metadata_tell_why_the_answer_ended(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        response = bench.call(bench.make(streaming=False), f"{a}query", QUESTION)
        assert (response.metadata or {}).get("finish_reason") == self.answer().finish

    @both_lanes
    @good_practice
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    def test_a_failure_is_of_the_package_s_own_kind(
        self, bench: Bench, a: str, streaming: bool
    ) -> None:
        bench.service.answers(Refusal(401))
        error = _failure(bench, bench.make(streaming=streaming), a)
        check_error(self, error)
        assert getattr(error, self.status_attribute) == 401

    @pytest.mark.parametrize("end", ["cut", "malformed"])
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    @both_lanes
    def test_a_failure_raises(self, bench: Bench, a: str, streaming: bool, end: str) -> None:
        bench.service.answers(self.answer(end=end))
        error = _failure(bench, bench.make(streaming=streaming), a)
        assert isinstance(error, self.error_class)

    @pytest.mark.parametrize("how", ["close", "break"])
    def test_leaving_a_streamed_answer_frees_its_connection(self, bench: Bench, how: str) -> None:
        bench.service.answers(self.answer(end="silence"))
        engine, held = bench.make(streaming=True), []

        def begin() -> Any:
            response = engine.query(QUESTION)
            held.extend([response] if how == "close" else [])
            return response.response_gen

        assert bench.left(how, begin, a=False)

    @pytest.mark.parametrize("how", ["close", "break", "cancel"])
    @good_practice
    def test_leaving_an_async_answer_frees_its_connection(self, bench: Bench, how: str) -> None:
        """LlamaIndex's own class lets go of nothing while somebody holds the response."""
        bench.service.answers(self.answer(end="silence"))
        engine, held = bench.make(streaming=True), []

        async def begin() -> Any:
            held.append(await engine.aquery(QUESTION))
            return held[0].async_response_gen()

        assert bench.left(how, begin, a=True)

    @both_lanes
    @good_practice
    def test_an_answer_that_was_read_is_there_whole(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        response = bench.call(bench.make(streaming=True), f"{a}query", QUESTION)
        _pieces(bench, response)
        assert bench.call(response, "get_response", a=a).response == self.answer().text

    @pytest.mark.parametrize("end", ["cut", "malformed", "refused"])
    @both_lanes
    @good_practice
    def test_an_answer_that_broke_is_never_whole(self, bench: Bench, a: str, end: Any) -> None:
        bench.service.answers(Refusal(401) if end == "refused" else self.answer(end=end))
        response = bench.call(bench.make(streaming=True), f"{a}query", QUESTION)
        with pytest.raises(self.error_class):
            _pieces(bench, response)
        for read in ("get_response", "__str__", "get_response"):
            with pytest.raises(self.error_class):
                bench.call(response, read, a=a if read == "get_response" else "")

    def test_prompts_are_templates(self, bench: Bench) -> None:
        prompts = bench.make(streaming=False).get_prompts()
        assert set(prompts) == ({self.prompt_key} if self.prompt_key else set())
        assert all(isinstance(prompt, BasePromptTemplate) for prompt in prompts.values())

    @both_lanes
    @needs(prompt_key=True)
    def test_a_prompt_that_is_changed_is_used(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        engine = bench.make(streaming=False)
        engine.update_prompts({self.prompt_key: PromptTemplate("Say in rhyme: {query_str}")})
        bench.call(engine, f"{a}query", QUESTION)
        assert bench.service.requests[0].says(f"Say in rhyme: {QUESTION}")

    @both_lanes
    def test_it_is_a_tool(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        output = bench.call(_tool(bench), f"{a}call", QUESTION)
        assert output.content == self.answer().text
        assert bench.service.requests[0].says(QUESTION)

    @both_lanes
    @pytest.mark.parametrize("streaming", [False, True], ids=["whole", "streamed"])
    def test_a_router_takes_it(self, bench: Bench, a: str, streaming: bool) -> None:
        bench.service.answers(self.answer())
        tool = _tool(bench, streaming=streaming)
        response = bench.call(RouterQueryEngine(First(), [tool], llm=MockLLM()), f"{a}query", "q")
        pieces = _pieces(bench, response) if streaming else [response.response]
        assert "".join(pieces) == self.answer().text
        assert len(response.source_nodes) == len(SOURCES)

    @both_lanes
    @needs(good_practice=True, reports_finish=True)
    def test_metadata_of_a_stream_survive_a_router(self, bench: Bench, a: str) -> None:
        """It replaces what is empty, so what is filled later."""
        bench.service.answers(self.answer())
        tool = _tool(bench, streaming=True)
        response = bench.call(RouterQueryEngine(First(), [tool], llm=MockLLM()), f"{a}query", "q")
        _pieces(bench, response)
        assert (response.metadata or {}).get("finish_reason") == self.answer().finish

    @both_lanes
    def test_sub_questions_are_answered_by_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        engine = SubQuestionQueryEngine.from_defaults(
            [_tool(bench)], llm=MockLLM(), question_gen=Same(), use_async=False, verbose=False
        )
        response = bench.call(engine, f"{a}query", QUESTION)
        assert self.answer().text in str(response)

    @both_lanes
    def test_a_chat_engine_condenses_questions_for_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        chat = CondenseQuestionChatEngine.from_defaults(
            bench.make(streaming=False), llm=MockLLM(), memory=ListMemory()
        )
        for turn in (QUESTION, "And then?"):
            assert str(bench.call(chat, f"{a}chat", turn)) == self.answer().text
        assert bench.service.requests[1].says("And then?")

    @pytest.mark.parametrize("call", ["stream_chat", "astream_chat"])
    def test_a_chat_engine_streams_its_answers(self, bench: Bench, call: str) -> None:
        bench.service.answers(self.answer())
        engine = bench.make(streaming=True)
        chat = CondenseQuestionChatEngine.from_defaults(engine, llm=MockLLM(), memory=ListMemory())
        for turn in (QUESTION, "And then?"):
            assert said_by(bench, chat, call, turn) == self.answer().text
        assert bench.service.requests[1].says("And then?")


def _tool(bench: Bench, *, streaming: bool = False) -> QueryEngineTool:
    return QueryEngineTool.from_defaults(
        bench.make(streaming=streaming), name="lamps", description="Knows lamps."
    )


def _pieces(bench: Bench, response: Any) -> list[str]:
    if isinstance(response, StreamingResponse):
        return list(response.response_gen)

    async def work() -> list[str]:
        return [piece async for piece in response.async_response_gen()]

    return list(bench.run(work()))


def _failure(bench: Bench, engine: Any, a: str) -> Exception:
    """Return how a query fails, at once or while its answer is read."""
    try:
        response = bench.call(engine, f"{a}query", QUESTION)
        if not isinstance(response, Response):
            _pieces(bench, response)
    except Exception as error:  # noqa: BLE001 -- its class is what is looked at
        return error
    pytest.fail("no error")


def _check_sources(response: Any) -> None:
    texts = [item.node.get_content(MetadataMode.NONE) for item in response.source_nodes]
    assert texts == [source.text for source in SOURCES]
    shown = response.get_formatted_sources()
    assert all(source.text in shown for source in SOURCES)
