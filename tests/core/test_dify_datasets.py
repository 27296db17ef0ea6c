"""Dify's knowledge bases: what a search sends, what is read, and what is refused before."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from qaip_core import AsyncClient, Citation, Client, errors
from qaip_core.backends.dify.datasets import DATASETS, RETRIEVE, DifyCondition, DifyFilter
from support.backends import settings
from support.fault_server import FaultServer, Reply, json_reply
from support.wire import cases

DATASET = "f0c3a5b7-2d4e-4f60-8172-93a4b5c6d7e8"
EMPTY: dict[str, Any] = {"query": {"content": "lamp"}, "records": []}
SEGMENT = {
    "id": "s1",
    "position": 3,
    "document_id": "d1",
    "content": "The lamp turns.",
    "answer": None,
    "document": {"id": "d1", "name": "lamps.md", "doc_metadata": {"url": "https://x.example/a"}},
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


def found(server: FaultServer, reply: Any = EMPTY, /, **values: Any) -> list[Citation]:
    server.replies(reply if isinstance(reply, Reply) else json_reply(reply))
    with closing(Client(settings(RETRIEVE, server.url))) as client:
        return list(client.fetch(RETRIEVE, {"dataset_id": DATASET, "query": "lamp", **values}))


def sent(server: FaultServer, **values: Any) -> Any:
    found(server, **values)
    return server.requests[-1].json()


def of(record: dict[str, Any]) -> dict[str, Any]:
    return {"query": {"content": "lamp"}, "records": [record]}


def test_a_search_sends_its_query_and_nothing_else(server: FaultServer) -> None:
    assert sent(server) == {"query": "lamp"}
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", f"/datasets/{DATASET}/retrieve")


def test_the_key_is_another_than_that_of_an_app(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATASETS.key_env == ("DIFY_DATASET_API_KEY",)
    server.replies(json_reply({"code": "unauthorized", "message": "No.", "status": 401}, 401))
    with pytest.raises(errors.AuthenticationError, match="DIFY_DATASET_API_KEY"):
        found(server)


@pytest.mark.parametrize(
    ("values", "more"),
    [
        ({"top_k": 2}, {"top_k": 2}),
        ({"search_method": "keyword_search"}, {"search_method": "keyword_search"}),
        ({"score_threshold": 0.5}, {"score_threshold_enabled": True, "score_threshold": 0.5}),
        ({"score_threshold": 0.0}, {"score_threshold_enabled": True, "score_threshold": 0.0}),
        ({"reranking_enable": True}, {"reranking_enable": True}),
        (
            {"weights": {"x": 1}, "reranking_mode": "weighted_score"},
            {"reranking_enable": True, "reranking_mode": "weighted_score", "weights": {"x": 1}},
        ),
    ],
    ids="+".join,
)
def test_settings_are_sent_complete_or_not_at_all(
    server: FaultServer, values: dict[str, Any], more: dict[str, Any]
) -> None:
    assert sent(server, **values)["retrieval_model"] == {
        "search_method": "semantic_search",
        "top_k": 4,
        "reranking_enable": False,
        "score_threshold_enabled": False,
        **more,
    }


def test_a_reranking_model_is_named_by_provider_and_model(server: FaultServer) -> None:
    model = {"reranking_provider_name": "p", "reranking_model_name": "m"}
    body = sent(server, reranking_model=model)["retrieval_model"]
    assert (body["reranking_enable"], body["reranking_model"]) == (True, model)


def test_metadata_conditions_are_typed(server: FaultServer) -> None:
    wanted = DifyFilter(
        logical_operator="or",
        conditions=[
            DifyCondition(name="year", comparison_operator="≥", value=2020),
            DifyCondition(name="author", comparison_operator="empty"),
            DifyCondition(name="kind", comparison_operator="in", value=["a", "b"]),
        ],
    )
    assert sent(server, metadata_filtering_conditions=wanted)["retrieval_model"][
        "metadata_filtering_conditions"
    ] == {
        "logical_operator": "or",
        "conditions": [
            {"name": "year", "comparison_operator": "≥", "value": 2020},
            {"name": "author", "comparison_operator": "empty"},
            {"name": "kind", "comparison_operator": "in", "value": ["a", "b"]},
        ],
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 0},
        {"score_threshold": 1.5},
        {"search_method": "psychic_search"},
        {"reranking_model": {"reranking_provider_name": "p"}},
        {"metadata_filtering_conditions": {"conditions": []}},
        {"metadata_filtering_conditions": {"conditions": [{"name": "a"}]}},
        {
            "metadata_filtering_conditions": {
                "conditions": [{"name": "a", "comparison_operator": "is"}]
            }
        },
        {
            "metadata_filtering_conditions": {
                "conditions": [{"name": "a", "comparison_operator": "like"}]
            }
        },
        {"query": ""},
        {"dataset_id": None},
        {"dataset_id": ".."},
        {"topk": 3},
    ],
    ids=str,
)
def test_what_is_out_of_range_is_refused_here(server: FaultServer, wrong: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidParameterError):
        found(server, **wrong)
    assert not server.requests


def test_a_long_query_is_refused_or_cut(server: FaultServer) -> None:
    query = "ä" * 251
    with pytest.raises(errors.InvalidParameterError, match=r"250 characters.*251.*long_query"):
        found(server, query=query)
    assert not server.requests
    assert sent(server, query=query, long_query="cut") == {"query": "ä" * 250}
    assert sent(server, query=query[1:]) == {"query": "ä" * 250}


def test_further_fields_stand_beside_the_settings(server: FaultServer) -> None:
    body = sent(server, extra_body={"attachment_ids": ["a"]}, top_k=1)
    assert body["attachment_ids"] == ["a"]
    assert "attachment_ids" not in body["retrieval_model"]


def test_a_passage_is_read_with_all_that_is_said_of_it(server: FaultServer) -> None:
    children = [{"id": "c1", "content": "turns", "position": 1, "score": 0.75}, None]
    record = {"segment": SEGMENT, "child_chunks": children, "score": 0.5, "summary": "About lamps."}
    (passage,) = found(server, of(record))
    assert (passage.id, passage.title, passage.text) == ("s1", "lamps.md", "The lamp turns.")
    assert (passage.url, passage.score, passage.rank) == ("https://x.example/a", 0.5, 1)
    assert passage.metadata == {
        "document_id": "d1",
        "doc_metadata": {"url": "https://x.example/a"},
        "segment_position": 3,
        "child_chunks": [{"id": "c1", "content": "turns", "position": 1, "score": 0.75}],
        "summary": "About lamps.",
    }


@pytest.mark.parametrize("score", [None, 0.0, 1.0000000000000002])
def test_a_score_is_as_it_was_sent(server: FaultServer, score: float | None) -> None:
    (passage,) = found(server, of({"segment": SEGMENT, "score": score}))
    assert passage.score == score


def test_the_fixture_of_the_wire_is_read_in_its_order(server: FaultServer) -> None:
    (case,) = (c for c in cases("dify") if c.name == "retrieve")
    read = found(server, case.reply())
    assert [(c.id, c.title, c.text, c.score) for c in read] == [
        (c.get("wire_id"), c.get("title"), c.get("text"), c.get("score"))
        for c in case.expected["citations"]
    ]


async def test_it_is_read_the_same_without_blocking(server: FaultServer) -> None:
    blocking = found(server, of({"segment": SEGMENT}))
    client = AsyncClient(settings(RETRIEVE, server.url))
    read = await client.fetch(RETRIEVE, {"dataset_id": DATASET, "query": "lamp"})
    assert list(read) == blocking
    await client.close()


def test_what_cannot_be_read_leaves_a_gap(server: FaultServer) -> None:
    body = {"records": [7, {"segment": SEGMENT}, {"segment": None}]}
    assert [(c.rank, c.title) for c in found(server, body)] == [(2, "lamps.md"), (3, None)]


@pytest.mark.parametrize("body", [[], {}, {"records": None}, {"records": "x"}])
def test_a_body_without_records_is_malformed(server: FaultServer, body: Any) -> None:
    with pytest.raises(errors.MalformedResponseError):
        found(server, body)


def test_two_refusals_with_one_code_are_told_apart(server: FaultServer) -> None:
    limited = "Sorry, you have reached the knowledge base request rate limit of your subscription."
    for words, kind in (
        (limited, errors.RateLimitError),
        ("Dataset api access is not enabled.", errors.PermissionDeniedError),
    ):
        server.reset()
        server.replies(json_reply({"code": "forbidden", "message": words, "status": 403}, 403))
        with pytest.raises(kind) as caught:
            found(server)
        assert type(caught.value) is kind
        assert caught.value.is_retryable == (kind is errors.RateLimitError)


def test_recorded_searches_are_read(server: FaultServer) -> None:
    from support.recordings import WIRE

    folders = sorted(WIRE.glob("dify_server/*/ds_*"))
    if not folders:
        pytest.skip(f"no recordings at {WIRE}")
    for folder in folders:
        response = json.loads((folder / "response.json").read_bytes())
        if response["status"] != 200:
            continue
        body = json.loads((folder / "body.json").read_bytes())
        read = found(server, body)
        assert [c.id for c in read] == [r["segment"]["id"] for r in body["records"]], folder
        assert all(c.title and c.text for c in read)
