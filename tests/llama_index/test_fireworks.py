"""Embeddings and reranking of Fireworks in LlamaIndex."""

import asyncio
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.events.embedding import EmbeddingEndEvent
from llama_index.core.instrumentation.events.rerank import ReRankEndEvent, ReRankStartEvent
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index_instrumentation import get_dispatcher
from llama_index_instrumentation.event_handlers import BaseEventHandler
from pydantic import PrivateAttr

from llama_index_qaip import FireworksEmbedding, FireworksRerank, errors
from qaip_core import Usage
from qaip_sandbox import Sandbox
from support.fault_server import FaultServer, json_reply

from .conftest import KEY

EMBEDDER = "nomic-ai/nomic-embed-text-v1.5"
RERANKER = "fireworks/qwen3-reranker-8b"
QUERY = "How many watts does the lamp draw?"
TEXTS = ["Batteries are charged by day.", "The lamp draws 9 watts.", "A lamp is a light."]
FIELDS: dict[str, Any] = {"api_key": KEY, "max_retries": 0, "timeout": 5, "model": "m"}
DOCS = Path(__file__).parent.parent / "sandbox" / "docs"


def entries(*vectors: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": len(vectors), "total_tokens": len(vectors)}
    data = [{"index": n, "embedding": v} for n, v in enumerate(vectors)]
    return {"data": data, "model": "m-1", "usage": usage}


def places(*scores: tuple[int, float]) -> dict[str, Any]:
    return {"data": [{"index": place, "relevance_score": score} for place, score in scores]}


def embedder(server: FaultServer, **fields: Any) -> FireworksEmbedding:
    return FireworksEmbedding(**{**FIELDS, "base_url": server.url, **fields})


def reranker(server: FaultServer, **fields: Any) -> FireworksRerank:
    return FireworksRerank(**{**FIELDS, "base_url": server.url, **fields})


def nodes() -> list[NodeWithScore]:
    found = (TextNode(text=text, id_=str(n)) for n, text in enumerate(TEXTS))
    return [NodeWithScore(node=node, score=0.1) for node in found]


def called(model: Any, method: str) -> Callable[..., Any]:
    """Return a method that closes what it opened."""

    def run(*args: Any, **kwargs: Any) -> Any:
        with model:
            return getattr(model, method)(*args, **kwargs)

    return run


def awaited(model: Any, method: str) -> Callable[..., Any]:
    """Return a method that runs the async one to its end, and closes what it opened."""

    async def run(*args: Any, **kwargs: Any) -> Any:
        async with model:
            return await getattr(model, f"a{method}")(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(run(*args, **kwargs))


both_ways = pytest.mark.parametrize("way", [called, awaited], ids=["sync", "async"])


class _Heard(BaseEventHandler):
    _events: list[Any] = PrivateAttr(default_factory=list)

    def handle(self, event: Any, **_: Any) -> None:
        self._events.append(event)


@pytest.fixture
def heard() -> Iterator[list[Any]]:
    handler, root = _Heard(), get_dispatcher()
    root.add_event_handler(handler)
    yield handler._events
    root.event_handlers.remove(handler)


class _Called(BaseCallbackHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.ends: list[tuple[CBEventType, Any]] = []

    def on_event_start(self, *_: Any, **__: Any) -> str:
        return ""

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **kwargs: Any,
    ) -> None:
        self.ends.append((event_type, payload))

    def start_trace(self, trace_id: str | None = None) -> None: ...

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None: ...


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(DOCS) as running:
        yield running


@pytest.fixture
def over(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)


# --- embeddings ------------------------------------------------------------------------------


@both_ways
@pytest.mark.parametrize("method", ["get_query_embedding", "get_text_embedding"])
def test_what_is_set_is_sent_and_nothing_else(server: FaultServer, way: Any, method: str) -> None:
    server.replies(json_reply(entries([1.0])), json_reply(entries([1.0])))
    assert way(embedder(server), method)("a") == [1.0]
    way(embedder(server, dimensions=1, normalize=True), method)("a")
    bare, full = (request.json() for request in server.requests)
    assert bare == {"model": "m", "input": ["a"]}
    assert full == {"model": "m", "input": ["a"], "dimensions": 1, "normalize": True}


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
def test_texts_go_in_batches_and_come_back_in_order(way: Any) -> None:
    with Numbering() as server:
        model = embedder(server, embed_batch_size=3)
        vectors = way(model, "get_text_embedding_batch")([str(n) for n in range(10)])
    assert vectors == [[float(n)] for n in range(10)]
    assert sorted(server.sizes) == [1, 3, 3, 3]


@both_ways
def test_embed_goes_in_the_same_batches(way: Any) -> None:
    with Numbering() as server:
        found = way(embedder(server, embed_batch_size=2, num_workers=1), "embed")(["1", "2", "3"])
    assert found.vectors == [[1.0], [2.0], [3.0]]
    assert found.usage == Usage(3, 0, 3)
    assert server.sizes == [2, 1]


async def test_only_so_many_requests_are_under_way_at_once() -> None:
    with Numbering() as server:
        model = embedder(server, embed_batch_size=1, num_workers=2)
        async with model:
            await model.aget_text_embedding_batch([str(n) for n in range(8)])
            assert server.busy_connections == 0
            assert server.open_connections <= 2


@both_ways
def test_no_text_costs_no_request(server: FaultServer, way: Any) -> None:
    assert way(embedder(server), "get_text_embedding_batch")([]) == []
    assert server.requests == []


@both_ways
def test_an_empty_text_is_refused_before_it_is_sent(server: FaultServer, way: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="text 1 is empty"):
        way(embedder(server), "get_text_embedding_batch")(["a", ""])
    assert server.requests == []


@both_ways
def test_fewer_vectors_than_texts_are_an_error(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])))
    with pytest.raises(errors.MalformedResponseError, match="1 vectors came for 2 texts"):
        way(embedder(server), "get_text_embedding_batch")(["a", "b"])


