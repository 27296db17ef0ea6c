"""Embeddings and ranking of Fireworks."""

import json
import math
import struct
from base64 import b64decode
from typing import Any

import httpx
import pytest

MODEL = "nomic-ai/nomic-embed-text-v1.5"
QUERY = "How many watts does the lamp draw?"
DOCUMENTS = ["Batteries are charged by day.", "The lamp draws 9 watts.", "A lamp is a light."]


def embeddings(client: httpx.Client, given: Any, **fields: Any) -> httpx.Response:
    return client.post("/embeddings", json={"model": MODEL, "input": given, **fields})


def vectors(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return [item["embedding"] for item in response.json()["data"]]


def test_an_embedding_has_768_dimensions_and_unit_length(fireworks: httpx.Client) -> None:
    body = embeddings(fireworks, QUERY).json()
    assert list(body) == ["data", "model", "object", "usage"]
    (item,) = body["data"]
    assert list(item) == ["index", "embedding", "object"]
    assert len(item["embedding"]) == 768
    assert math.hypot(*item["embedding"]) == pytest.approx(1)
    assert (body["object"], item["object"]) == ("list", "embedding")
    assert body["usage"] == {"prompt_tokens": 8, "total_tokens": 8}


def test_every_text_of_a_list_has_an_embedding_of_its_own(fireworks: httpx.Client) -> None:
    one, other = vectors(embeddings(fireworks, DOCUMENTS[:2]))
    assert [one] == vectors(embeddings(fireworks, DOCUMENTS[0]))
    assert one != other


@pytest.mark.parametrize(("given", "count"), [([1, 2], 1), ([[1, 2], [3]], 2)])
def test_token_ids_can_be_embedded(fireworks: httpx.Client, given: Any, count: int) -> None:
    assert len(vectors(embeddings(fireworks, given))) == count


def test_an_embedding_has_as_many_dimensions_as_wanted(fireworks: httpx.Client) -> None:
    assert [len(v) for v in vectors(embeddings(fireworks, QUERY, dimensions=12))] == [12]


def test_many_texts_can_be_embedded_at_once(fireworks: httpx.Client) -> None:
    assert len(vectors(embeddings(fireworks, ["x"] * 2048, dimensions=2))) == 2048


def test_an_embedding_can_be_packed(fireworks: httpx.Client) -> None:
    (packed,) = vectors(embeddings(fireworks, QUERY, encoding_format="base64"))
    found = struct.unpack("<768f", b64decode(packed))
    (plain,) = vectors(embeddings(fireworks, QUERY, encoding_format="float", normalize=True))
    assert found == pytest.approx(plain, abs=1e-6)


def test_a_template_stands_around_the_text(fireworks: httpx.Client) -> None:
    written = vectors(embeddings(fireworks, "passage: a lamp"))
    assert vectors(embeddings(fireworks, "lamp", prompt_template="passage: a {text}")) == written
    fields = [{"kind": "passage", "what": "lamp"}]
    template = "{kind}: a {what}"
    assert vectors(embeddings(fireworks, fields, prompt_template=template)) == written


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"input": ""}, "field: 'input'"),
        ({"input": []}, "field: 'input'"),
        ({"input": ["", "x"]}, "field: 'input.0'"),
        ({"input": ["x"] * 2049}, "at most 2048"),
        ({"input": ["x"] * 2048, "dimensions": 1025}, "2048 inputs of 1025 dimensions are more"),
        ({"input": ["x"] * 257, "dimensions": 8192}, "field: 'dimensions', value: 8192"),
        ({"dimensions": 0}, "field: 'dimensions', value: 0"),
        ({"encoding_format": "hex"}, "field: 'encoding_format'"),
        ({"mood": "gay"}, "Extra inputs are not permitted, field: 'mood'"),
    ],
)
def test_what_cannot_be_embedded_is_refused(
    fireworks: httpx.Client, fields: Any, told: str
) -> None:
    response = embeddings(fireworks, fields.get("input", "x"), **fields)
    assert response.status_code == 400
    assert told in response.json()["error"]["message"]


def test_an_unknown_model_embeds_nothing(fireworks: httpx.Client) -> None:
    body = {"model": "accounts/sandbox/models/unknown", "input": "x"}
    assert fireworks.post("/embeddings", json=body).status_code == 404


def rerank(client: httpx.Client, profile: str = "2026", **fields: Any) -> Any:
    body = {"query": QUERY, "documents": DOCUMENTS, "model": "fireworks/qwen3-reranker-8b"}
    headers = {"x-sandbox-switches": json.dumps({"profile": profile})}
    response = client.post("/rerank", json={**body, **fields}, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def test_documents_are_ranked_by_the_words_that_they_share(fireworks: httpx.Client) -> None:
    body = rerank(fireworks)
    assert list(body) == ["object", "model", "data", "usage"]
    assert [item["index"] for item in body["data"]] == [1, 2, 0]
    scores = [item["relevance_score"] for item in body["data"]]
    assert 1 > scores[0] > scores[1] > scores[2] >= 0
    assert [item["document"] for item in body["data"]] == [DOCUMENTS[n] for n in (1, 2, 0)]


def test_only_the_best_are_told_without_their_text(fireworks: httpx.Client) -> None:
    (item,) = rerank(fireworks, top_n=1, return_documents=False)["data"]
    assert list(item) == ["index", "relevance_score"]


def test_older_profiles_rank_in_another_shape(fireworks: httpx.Client) -> None:
    body = rerank(fireworks, "2025", top_n=1)
    assert list(body) == ["results"]
    assert body["results"][0]["text"] == DOCUMENTS[1]


def test_what_is_the_same_is_no_more_alike_than_1(fireworks: httpx.Client) -> None:
    data = rerank(fireworks, documents=[QUERY, *DOCUMENTS])["data"]
    assert (data[0]["index"], data[0]["relevance_score"]) == (0, 1.0)
