"""`EmbeddingContract`: the facts that hold for every embedding model of LlamaIndex."""

# ruff: noqa: D102, S101 -- a test is named by its fact, and made of asserts

from __future__ import annotations

from hashlib import sha256
from typing import Any, ClassVar

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.schema import TextNode

from llama_index_qaip.testing._bench import KEY, Bench, both_lanes
from llama_index_qaip.testing._contract import Contract, good_practice, needs
from llama_index_qaip.testing._dialect import Dialect
from llama_index_qaip.testing._errors import check_error
from llama_index_qaip.testing._recording import Handler, recording
from llama_index_qaip.testing._script import Answer, Refusal, Request

__all__ = ["EmbeddingContract", "EmbeddingDialect", "vector_of"]

_TEXTS = ("Lit in May.", "Electric since 1911.", "Grey, and tall.", "It turns.", "A horn.")


def vector_of(text: str) -> list[float]:
    """Return the vector that the suite's services have for a text; others have others."""
    return [byte / 256 - 0.5 for byte in sha256(text.encode()).digest()[:8]]


class EmbeddingDialect(Dialect):
    """OpenAI's embeddings, which most services write."""

    def streams(self, request: Request) -> bool:  # noqa: ARG002 -- never
        """Tell that nothing streams."""
        return False

    def whole(self, answer: Answer, request: Request) -> Any:
        """Return the body of an answer: a vector for each text of the request."""
        given = request.body["input"]
        texts = [given] if isinstance(given, str) else given
        data = [{"index": n, "embedding": vector_of(text)} for n, text in enumerate(texts)]
        return {"object": "list", "model": answer.model, "data": data, "usage": answer.usage}


class EmbeddingContract(Contract):
    """The facts that hold for every embedding model; its service knows `vector_of` each text."""

    dialect: ClassVar[type[Dialect]] = EmbeddingDialect

    def test_it_is_an_embedding_model(self, bench: Bench) -> None:
        assert isinstance(bench.make(), BaseEmbedding)

    def test_embedding_async_does_not_block_the_loop(self, bench: Bench) -> None:
        bench.service.answers(self.answer(wait=0.05))
        assert bench.beats(bench.make(), "aget_text_embedding", _TEXTS[0]) >= 3

    @both_lanes
    @pytest.mark.parametrize("kind", ["text", "query"])
    def test_a_text_has_its_vector(self, bench: Bench, a: str, kind: str) -> None:
        bench.service.answers(self.answer())
        found = bench.call(bench.make(), f"{a}get_{kind}_embedding", _TEXTS[0])
        assert found == pytest.approx(vector_of(_TEXTS[0]))
        assert bench.service.requests[0].says(_TEXTS[0])

    @both_lanes
    def test_texts_go_in_batches_and_keep_their_order(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        made = bench.make(embed_batch_size=2)
        found = bench.call(made, f"{a}get_text_embedding_batch", list(_TEXTS))
        assert found == [pytest.approx(vector_of(text)) for text in _TEXTS]
        assert len(bench.service.requests) == 3

    @both_lanes
    @good_practice
    def test_no_text_asks_nothing(self, bench: Bench, a: str) -> None:
        assert bench.call(bench.make(), f"{a}get_text_embedding_batch", []) == []
        assert bench.service.requests == []

    @both_lanes
    def test_embedding_has_one_start_and_one_end_event(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        handler = Handler()
        made = bench.make(callback_manager=CallbackManager([handler]))
        with recording() as record:
            found = bench.call(made, f"{a}get_text_embedding", _TEXTS[0])
        assert len(record.of("EmbeddingStartEvent")) == 1
        (end,) = record.of("EmbeddingEndEvent")
        assert (end.chunks, end.embeddings) == ([_TEXTS[0]], [found])
        assert record.open_spans == []
        assert handler.counts(CBEventType.EMBEDDING) == (1, 1)

    @pytest.mark.parametrize("end", ["cut", "malformed"])
    @both_lanes
    def test_a_failure_raises(self, bench: Bench, a: str, end: str) -> None:
        bench.service.answers(self.answer(end=end))
        failure = bench.fails(bench.make(), f"{a}get_text_embedding", _TEXTS[0])
        assert isinstance(failure.error, self.error_class)

    @both_lanes
    @good_practice
    def test_a_failure_is_of_the_package_s_own_kind(self, bench: Bench, a: str) -> None:
        bench.service.answers(Refusal(401))
        error = bench.fails(bench.make(), f"{a}get_text_embedding", _TEXTS[0]).error
        check_error(self, error)
        assert getattr(error, self.status_attribute) == 401

    @both_lanes
    @needs(good_practice=True, max_retries_field=True)
    def test_a_busy_service_is_asked_again(self, bench: Bench, a: str) -> None:
        busy = Refusal(503, headers={"retry-after-ms": "20", "retry-after": "0.02"})
        bench.service.answers(busy, self.answer())
        made = bench.make(**{self.max_retries_field: 1})
        assert bench.call(made, f"{a}get_text_embedding", _TEXTS[0])
        assert len(bench.service.requests) == 2

    @good_practice
    def test_the_key_is_in_no_form_of_it(self, bench: Bench) -> None:
        made = bench.make()
        assert KEY not in f"{made!r} {made} {made.to_dict()} {made.to_json()}"

    @both_lanes
    def test_an_index_finds_by_it(self, bench: Bench, a: str) -> None:
        bench.service.answers(self.answer())
        nodes = [TextNode(text=text) for text in _TEXTS]
        made = bench.make()
        retriever = VectorStoreIndex(nodes, embed_model=made).as_retriever(similarity_top_k=1)
        (found,) = bench.call(retriever, f"{a}retrieve", _TEXTS[2])
        assert found.node.get_content() == _TEXTS[2]
        assert found.score == pytest.approx(1.0)
