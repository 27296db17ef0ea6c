"""The control base of PAIS: knowledge bases, their indexes, and the search in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

NOBODY = "00000000-0000-4000-8000-000000000000"
QUERY = "return shipping refund lamp"


@pytest.fixture
def control(sandbox: Sandbox) -> Iterator[httpx.Client]:
    base = sandbox.env["PAIS_BASE_URL"].replace("/compatibility/openai/v1", "/control")
    headers = {"Authorization": f"Bearer {sandbox.env['PAIS_API_KEY']}"}
    with httpx.Client(base_url=base, headers=headers, verify=False) as client:
        yield client


@pytest.fixture
def index(control: httpx.Client) -> str:
    """The path of the index over all documents."""
    kb = control.get("/knowledge-bases").json()["data"][0]["id"]
    ix = control.get(f"/knowledge-bases/{kb}/indexes").json()["data"][0]["id"]
    return f"/knowledge-bases/{kb}/indexes/{ix}"


def search(client: httpx.Client, index: str, switches: Any = None, **fields: Any) -> httpx.Response:
    headers = {"x-sandbox-switches": json.dumps(switches or {})}
    return client.post(f"{index}/search", json={"text": QUERY, **fields}, headers=headers)


def test_there_is_a_base_for_all_documents_and_one_for_each_folder(control: httpx.Client) -> None:
    listed = control.get("/knowledge-bases").json()
    assert [base["name"] for base in listed["data"]] == ["documents", "handbook", "日本語"]
    assert listed["first_id"] == listed["data"][0]["id"]
    assert "num_objects" not in listed
    one = listed["data"][1]
    assert control.get(f"/knowledge-bases/{one['id']}").json() == one


def test_lists_come_in_pages(control: httpx.Client) -> None:
    def names(**query: Any) -> tuple[list[str], bool]:
        found = control.get("/knowledge-bases", params=query).json()
        return [base["name"] for base in found["data"]], found["has_more"]

    first, second, third = control.get("/knowledge-bases").json()["data"]
    assert names(limit=2) == (["documents", "handbook"], True)
    assert names(after=second["id"]) == (["日本語"], False)
    assert names(before=third["id"], offset=1) == (["handbook"], False)
    assert names(order="desc", limit=1) == (["日本語"], True)
    assert names(name="handbook") == (["handbook"], False)
    assert first["id"] == control.get("/knowledge-bases").json()["first_id"]
    query = {"set_num_objects": "true", "limit": "1"}
    assert control.get("/knowledge-bases", params=query).json()["num_objects"] == 3
    assert control.get("/knowledge-bases", params={"after": NOBODY}).status_code == 400


def test_a_bad_page_is_unprocessable(control: httpx.Client) -> None:
    response = control.get("/knowledge-bases", params={"limit": "0"})
    (fault,) = response.json()["detail"]
    assert (response.status_code, fault["loc"]) == (422, ["query", "limit"])


def test_an_index_tells_of_itself(control: httpx.Client, index: str, sandbox: Sandbox) -> None:
    found = control.get(index).json()
    assert found["num_documents"] == len(sandbox.documents)
    listed = control.get(f"{index}/documents").json()["data"]
    assert [document["id"] for document in listed] == [d.id for d in sandbox.documents]
    assert control.get(f"{index}/indexings").json()["data"][0]["state"] == "DONE"
    assert control.get(f"{index}/active-indexing").status_code == 404
    assert len(control.get("/data-sources").json()["data"]) == 1


def test_a_search_returns_two_chunks_unless_told_otherwise(
    control: httpx.Client, index: str
) -> None:
    chunks = search(control, index).json()["chunks"]
    assert len(chunks) == 2
    assert list(chunks[0]) == [
        "origin_name", "origin_ref", "media_type", "retrieval_id", "document_id", "score", "text"
    ]  # fmt: skip
    assert [chunk["retrieval_id"] for chunk in chunks] == ["ref01", "ref02"]
    assert len(search(control, index, top_k=1).json()["chunks"]) == 1


def test_scores_fall_and_can_be_cut_off(control: httpx.Client, index: str) -> None:
    chunks = search(control, index, top_k=5).json()["chunks"]
    scores = [chunk["score"] for chunk in chunks]
    assert scores == sorted(scores, reverse=True)
    kept = search(control, index, top_k=5, similarity_cutoff=scores[0]).json()["chunks"]
    assert [chunk["score"] for chunk in kept] == [s for s in scores if s >= scores[0]]
    assert search(control, index, similarity_cutoff=1.5).json() == {"chunks": []}


def test_results_have_three_shapes(control: httpx.Client, index: str) -> None:
    chunks = search(control, index).json()["chunks"]
    assert search(control, index, {"search": "hits"}).json() == {"hits": chunks}
    assert search(control, index, {"search": "list"}).json() == chunks


def test_9_0_has_no_retrieval_ids(control: httpx.Client, index: str) -> None:
    chunks = search(control, index, {"profile": "9.0"}).json()["chunks"]
    assert not any("retrieval_id" in chunk for chunk in chunks)


def test_an_address_that_is_too_long_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 200)
    folder.mkdir()
    (folder / ("b" * 100 + ".md")).write_text("A refund takes 5 days.", "utf-8")
    with Sandbox(tmp_path, pais={"auth": "none"}) as sandbox:
        base = sandbox.env["PAIS_BASE_URL"].replace("/compatibility/openai/v1", "/control")
        with httpx.Client(base_url=base, verify=False) as client:
            kb = client.get("/knowledge-bases").json()["data"][0]["id"]
            ix = client.get(f"/knowledge-bases/{kb}/indexes").json()["data"][0]["id"]
            path = f"/knowledge-bases/{kb}/indexes/{ix}"
            (new,) = search(client, path, text="refund").json()["chunks"]
            (old,) = search(client, path, {"profile": "9.0"}, text="refund").json()["chunks"]
    assert "origin_ref" in new
    assert "origin_ref" not in old


@pytest.mark.parametrize(
    "fields", [{"text": None}, {"top_k": 0}, {"top_k": "x"}, {"similarity_cutoff": "x"}]
)
def test_a_bad_search_is_unprocessable(control: httpx.Client, index: str, fields: Any) -> None:
    assert search(control, index, **fields).status_code == 422


def test_unknown_ids_and_paths_are_not_found(control: httpx.Client, index: str) -> None:
    kb = index.split("/")[2]
    for path in (f"/knowledge-bases/{NOBODY}", f"/knowledge-bases/{kb}/indexes/{NOBODY}"):
        response = control.get(path)
        assert response.json() == {"detail": "Invalid knowledge base or index ID."}
    assert control.get("/nothing").json() == {"detail": "Not Found"}
    wrong = control.get(f"{index}/search")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")


def test_a_search_needs_a_token_and_is_recorded(
    control: httpx.Client, index: str, sandbox: Sandbox
) -> None:
    assert search(control, index).status_code == 200
    record = sandbox.requests[-1]
    assert (record.service, record.path) == ("pais", f"/pais/api/v1/control{index}/search")
    del control.headers["authorization"]
    assert search(control, index).status_code == 401
