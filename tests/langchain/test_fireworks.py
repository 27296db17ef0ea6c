"""Embeddings and reranking of Fireworks in LangChain."""

import asyncio
import math
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from langchain_classic.retrievers import ContextualCompressionRetriever
from langchain_core.documents import Document
from langchain_core.exceptions import ModelError
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from langchain_qaip import FireworksEmbeddings, FireworksRerank, errors
from qaip_core import Usage
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

from .models import KEY

EMBEDDER = "nomic-ai/nomic-embed-text-v1.5"
RERANKER = "fireworks/qwen3-reranker-8b"
QUERY = "How many watts does the lamp draw?"
TEXTS = ["Batteries are charged by day.", "The lamp draws 9 watts.", "A lamp is a light."]
FIELDS: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": 5}


def entries(*vectors: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": len(vectors), "total_tokens": len(vectors)}
    data = [{"index": n, "embedding": v} for n, v in enumerate(vectors)]
    return {"data": data, "model": "m-1", "usage": usage}


def places(*scores: tuple[int, float]) -> dict[str, Any]:
    return {"data": [{"index": place, "relevance_score": score} for place, score in scores]}


def embedder(server: FaultServer, **fields: Any) -> FireworksEmbeddings:
    return FireworksEmbeddings(**{**FIELDS, "base_url": server.url, "model": "m", **fields})


def reranker(server: FaultServer, **fields: Any) -> FireworksRerank:
    return FireworksRerank(**{**FIELDS, "base_url": server.url, "model": "m", **fields})


def awaited(model: Any, method: str) -> Callable[..., Any]:
    """Return a method that runs the async one to its end, and closes what it opened."""

    async def run(*args: Any, **kwargs: Any) -> Any:
        async with model:
            return await getattr(model, f"a{method}")(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


def called(model: Any, method: str) -> Callable[..., Any]:
    """Return a method that closes what it opened."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with model:
            return getattr(model, method)(*args, **kwargs)

    return run


both_ways = pytest.mark.parametrize("way", [called, awaited], ids=["sync", "async"])


@pytest.fixture
def over(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[FireworksEmbeddings]:
        return FireworksEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": EMBEDDER, "api_key": KEY}

    @property
    def init_from_env_params(self) -> tuple[dict[str, str], dict[str, Any], dict[str, Any]]:
        env = {"FIREWORKS_API_KEY": KEY}
        return env, {"model": EMBEDDER}, {"api_key": KEY}


@pytest.mark.usefixtures("over")
class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[FireworksEmbeddings]:
        return FireworksEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": EMBEDDER}

    @pytest.fixture
    def model(self) -> Iterator[FireworksEmbeddings]:
        with FireworksEmbeddings(**self.embedding_model_params) as model:
            yield model


# --- embeddings ------------------------------------------------------------------------------


@both_ways
def test_what_is_set_is_sent_and_nothing_else(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])), json_reply(entries([1.0])))
    way(embedder(server), "embed_query")("a")
    given: dict[str, Any] = {"dimensions": 1, "normalize": True, "prompt_template": "q: {text}"}
    way(embedder(server, **given), "embed_query")("a")
    bare, full = (request.json() for request in server.requests)
    assert bare == {"model": "m", "input": ["a"]}
    assert full == {"model": "m", "input": ["a"], **given}


class Numbering(FaultServer):
    """Answers with the number that each text is."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def answer(self, request: Any) -> Any:
        texts = request.json()["input"]
        self.sizes.append(len(texts))
        return json_reply(entries(*([float(text)] for text in texts)))


@both_ways
def test_documents_go_in_batches_and_come_back_in_order(way: Any) -> None:
    with Numbering() as server:
        model = embedder(server, batch_size=3)
        vectors = way(model, "embed_documents")([str(n) for n in range(10)])
    assert vectors == [[float(n)] for n in range(10)]
    assert sorted(server.sizes) == [1, 3, 3, 3]


async def test_only_so_many_requests_are_under_way_at_once(server: FaultServer) -> None:
    server.replies(*[replace(json_reply(entries([1.0])), delay=0.1)] * 6)
    async with embedder(server, batch_size=1, max_concurrency=2) as model:
        await model.aembed_documents(["a"] * 6)
    times = [request.at for request in server.requests]
    assert len({request.connection for request in server.requests}) == 2
    assert times[4] - times[0] >= 0.15


async def test_after_a_failure_nothing_more_is_sent(server: FaultServer) -> None:
    slow = replace(json_reply(entries([1.0])), delay=0.3)
    server.replies(json_reply({"error": {"message": "no"}}, 400), *[slow] * 9)
    async with embedder(server, batch_size=1, max_concurrency=2) as model:
        with pytest.raises(errors.BadRequestError):
            await model.aembed_documents(["a"] * 10)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        await asyncio.sleep(0.5)
    assert len(server.requests) <= 3


@both_ways
def test_no_text_costs_no_request(server: FaultServer, way: Any) -> None:
    assert way(embedder(server), "embed_documents")([]) == []
    assert server.requests == []


@both_ways
def test_an_empty_text_is_refused_before_any_is_sent(server: FaultServer, way: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="text 3 is empty"):
        way(embedder(server, batch_size=2), "embed_documents")(["a", "b", "c", ""])
    assert server.requests == []


@both_ways
def test_a_string_is_no_list_of_texts(server: FaultServer, way: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="pass a list"):
        way(embedder(server), "embed_documents")("abc")


@both_ways
def test_fewer_vectors_than_texts_are_an_error(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])))
    with pytest.raises(errors.MalformedResponseError, match="1 vectors came for 2 texts") as caught:
        way(embedder(server), "embed_documents")(["a", "b"])
    assert isinstance(caught.value, ModelError)


