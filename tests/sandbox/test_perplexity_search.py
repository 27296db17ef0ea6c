"""Perplexity's search call, and its list of models."""

import re
from typing import Any

import httpx
import pytest


def search(client: httpx.Client, query: Any = "lamp watts", **fields: Any) -> httpx.Response:
    return client.post("/search", json={"query": query, **fields})


def urls(response: httpx.Response) -> list[str]:
    return [result["url"] for result in response.json()["results"]]


def test_results_are_passages_of_the_documents(perplexity: httpx.Client) -> None:
    response = search(perplexity)
    body = response.json()
    assert list(body) == ["id", "results", "server_time"]
    first = body["results"][0]
    assert list(first) == ["title", "url", "snippet", "date", "last_updated"]
    assert (first["title"], "watts" in first["snippet"]) == ("lamps.txt", True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", first["date"])
    assert body["server_time"] is None
    assert response.headers["x-request-id"] == body["id"]


def test_results_are_those_of_chat_for_the_same_question(perplexity: httpx.Client) -> None:
    question = "Which lamp draws how many watts?"
    messages = [{"role": "user", "content": question}]
    chat = perplexity.post("/chat/completions", json={"model": "sonar", "messages": messages})
    assert urls(search(perplexity, question)) == chat.json()["citations"]


def test_several_queries_give_one_list_without_repeats(perplexity: httpx.Client) -> None:
    both = urls(search(perplexity, ["lamp watts", "refund", "lamp watts"]))
    assert both == [*urls(search(perplexity)), *urls(search(perplexity, "refund"))]


def test_the_number_and_the_length_of_results_are_limited(perplexity: httpx.Client) -> None:
    assert len(urls(search(perplexity, max_results=1))) == 1
    short = search(perplexity, max_results=2, max_tokens_per_page=4).json()["results"]
    assert [result["snippet"] for result in short] == [
        "The Meridian lamp draws", "The Solstice lamp draws",
    ]  # fmt: skip
    assert len(urls(search(perplexity, max_tokens=3))) == 1


def test_results_keep_to_domains_and_dates(perplexity: httpx.Client) -> None:
    assert urls(search(perplexity, search_domain_filter=["sandbox.invalid"]))
    assert not urls(search(perplexity, search_domain_filter=["example.org"]))
    assert not urls(search(perplexity, search_before_date_filter="01/01/2001"))


def test_the_documents_know_no_people(perplexity: httpx.Client) -> None:
    assert urls(search(perplexity, search_type="people")) == []


def test_the_time_is_told_on_request(perplexity: httpx.Client) -> None:
    assert search(perplexity, display_server_time=True).json()["server_time"][:2] == "20"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ([], {}),
        (["a"] * 6, {}),
        (None, {}),
        ("a", {"max_results": 0}),
        ("a", {"max_results": 21}),
        ("a", {"max_tokens": 0}),
        ("a", {"search_domain_filter": ["a"] * 21}),
        ("a", {"search_recency_filter": "decade"}),
        ("a", {"search_after_date_filter": "2024"}),
        ("a", {"search_mode": "news"}),
        ("a", {"search_context_size": "low", "max_tokens": 5}),
    ],
)
def test_bad_input_is_refused(perplexity: httpx.Client, query: Any, fields: Any) -> None:
    response = search(perplexity, query, **fields)
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith('["At body')


def test_the_models_are_those_of_the_agent(perplexity: httpx.Client) -> None:
    body = perplexity.get("/v1/models").json()
    assert body["object"] == "list"
    model = body["data"][0]
    assert (model["id"], model["owned_by"], model["created"]) == (
        "perplexity/sonar", "perplexity", 0,
    )  # fmt: skip
    assert set(model["pricing"]) == {"input", "output", "cache_read", "unit"}
    for listed in body["data"]:
        asked = {"model": listed["id"], "input": "Hello"}
        assert perplexity.post("/v1/agent", json=asked).json()["model"] == listed["id"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/search"), ("GET", "/v1/models")])
def test_both_need_a_key(perplexity: httpx.Client, method: str, path: str) -> None:
    del perplexity.headers["authorization"]
    assert perplexity.request(method, path).status_code == 401
