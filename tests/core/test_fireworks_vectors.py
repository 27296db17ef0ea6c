"""Embeddings and rankings: what their bodies mean, and what is wrong with the wrong ones."""

import base64
import struct
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import Client, Usage
from qaip_core.backends._embeddings import Texts, embeddings, mean
from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.backends.fireworks.vectors import EMBEDDINGS, RERANK, FireworksEmbeddingParams
from qaip_core.errors import (
    InvalidParameterError,
    MalformedResponseError,
    ServerError,
    ServerReportedError,
    ServiceTimeoutError,
)
from qaip_core.vectors import Embedded, Ranked, Reranked, joined
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply

ASKED = {"model": "m", "input": ["a", "b"]}
RANKED = {"query": "q", "documents": ["a", "b", "c"]}


class _Params(FireworksEmbeddingParams):
    input: Texts | None = None


POOLED = embeddings(FIREWORKS, _Params, pool=mean)


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def fetch(server: FaultServer, operation: Any, values: Any, *bodies: Any, **fields: Any) -> Any:
    server.replies(*(json_reply(body) for body in bodies))
    with closing(Client(settings(operation, server.url, **fields))) as client:
        return client.fetch(operation, values)


def entries(*vectors: Any) -> dict[str, Any]:
    return {"data": [{"index": n, "embedding": v} for n, v in enumerate(vectors)]}


def test_vectors_stand_in_the_order_of_their_index(server: FaultServer) -> None:
    data = [{"index": 1, "embedding": [1, 2.5]}, {"index": 0, "embedding": [0.5, 0]}]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    body = {"object": "list", "data": data, "model": "m-1", "usage": usage}
    found = fetch(server, EMBEDDINGS, ASKED, body)
    assert found == Embedded([[0.5, 0.0], [1.0, 2.5]], "m-1", Usage(4, 0, 4))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/embeddings")
    assert request.json() == ASKED


def test_vectors_without_an_index_stand_as_they_come(server: FaultServer) -> None:
    body = {"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}
    assert fetch(server, EMBEDDINGS, ASKED, body) == Embedded([[1.0], [2.0]])


def test_packed_vectors_are_unpacked(server: FaultServer) -> None:
    packed = base64.b64encode(struct.pack("<2f", 0.5, -2.0)).decode()
    assert fetch(server, EMBEDDINGS, ASKED, entries(packed)).vectors == [[0.5, -2.0]]


def test_one_row_for_a_text_of_one_token_is_its_vector(server: FaultServer) -> None:
    assert fetch(server, EMBEDDINGS, ASKED, entries([[1.0, 2.0]])).vectors == [[1.0, 2.0]]


def test_rows_for_tokens_are_no_vector_of_a_text(server: FaultServer) -> None:
    with pytest.raises(MalformedResponseError, match="the model does not pool"):
        fetch(server, EMBEDDINGS, ASKED, entries([[1.0, 2.0], [3.0, 4.0]]))


def test_rows_for_tokens_can_be_pooled(server: FaultServer) -> None:
    found = fetch(server, POOLED, ASKED, entries([[1.0, 2.0], [3.0, 4.0]]))
    assert found.vectors == [[2.0, 3.0]]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "data"),
        ({"data": [None]}, "data.0"),
        ({"data": [{"index": "first", "embedding": [1.0]}]}, "data.0.index"),
        ({"data": [{"index": 1, "embedding": [1.0]}]}, "not each number from 0 once"),
        (
            {"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]},
            "not each number from 0 once",
        ),
        ({"data": [{"index": 0}]}, "valid list"),
        (entries([]), "empty"),
        (entries([None]), "valid number"),
        (entries([True]), "valid number"),
        (entries([1.0], [1.0, 2.0]), "of several lengths"),
        (entries([[1.0], [1.0, 2.0]]), "of several lengths"),
        (entries("no base64!"), "no base64 of floats"),
        (entries("AAAA"), "no base64 of floats"),
        ([], "body"),
    ],
)
def test_a_body_of_another_shape_is_named(server: FaultServer, body: Any, told: str) -> None:
    with pytest.raises(MalformedResponseError, match=told) as caught:
        fetch(server, EMBEDDINGS, ASKED, body)
    assert caught.value.body == body
    assert caught.value.service == "fireworks"