@both_ways
def test_a_refusal_is_langchain_s_error_too(server: FaultServer, way: Any) -> None:
    told = {"error": {"message": "Model not found", "code": "NOT_FOUND", "param": "model"}}
    server.replies(json_reply(told, 404))
    with pytest.raises(errors.NotFoundError, match="Model not found") as caught:
        way(embedder(server), "embed_query")("a")
    assert isinstance(caught.value, ModelError)


@both_ways
def test_the_counts_come_with_embed(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0], [2.0])), json_reply(entries([3.0])))
    found = way(embedder(server, batch_size=2, max_concurrency=1), "embed")(["a", "b", "c"])
    assert found.vectors == [[1.0], [2.0], [3.0]]
    assert (found.model, found.usage) == ("m-1", Usage(3, 0, 3))


@both_ways
def test_a_call_overrules_the_object(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])))
    model = embedder(server, dimensions=2, extra_body={"new": 1})
    way(model, "embed")(["a"], dimensions=1, extra_body={"newer": 2})
    body = server.requests[0].json()
    assert body == {"model": "m", "input": ["a"], "dimensions": 1, "new": 1, "newer": 2}


@both_ways
def test_a_query_has_a_template_of_its_own(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])), json_reply(entries([1.0])))
    given = {"prompt_template": "doc: {text}", "query_prompt_template": "query: {text}"}
    way(embedder(server, **given), "embed_documents")(["a"])
    way(embedder(server, **given), "embed_query")("a")
    templates = [request.json()["prompt_template"] for request in server.requests]
    assert templates == ["doc: {text}", "query: {text}"]


def test_a_wrong_name_is_refused_with_the_right_one() -> None:
    wrong: dict[str, Any] = {"dimension": 2}
    with pytest.raises(errors.InvalidParameterError, match="Did you mean 'dimensions'"):
        FireworksEmbeddings(model="m", api_key=KEY, **wrong)


def test_a_key_is_in_no_pickle() -> None:
    model = FireworksEmbeddings(model="m", api_key=KEY)
    assert KEY.encode() not in pickle.dumps(model)
    assert KEY not in repr(model)


@pytest.mark.usefixtures("over")
def test_packed_vectors_are_the_same() -> None:
    with FireworksEmbeddings(model=EMBEDDER) as plain:
        expected = plain.embed_documents(TEXTS)
    with FireworksEmbeddings(model=EMBEDDER, encoding_format="base64") as packed:
        found = packed.embed_documents(TEXTS)
    for one, other in zip(expected, found, strict=True):
        assert one == pytest.approx(other, abs=1e-6)
        assert math.hypot(*other) == pytest.approx(1)


