"""`RetrieverContract`: the facts that hold for every retriever of LlamaIndex."""

# ruff: noqa: D102, S101 -- a test is named by its fact, and made of asserts

from __future__ import annotations

import json
from typing import Any, ClassVar, cast

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.chat_engine import CondensePlusContextChatEngine
from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CitationQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import QueryFusionRetriever, RouterRetriever
from llama_index.core.schema import MetadataMode, QueryBundle
from llama_index.core.tools import RetrieverTool

from llama_index_qaip.testing._asking import First
from llama_index_qaip.testing._bench import KEY, QUESTION, Bench, both_lanes
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._errors import check_error
from llama_index_qaip.testing._memory import ListMemory
from llama_index_qaip.testing._recording import Handler, recording
from llama_index_qaip.testing._script import SOURCES, Refusal

__all__ = ["RetrieverContract"]


class RetrieverContract(Contract):
    """The facts that hold for every retriever of sources.

    Attributes:
        scores: whether the service gives its sources scores.
        cites_urls: whether the service names the addresses of its sources, not only titles.
    """

    cites = True
    scores: ClassVar[bool] = False
    cites_urls: ClassVar[bool] = True

    def test_it_is_a_retriever(self, bench: Bench) -> None:
        assert isinstance(bench.make(), BaseRetriever)

    def test_retrieving_async_does_not_block_the_loop(self, bench: Bench) -> None:
        bench.service.answers(self.answer(wait=0.05))
        assert bench.beats(bench.make(), "aretrieve", QUESTION) >= 3

    @both_lanes
    def test_each_source_is_a_node_in_the_service_s_order(self, bench: Bench, a: str) -> None:
        found = self._found(bench, a)
        assert [item.node.get_content(MetadataMode.NONE) for item in found] == [
            source.text for source in SOURCES
        ]
        assert len(bench.service.requests) == 1

    @both_lanes
    def test_a_query_may_be_a_bundle(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        found = bench.call(bench.make(), f"{a}retrieve", QueryBundle(QUESTION))
        assert len(found) == len(SOURCES)
        assert bench.service.requests[0].says(QUESTION)

    @both_lanes
    def test_ids_are_unique_and_stay_the_same(self, bench: Bench, a: str) -> None:
        first, second = ([n.node_id for n in self._found(bench, a)] for _ in range(2))
        assert first == second
        assert len(set(first)) == len(SOURCES)

    @both_lanes
    def test_a_source_that_is_named_twice_is_one_node(self, bench: Bench, a: str) -> None:
        found = self._found(bench, a, sources=(SOURCES[0], SOURCES[1], SOURCES[0]))
        assert [item.node.get_content(MetadataMode.NONE) for item in found] == [
            source.text for source in SOURCES
        ]

    @both_lanes
    def test_no_source_is_no_node(self, bench: Bench, a: str) -> None:
        assert self._found(bench, a, sources=()) == []

    @both_lanes
    @needs(scores=True)
    def test_scores_are_the_service_s(self, bench: Bench, a: str) -> None:
        found = self._found(bench, a)
        assert [item.score for item in found] == [source.score for source in SOURCES]

    @both_lanes
    @needs(good_practice=True, scores=False)
    def test_no_score_is_invented(self, bench: Bench, a: str) -> None:
        assert [item.score for item in self._found(bench, a)] == [None] * len(SOURCES)

    @good_practice
    def test_a_node_names_its_source(self, bench: Bench) -> None:
        for item, source in zip(self._found(bench, ""), SOURCES, strict=True):
            assert source.title in json.dumps(item.node.metadata)
            assert item.node.ref_doc_id == (source.url if self.cites_urls else source.title)

    @good_practice
    def test_metadata_are_plain_and_without_none(self, bench: Bench) -> None:
        for item in self._found(bench, ""):
            metadata = item.node.metadata
            assert None not in metadata.values()
            assert json.loads(json.dumps(metadata)) == metadata

    @both_lanes
    def test_retrieving_has_one_start_and_one_end_event(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        handler = Handler()
        retriever = bench.make(callback_manager=CallbackManager([handler]))
        with recording() as record:
            found = bench.call(retriever, f"{a}retrieve", QUESTION)
        assert len(record.of("RetrievalStartEvent")) == 1
        (end,) = record.of("RetrievalEndEvent")
        assert end.nodes == found
        assert record.open_spans == []
        assert handler.counts(CBEventType.RETRIEVE) == (1, 1)
        assert handler.told(CBEventType.RETRIEVE, EventPayload.NODES) == [found]

    @pytest.mark.parametrize("end", ["cut", "malformed"])
    @both_lanes
    def test_a_failure_raises(self, bench: Bench, a: str, end: str) -> None:
        bench.service.answers(self.answer(end=end))
        failure = bench.fails(bench.make(), f"{a}retrieve", QUESTION)
        assert isinstance(failure.error, self.error_class)

    @both_lanes
    @good_practice
    def test_a_failure_is_of_the_package_s_own_kind(self, bench: Bench, a: str) -> None:
        bench.service.answers(Refusal(401))
        error = bench.fails(bench.make(), f"{a}retrieve", QUESTION).error
        check_error(self, error)
        assert getattr(error, self.status_attribute) == 401

    @pytest.mark.parametrize("kind", ["RetrieverQueryEngine", "CitationQueryEngine"])
    @both_lanes
    def test_the_framework_s_engines_take_it(self, bench: Bench, a: str, kind: str) -> None:
        bench.service.answers(self.answer())
        engine = _engine(kind, bench.make())
        response = bench.call(engine, f"{a}query", QUESTION)
        assert len(response.source_nodes) == len(SOURCES)
        for source in SOURCES:
            assert source.text in str(response)

    @both_lanes
    def test_a_chat_engine_answers_from_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        engine = CondensePlusContextChatEngine.from_defaults(
            bench.make(), llm=MockLLM(), memory=ListMemory()
        )
        response = bench.call(engine, f"{a}chat", QUESTION)
        assert len(response.source_nodes) == len(SOURCES)
        assert SOURCES[0].text in response.sources[0].content

    @both_lanes
    def test_it_is_a_tool(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        tool = RetrieverTool.from_defaults(bench.make())
        output = bench.call(tool, f"{a}call", QUESTION)
        for source in SOURCES:
            assert source.text in output.content

    @both_lanes
    def test_a_router_takes_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        tool = RetrieverTool.from_defaults(bench.make(), name="lamps", description="Knows lamps.")
        found = bench.call(RouterRetriever(First(), [tool], llm=MockLLM()), f"{a}retrieve", "q")
        assert len(found) == len(SOURCES)

    @both_lanes
    def test_fusion_takes_it_beside_others(self, bench: Bench, a: str) -> None:
        """What two retrievers find is one node, where it is the same."""
        bench.service.answers(self.answer())
        several = [bench.make(), bench.make()]
        fused = QueryFusionRetriever(several, llm=MockLLM(), num_queries=1, use_async=False)
        found = bench.call(fused, f"{a}retrieve", QUESTION)
        assert {item.node.get_content(MetadataMode.NONE) for item in found} == {
            source.text for source in SOURCES
        }
        assert len(found) == len(SOURCES)
        assert len(bench.service.requests) == 2

    @both_lanes
    @needs(good_practice=True, max_retries_field=True)
    def test_a_busy_service_is_asked_again(self, bench: Bench, a: str) -> None:
        busy = Refusal(503, headers={"retry-after-ms": "20", "retry-after": "0.02"})
        bench.service.answers(busy, self.answer())
        made = bench.make(**{self.max_retries_field: 1})
        assert len(bench.call(made, f"{a}retrieve", QUESTION)) == len(SOURCES)
        assert len(bench.service.requests) == 2

    @good_practice
    def test_the_key_is_in_no_form_of_it(self, bench: Bench) -> None:
        retriever = bench.make()
        assert KEY not in repr(retriever) + str(retriever)

    def _found(self, bench: Bench, a: str, **given: Any) -> Any:
        bench.service.answers(self.answer(**given))
        return bench.call(bench.make(), f"{a}retrieve", QUESTION)


def _engine(kind: str, retriever: BaseRetriever) -> Any:
    """Return an engine whose LLM repeats the prompt."""
    if kind == "RetrieverQueryEngine":
        return RetrieverQueryEngine.from_args(retriever, llm=MockLLM())
    index = cast("Any", None)
    return CitationQueryEngine.from_args(index, llm=MockLLM(), retriever=retriever)