def test_an_error_in_the_place_of_vectors_is_told(server: FaultServer) -> None:
    with pytest.raises(ServerReportedError, match="no such model here"):
        fetch(server, EMBEDDINGS, ASKED, {"error": {"message": "no such model here"}})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": "m"}, "needs 'input'"),
        ({"input": ["a"]}, "needs 'model'"),
        ({**ASKED, "input": ["a", ""]}, "text 1 is empty, and has no vector: leave it out"),
        ({**ASKED, "dimensions": 0}, "dimensions: .* greater than or equal to 1"),
        ({**ASKED, "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_what_cannot_be_embedded_is_not_sent(server: FaultServer, values: Any, told: str) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        fetch(server, EMBEDDINGS, values)
    assert server.requests == []


@pytest.mark.parametrize(("operation", "values"), [(EMBEDDINGS, ASKED), (RERANK, RANKED)])
def test_what_is_billed_is_not_asked_for_again_after_a_silence(
    server: FaultServer, operation: Any, values: Any
) -> None:
    server.replies(Reply(delay=2.0), json_reply(entries([1.0])))
    fields: dict[str, Any] = {"timeout": 0.2, "max_retries": 2}
    with (
        closing(Client(settings(operation, server.url, **fields))) as client,
        pytest.raises(ServiceTimeoutError),
    ):
        client.fetch(operation, values)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("operation", "values"), [(EMBEDDINGS, ASKED), (RERANK, RANKED)])
def test_what_the_service_refuses_for_a_moment_is_asked_for_again(
    server: FaultServer, operation: Any, values: Any
) -> None:
    server.replies(json_reply({}, 503, retry_after="0"), json_reply({}, 503, retry_after="0"))
    with (
        closing(Client(settings(operation, server.url, max_retries=1))) as client,
        pytest.raises(ServerError) as caught,
    ):
        client.fetch(operation, values)
    assert caught.value.attempts == 2


@pytest.mark.parametrize("name", ["results", "data"])
def test_places_are_read_from_both_known_shapes(server: FaultServer, name: str) -> None:
    said = [
        {"index": 2, "relevance_score": 0.25, "text": "c"},
        {"index": 0, "relevance_score": 0.75, "document": {"text": "a"}},
    ]
    found = fetch(server, RERANK, {**RANKED, "top_n": 2}, {name: said})
    assert found.places == (Ranked(0, 0.75), Ranked(2, 0.25))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/rerank")
    assert request.json() == {**RANKED, "top_n": 2}


def test_a_ranking_tells_what_it_has_cost(server: FaultServer) -> None:
    usage = {"prompt_tokens": 7, "total_tokens": 7}
    body = {"data": [{"index": 0, "relevance_score": 1}], "model": "m-1", "usage": usage}
    found = fetch(server, RERANK, RANKED, body)
    assert found == Reranked((Ranked(0, 1.0),), "m-1", Usage(7, 0, 7))


def test_a_ranking_of_nothing_is_one(server: FaultServer) -> None:
    assert fetch(server, RERANK, RANKED, {"data": []}) == Reranked(())


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "neither results nor data"),
        ({"results": [{"index": 0}]}, "results.0.relevance_score"),
        ({"results": [{"relevance_score": 1.0}]}, "results.0.index"),
        ({"data": [{"index": -1, "relevance_score": 1.0}]}, "data.0.index"),
        ({"data": [None]}, "data.0"),
        ("none", "body"),
    ],
)
def test_a_ranking_of_another_shape_is_named(server: FaultServer, body: Any, told: str) -> None:
    with pytest.raises(MalformedResponseError, match=told):
        fetch(server, RERANK, RANKED, body)


def test_an_error_in_the_place_of_a_ranking_is_told(server: FaultServer) -> None:
    with pytest.raises(ServerReportedError, match="not today"):
        fetch(server, RERANK, RANKED, {"detail": "not today"})


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"documents": ["a"]}, "needs 'query'"),
        ({**RANKED, "query": ""}, "query"),
        ({**RANKED, "top_n": 0}, "top_n"),
    ],
)
def test_what_cannot_be_ranked_is_not_sent(server: FaultServer, values: Any, told: str) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        fetch(server, RERANK, values)
    assert server.requests == []


def test_the_counts_of_several_requests_are_added_up() -> None:
    first, second = Embedded([[1.0]], "m", Usage(2, 0, 2)), Embedded([[2.0]], None, Usage(3, 0, 3))
    assert joined([first, second]) == Embedded([[1.0], [2.0]], "m", Usage(5, 0, 5))
    assert joined([]) == Embedded([])


@pytest.mark.parametrize("ending", ["/embeddings", "/rerank", ""])
def test_an_address_may_be_that_of_a_call(server: FaultServer, ending: str) -> None:
    server.replies(json_reply({"data": []}))
    with closing(Client(settings(RERANK, server.url + ending))) as client:
        client.fetch(RERANK, RANKED)
    assert server.requests[0].path == "/rerank"
