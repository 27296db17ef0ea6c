"""The search of Dify's knowledge base: methods, thresholds, conditions, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from sandbox.dify_asking import QUESTION, complete

Search = Callable[..., httpx.Response]
MODEL = {"search_method": "semantic_search", "reranking_enable": False, "top_k": 5,
         "score_threshold_enabled": False}  # fmt: skip


@pytest.fixture
def search(dify: httpx.Client, dify_dataset: httpx.Client) -> Search:
    dataset = complete(dify).json()["metadata"]["retriever_resources"][0]["dataset_id"]

    def ask(switches: Any = None, **body: Any) -> httpx.Response:
        headers = {"x-sandbox-switches": json.dumps(switches or {})}
        return dify_dataset.post(
            f"/datasets/{dataset}/retrieve", json={"query": QUESTION, **body}, headers=headers
        )

    return ask


def names(response: httpx.Response) -> list[str]:
    return [r["segment"]["document"]["name"] for r in response.json()["records"]]


@pytest.mark.parametrize(
    ("method", "scored"),
    [
        ("semantic_search", True),
        ("full_text_search", True),
        ("hybrid_search", True),
        ("keyword_search", False),
    ],
)
def test_every_method_finds_and_all_but_keywords_score(
    search: Search, method: str, scored: bool
) -> None:
    model = {**MODEL, "search_method": method, "score_threshold_enabled": True}
    for floor, count in ((0.01, 1), (2, 0 if scored else 1)):
        records = search(retrieval_model={**model, "score_threshold": floor}).json()["records"]
        assert min(len(records), 1) == count
        assert all((record["score"] is not None) == scored for record in records)


@pytest.mark.parametrize("method", ["magic", [], {}, 1, None])
def test_an_unknown_method_finds_nothing(search: Search, method: Any) -> None:
    assert names(search(retrieval_model={**MODEL, "search_method": method})) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_no_more_is_found_than_asked_for(search: Search, count: int) -> None:
    response = search(query="lamp returns", retrieval_model={**MODEL, "top_k": count})
    assert len(names(response)) == count


@pytest.mark.parametrize("given", [None, {}])
def test_no_model_means_the_knowledge_base_s_own(search: Search, given: Any) -> None:
    assert names(search(retrieval_model=given))[0] == "returns.md"
    (record, *_) = search({"economy": True}, retrieval_model=given).json()["records"]
    assert record["score"] is None


@pytest.mark.parametrize("key", ["reranking_enable", "score_threshold_enabled"])
def test_two_keys_of_a_model_must_be_there(search: Search, key: str) -> None:
    model = {k: v for k, v in MODEL.items() if k != key}
    response = search(retrieval_model=model)
    assert (response.status_code, response.json()["message"]) == (500, f"'{key}'")


def test_the_other_two_need_not(search: Search) -> None:
    model = {"reranking_enable": False, "score_threshold_enabled": False}
    assert names(search(retrieval_model=model))[0] == "returns.md"


def test_newer_releases_check_a_model_whole(search: Search) -> None:
    response = search({"profile": "1.16"}, retrieval_model={"top_k": 1})
    assert response.status_code == 400
    assert response.json()["message"].startswith("3 validation errors for HitTestingPayload\n")
    assert search({"profile": "1.16"}, retrieval_model=MODEL).status_code == 200


@pytest.mark.parametrize(
    ("profile", "query", "message"),
    [
        ("1.9", "", "Query is required and cannot exceed 250 characters"),
        ("1.9", None, "Query is required and cannot exceed 250 characters"),
        ("1.9", "ü" * 251, "Query is required and cannot exceed 250 characters"),
        ("1.16", "", "Query or attachment_ids is required"),
        ("1.16", "ü" * 251, "String should have at most 250 characters"),
    ],
)
def test_a_query_has_250_characters(
    search: Search, profile: str, query: str | None, message: str
) -> None:
    response = search({"profile": profile}, query=query)
    assert response.status_code == 400
    assert message in response.json()["message"]


def test_250_characters_are_not_too_many_and_a_number_is_a_query(search: Search) -> None:
    assert search(query="ü" * 250).status_code == 200
    assert search(query=5).json()["query"] == {"content": "5"}


@pytest.mark.parametrize("threshold", ["high", [1]])
def test_a_threshold_is_a_number(search: Search, threshold: Any) -> None:
    model = {**MODEL, "score_threshold_enabled": True, "score_threshold": threshold}
    assert search(retrieval_model=model).json()["code"] == "internal_server_error"


def where(*conditions: tuple[str, str, Any], operator: str = "and") -> dict[str, Any]:
    listed = [
        {"name": name, "comparison_operator": is_, "value": value}
        for name, is_, value in conditions
    ]
    filtering = {"logical_operator": operator, "conditions": listed}
    return {**MODEL, "metadata_filtering_conditions": filtering}


RETURNS = "returns.md"
CONDITIONS: list[tuple[tuple[str, str, Any], bool]] = [
    (("document_name", "is", RETURNS), True),
    (("document_name", "=", RETURNS), True),
    (("document_name", "is not", RETURNS), False),
    (("document_name", "≠", "other"), True),
    (("document_name", "contains", "turn"), True),
    (("document_name", "not contains", "turn"), False),
    (("document_name", "start with", "ret"), True),
    (("document_name", "end with", ".md"), True),
    (("document_name", "in", ["lamps.txt", RETURNS]), True),
    (("document_name", "in", f"lamps.txt,{RETURNS}"), True),
    (("document_name", "in", f"lamps.txt,my-{RETURNS}"), False),
    (("document_name", "not in", [RETURNS]), False),
    (("document_name", "not in", []), True),
    (("document_name", "in", 5), False),
    (("document_name", "not in", 5), True),
    (("document_name", ">", 5), False),
    (("document_name", "is", None), True),
    (("source_url", "start with", "https://"), True),
    (("upload_date", ">", 0), True),
    (("upload_date", "≥", 0), True),
    (("upload_date", "after", 0), True),
    (("upload_date", "<", 0), False),
    (("upload_date", "≤", 0), False),
    (("upload_date", "before", 0), False),
    (("upload_date", "=", 0), False),
    (("upload_date", "<", 10**400), True),
    (("upload_date", ">", 10**400), False),
    (("upload_date", ">", -(10**400)), True),
    (("upload_date", "=", 10**400), False),
    (("colour", "is", "red"), False),
    (("colour", "is not", "red"), False),
    (("colour", "empty", None), True),
    (("colour", "not empty", None), False),
    (("source", "not empty", None), True),
]


@pytest.mark.parametrize(("condition", "found"), CONDITIONS, ids=lambda value: str(value)[:60])
def test_a_condition_on_the_metadata(
    search: Search, condition: tuple[str, str, Any], found: bool
) -> None:
    assert (RETURNS in names(search(retrieval_model=where(condition)))) == found
    typed = search({"profile": "1.16"}, retrieval_model=where(condition))
    assert (RETURNS in names(typed)) == found


def test_conditions_hold_together_or_one_by_one(search: Search) -> None:
    pair = (("document_name", "is", RETURNS), ("colour", "is", "red"))
    assert RETURNS not in names(search(retrieval_model=where(*pair)))
    assert RETURNS in names(search(retrieval_model=where(*pair, operator="or")))


def test_a_condition_that_nobody_knows_is_refused_and_the_oldest_release_ignores_all(
    search: Search,
) -> None:
    model = where(("document_name", "sounds like", "x"))
    response = search(retrieval_model=model)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_param")
    assert "MetadataFilteringCondition" in response.json()["message"]
    assert names(search({"profile": "0.15"}, retrieval_model=model))[0] == RETURNS


def test_questions_are_found_with_their_answers(search: Search) -> None:
    (record, *_) = search({"knowledge": "qa"}).json()["records"]
    assert record["segment"]["content"] == "What is said about Refunds?"
    assert "5 working days" in record["segment"]["answer"]


def test_another_system_s_passages_are_not_found_here(search: Search) -> None:
    response = search({"knowledge": "external"})
    assert (response.status_code, response.json()["message"]) == (500, "'reranking_enable'")
    assert names(search({"knowledge": "external"}, retrieval_model=MODEL)) == []


@pytest.mark.parametrize(
    ("dataset", "status", "code"),
    [
        ("disabled", 403, "forbidden"),
        ("limited", 403, "forbidden"),
        ("unready", 400, "dataset_not_initialized"),
    ],
)
def test_a_knowledge_base_can_be_closed(
    search: Search, dataset: str, status: int, code: str
) -> None:
    response = search({"dataset": dataset})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("rate limit" in response.json()["message"]) == (dataset == "limited")


def test_newer_releases_list_files_and_child_chunks(search: Search) -> None:
    (record, *_) = search({"profile": "1.16"}).json()["records"]
    assert (record["child_chunks"], record["files"], record["summary"]) == ([], [], None)
    (record, *_) = search({"profile": "1.9"}).json()["records"]
    assert record["child_chunks"] is None
    assert "files" not in record


def test_an_empty_knowledge_base_of_the_oldest_release_has_a_place(tmp_path: Path) -> None:
    with Sandbox(tmp_path, dify={"profile": "0.15"}) as sandbox:
        key = sandbox.env["DIFY_DATASET_API_KEY"]
        response = httpx.post(
            f"{sandbox.env['DIFY_BASE_URL']}/datasets/a6db3ed9-07e7-571c-b3f6-e1fa1d5921dd/retrieve",
            json={"query": "x"},
            headers={"Authorization": f"Bearer {key}"},
            verify=False,
        )
    assert response.json() == {
        "query": {"content": "x", "tsne_position": {"x": 0, "y": 0}},
        "records": [],
    }