@both_ways
def test_a_refusal_is_a_typed_error(server: FaultServer, way: Any) -> None:
    server.replies(json_reply({"error": {"message": "Model not found"}}, 404))
    with pytest.raises(errors.NotFoundError, match="Model not found"):
        way(embedder(server), "get_query_embedding")("a")


@both_ways
def test_a_query_has_a_template_of_its_own(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(entries([1.0])), json_reply(entries([1.0])))
    given = {"prompt_template": "doc: {text}", "query_prompt_template": "query: {text}"}
    way(embedder(server, **given), "get_text_embedding")("a")
    way(embedder(server, **given), "get_query_embedding")("a")
    templates = [request.json()["prompt_template"] for request in server.requests]
    assert templates == ["doc: {text}", "query: {text}"]


def test_the_model_has_two_names() -> None:
    given: dict[str, Any] = {"api_key": KEY}
    assert FireworksEmbedding(model="m", **given).model_name == "m"
    assert FireworksEmbedding(model_name="m", **given).model == "m"
    with pytest.raises(errors.InvalidParameterError, match="model_name"):
        FireworksEmbedding(model="m", model_name="n", **given)


def test_a_model_travels_without_its_key() -> None:
    model = FireworksEmbedding(model="m", api_key=KEY, dimensions=3)
    assert KEY.encode() not in pickle.dumps(model)
    assert KEY not in repr(model) + str(model.to_dict()) + str(model.to_payload())
    again = FireworksEmbedding.from_dict({**model.to_dict(), "api_key": KEY})
    assert (again.model, again.dimensions) == ("m", 3)


@both_ways
def test_listeners_hear_of_it(server: FaultServer, way: Any, heard: list[Any]) -> None:
    server.replies(json_reply(entries([1.0], [2.0])))
    calls = _Called()
    model = embedder(server, callback_manager=CallbackManager([calls]))
    way(model, "get_text_embedding_batch")(["a", "b"])
    (end,) = [event for event in heard if isinstance(event, EmbeddingEndEvent)]
    assert (end.chunks, end.embeddings) == (["a", "b"], [[1.0], [2.0]])
    assert [kind for kind, _ in calls.ends] == [CBEventType.EMBEDDING]


