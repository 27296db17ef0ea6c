"""`RerankContract`: the facts that hold for every postprocessor that asks a service to rank."""

# ruff: noqa: D102, S101 -- a test is named by its fact, and made of asserts

from __future__ import annotations

from copy import deepcopy
from typing import Any, ClassVar

import pytest
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.llms import MockLLM
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

from llama_index_qaip.testing._bench import KEY, QUESTION, Bench, both_lanes
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._dialect import Dialect
from llama_index_qaip.testing._errors import check_error
from llama_index_qaip.testing._recording import Handler, recording
from llama_index_qaip.testing._script import Answer, Refusal, Request

__all__ = ["RerankContract", "RerankDialect", "score_of"]

_TEXTS = ("Lit.", "Electric since 1911.", "Grey, and tall.")
_BEST_FIRST = sorted(_TEXTS, key=len, reverse=True)


def score_of(text: str) -> float:
    """Return how well a text fits any query, as the suite's services see it: long ones do."""
    return len(text) / 100


class RerankDialect(Dialect):
    """The form of most rerankers: places and scores, best first."""

    def streams(self, request: Request) -> bool:  # noqa: ARG002 -- never
        """Tell that nothing streams."""
        return False

    def whole(self, answer: Answer, request: Request) -> Any:  # noqa: ARG002 -- the same to all
        """Return the body of an answer: a place and a score for each document of the request."""
        scored = enumerate(map(score_of, request.body["documents"]))
        ranked = sorted(scored, key=lambda found: found[1], reverse=True)
        results = [{"index": place, "relevance_score": score} for place, score in ranked]
        return {"results": results[: request.body.get("top_n")]}


class _Fixed(BaseRetriever):
    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:  # noqa: ARG002
        return _nodes()


class RerankContract(Contract):
    """The facts that hold for every postprocessor whose service ranks by `score_of` each text.

    Attributes:
        top_n_field: the constructor argument that says how many nodes are kept.
    """

    dialect: ClassVar[type[Dialect]] = RerankDialect
    top_n_field: ClassVar[str] = "top_n"

    def test_it_is_a_postprocessor(self, bench: Bench) -> None:
        assert isinstance(bench.make(), BaseNodePostprocessor)

    def test_ranking_async_does_not_block_the_loop(self, bench: Bench) -> None:
        bench.service.answers(self.answer(wait=0.05))
        made, query = bench.make(), QueryBundle(QUESTION)
        assert bench.beats(made, "apostprocess_nodes", _nodes(), query) >= 3

    @both_lanes
    def test_nodes_come_in_the_service_s_order_with_its_scores(self, bench: Bench, a: str) -> None:
        found = self._ranked(bench, a)
        assert [item.node.get_content() for item in found] == _BEST_FIRST
        assert [item.score for item in found] == [score_of(text) for text in _BEST_FIRST]
        (request,) = bench.service.requests
        assert request.says(QUESTION)

    @both_lanes
    def test_the_best_are_kept(self, bench: Bench, a: str) -> None:
        found = self._ranked(bench, a, **{self.top_n_field: 2})
        assert [item.node.get_content() for item in found] == _BEST_FIRST[:2]

    @both_lanes
    @good_practice
    def test_the_nodes_that_were_given_stay_as_they_were(self, bench: Bench, a: str) -> None:
        given = _nodes()
        before = deepcopy(given)
        self._ranked(bench, a, nodes=given)
        assert given == before

    @both_lanes
    def test_no_node_asks_nothing(self, bench: Bench, a: str) -> None:
        assert self._ranked(bench, a, nodes=[]) == []
        assert bench.service.requests == []

    @both_lanes
    def test_a_ranking_has_one_start_and_one_end_event(self, bench: Bench, a: str) -> None:
        handler = Handler()
        with recording() as record:
            found = self._ranked(bench, a, callback_manager=CallbackManager([handler]))
        assert len(record.of("ReRankStartEvent")) == 1
        (end,) = record.of("ReRankEndEvent")
        assert end.nodes == found
        assert record.open_spans == []
        assert handler.counts(CBEventType.RERANKING) == (1, 1)

    @pytest.mark.parametrize("end", ["cut", "malformed"])
    @both_lanes
    def test_a_failure_raises(self, bench: Bench, a: str, end: str) -> None:
        bench.service.answers(self.answer(end=end))
        failure = _failure(bench, a)
        assert isinstance(failure, self.error_class)

    @both_lanes
    @good_practice
    def test_a_failure_is_of_the_package_s_own_kind(self, bench: Bench, a: str) -> None:
        bench.service.answers(Refusal(401))
        error = _failure(bench, a)
        check_error(self, error)
        assert getattr(error, self.status_attribute) == 401

    @both_lanes
    @needs(good_practice=True, max_retries_field=True)
    def test_a_busy_service_is_asked_again(self, bench: Bench, a: str) -> None:
        busy = Refusal(503, headers={"retry-after-ms": "20", "retry-after": "0.02"})
        bench.service.answers(busy)
        assert len(self._ranked(bench, a, **{self.max_retries_field: 1})) == len(_TEXTS)
        assert len(bench.service.requests) == 2

    @good_practice
    def test_the_key_is_in_no_form_of_it(self, bench: Bench) -> None:
        made = bench.make()
        assert KEY not in f"{made!r} {made} {made.to_dict()} {made.to_json()}"

    @both_lanes
    def test_a_query_engine_takes_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        engine = RetrieverQueryEngine.from_args(
            _Fixed(), llm=MockLLM(), node_postprocessors=[bench.make()]
        )
        response = bench.call(engine, f"{a}query", QUESTION)
        assert [item.node.get_content() for item in response.source_nodes] == _BEST_FIRST

    def _ranked(self, bench: Bench, a: str, nodes: Any = None, **fields: Any) -> Any:
        bench.service.answers(self.answer())
        given = _nodes() if nodes is None else nodes
        call = f"{a}postprocess_nodes"
        return bench.call(bench.make(**fields), call, given, QueryBundle(QUESTION))


def _nodes() -> list[NodeWithScore]:
    return [NodeWithScore(node=TextNode(text=text), score=0.1) for text in _TEXTS]


def _failure(bench: Bench, a: str) -> Exception:
    call = f"{a}postprocess_nodes"
    return bench.fails(bench.make(), call, _nodes(), QueryBundle(QUESTION)).error