@pytest.mark.usefixtures("over")
def test_a_vector_store_finds_by_them() -> None:
    with FireworksEmbeddings(model=EMBEDDER) as model:
        store = InMemoryVectorStore.from_texts(TEXTS, model)
        assert store.similarity_search(QUERY, k=1)[0].page_content == TEXTS[1]


# --- reranking -------------------------------------------------------------------------------

DOCUMENTS = [Document(text, id=str(n), metadata={"n": n}) for n, text in enumerate(TEXTS)]


class _All(BaseRetriever):
    """Finds everything, in the order in which it stands."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return DOCUMENTS

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return DOCUMENTS


@both_ways
def test_documents_come_back_best_first_with_their_scores(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(places((2, 0.75), (0, 0.5))))
    model = reranker(server, top_n=2, task="find facts")
    found: Sequence[Document] = way(model, "compress_documents")(DOCUMENTS, QUERY)
    assert [d.id for d in found] == ["2", "0"]
    assert [d.metadata for d in found] == [
        {"n": 2, "relevance_score": 0.75},
        {"n": 0, "relevance_score": 0.5},
    ]
    assert all("relevance_score" not in document.metadata for document in DOCUMENTS)
    body = server.requests[0].json()
    said = {"model": "m", "top_n": 2, "task": "find facts"}
    assert body == {**said, "query": QUERY, "documents": TEXTS}


@both_ways
def test_no_document_costs_no_request(server: FaultServer, way: Any) -> None:
    assert list(way(reranker(server), "compress_documents")([], QUERY)) == []
    assert server.requests == []


@both_ways
def test_no_more_come_back_than_were_wanted(server: FaultServer, way: Any) -> None:
    server.replies(*[json_reply(places((2, 0.75), (0, 0.5), (1, 0.25)))] * 2)
    model = reranker(server, top_n=2)
    assert [d.id for d in way(model, "compress_documents")(DOCUMENTS, QUERY)] == ["2", "0"]
    assert [one.index for one in way(model, "rank")(QUERY, TEXTS, top_n=1).places] == [2]


@both_ways
def test_a_string_is_no_list_of_documents(server: FaultServer, way: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="pass a list"):
        way(reranker(server), "rank")(QUERY, "abc")
    assert server.requests == []


@both_ways
@pytest.mark.parametrize("wrong", [[(3, 0.5)], [(0, 0.5), (0, 0.25)]])
def test_places_of_other_documents_are_an_error(server: FaultServer, way: Any, wrong: Any) -> None:
    server.replies(json_reply(places(*wrong)))
    with pytest.raises(errors.MalformedResponseError, match="for 3 documents"):
        way(reranker(server), "compress_documents")(DOCUMENTS, QUERY)


@both_ways
def test_a_full_service_is_langchain_s_error_too(server: FaultServer, way: Any) -> None:
    server.replies(json_reply({"error": {"message": "rate limit exceeded"}}, 429))
    with pytest.raises(errors.RateLimitError) as caught:
        way(reranker(server), "compress_documents")(DOCUMENTS, QUERY)
    assert isinstance(caught.value, ModelError)


def test_a_range_is_checked_at_once() -> None:
    with pytest.raises(errors.InvalidParameterError, match="top_n"):
        FireworksRerank(api_key=KEY, top_n=0)


@pytest.mark.usefixtures("over")
@pytest.mark.parametrize("profile", ["2025", "2026"])
def test_a_compressing_retriever_keeps_the_best(sandbox: Sandbox, profile: str) -> None:
    headers = {"x-sandbox-switches": f'{{"profile": "{profile}"}}'}
    with FireworksRerank(model=RERANKER, top_n=1, default_headers=headers) as compressor:
        chain = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=_All())
        (found,) = chain.invoke(QUERY)
    assert found.page_content == TEXTS[1]
    assert 0 < found.metadata["relevance_score"] <= 1


@pytest.mark.usefixtures("over")
async def test_a_compressing_retriever_does_it_without_blocking() -> None:
    async with FireworksRerank(model=RERANKER, top_n=1) as compressor:
        chain = ContextualCompressionRetriever(base_compressor=compressor, base_retriever=_All())
        (found,) = await chain.ainvoke(QUERY)
    assert found.page_content == TEXTS[1]