@pytest.mark.usefixtures("over")
def test_an_index_finds_by_them() -> None:
    with FireworksEmbedding(model=EMBEDDER) as model:
        found = VectorStoreIndex([node.node for node in nodes()], embed_model=model)
        (best,) = found.as_retriever(similarity_top_k=1).retrieve(QUERY)
    assert best.node.node_id == "1"


def test_without_a_model_none_is_made_up() -> None:
    bare = FireworksEmbedding(api_key=KEY)
    again = FireworksEmbedding.from_dict({**bare.to_dict(), "api_key": KEY})
    assert (again.model, again.model_name) == (None, bare.model_name)
    with again, pytest.raises(errors.InvalidParameterError, match="needs 'model'"):
        again.get_query_embedding("a")


# --- reranking -------------------------------------------------------------------------------


@both_ways
def test_nodes_come_back_best_first_with_their_scores(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(places((2, 0.75), (0, 0.5))))
    given = nodes()
    found = way(reranker(server, top_n=2), "postprocess_nodes")(given, query_str=QUERY)
    assert [(n.node.node_id, n.score) for n in found] == [("2", 0.75), ("0", 0.5)]
    assert [n.score for n in given] == [0.1, 0.1, 0.1]
    body = server.requests[0].json()
    assert body == {"model": "m", "top_n": 2, "query": QUERY, "documents": TEXTS}


@both_ways
def test_no_node_costs_no_request(server: FaultServer, way: Any) -> None:
    assert way(reranker(server), "postprocess_nodes")([], query_str=QUERY) == []
    assert server.requests == []


@both_ways
def test_a_ranking_needs_a_query(server: FaultServer, way: Any) -> None:
    with pytest.raises(errors.InvalidParameterError, match="needs a query"):
        way(reranker(server), "postprocess_nodes")(nodes())


@both_ways
def test_places_of_other_nodes_are_an_error(server: FaultServer, way: Any) -> None:
    server.replies(json_reply(places((3, 0.5))))
    with pytest.raises(errors.MalformedResponseError, match="for 3 documents"):
        way(reranker(server), "postprocess_nodes")(nodes(), query_str=QUERY)


@both_ways
def test_listeners_hear_of_a_ranking(server: FaultServer, way: Any, heard: list[Any]) -> None:
    server.replies(json_reply(places((1, 0.5))))
    calls = _Called()
    model = reranker(server, callback_manager=CallbackManager([calls]))
    (best,) = way(model, "postprocess_nodes")(nodes(), query_str=QUERY)
    (start,) = [event for event in heard if isinstance(event, ReRankStartEvent)]
    (end,) = [event for event in heard if isinstance(event, ReRankEndEvent)]
    assert (start.query, start.top_n, start.model_name) == (QUERY, 3, "m")
    assert [n.node.node_id for n in end.nodes] == ["1"]
    ((kind, payload),) = calls.ends
    assert (kind, payload[EventPayload.NODES]) == (CBEventType.RERANKING, [best])


@both_ways
def test_a_failed_ranking_raises_its_own_error(server: FaultServer, way: Any) -> None:
    server.replies(json_reply({"error": {"message": "rate limit exceeded"}}, 429))
    with pytest.raises(errors.RateLimitError):
        way(reranker(server), "postprocess_nodes")(nodes(), query_str=QUERY)


@pytest.mark.usefixtures("over")
@both_ways
@pytest.mark.parametrize("profile", ["2025", "2026"])
def test_the_sandbox_ranks(way: Any, profile: str) -> None:
    headers = {"x-sandbox-switches": f'{{"profile": "{profile}"}}'}
    model = FireworksRerank(model=RERANKER, top_n=1, default_headers=headers)
    (best,) = way(model, "postprocess_nodes")(nodes(), query_str=QUERY)
    assert best.node.node_id == "1"
    assert best.score is not None
    assert 0 < best.score <= 1
