"""Qaip's filters on metadata, and what it extracts."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

MODIFIED = 1_750_000_000
"""2025-06-15T15:06:40Z."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder: Path = tmp_path_factory.mktemp("docs")
    for path, text in {
        "shop/lamps.md": "# Lamps\n\nThe Meridian lamp draws 9 watts.",
        "shop/chairs.md": "# Chairs\n\nThe Lamp chair costs 120 euros.",
        "news.txt": "The lamp shop opens on 2025-03-01.",
    }.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, "utf-8")
        os.utime(folder / path, (MODIFIED, MODIFIED))
    with Sandbox(folder) as sandbox:
        headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
        with httpx.Client(
            base_url=sandbox.env["QAIP_BASE_URL"], headers=headers, verify=False
        ) as found:
            yield found


def condition(key: str, operator: str, kind: str, **values: Any) -> Any:
    return {"key": key, "operator": operator, "type": kind, **values}


TAG = condition("tags", "contains", "string_list", val="shop")
TITLE = condition("title", "eq", "string", val="Lamps")
PATH = condition("path", "eq", "string", val="news.txt")


def search(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/search", json={"query": "lamp", **fields})


def titles(response: httpx.Response) -> set[str]:
    assert response.status_code == 200, response.text
    return {result["title"] for result in response.json()["results"]}


@pytest.mark.parametrize(
    ("group", "found"),
    [
        ({}, {"Lamps", "Chairs", "news.txt"}),
        ({"filters": [TITLE]}, {"Lamps"}),
        ({"filters": [TITLE, PATH]}, set[str]()),
        ({"filters": [TITLE, PATH], "logic": "OR"}, {"Lamps", "news.txt"}),
        ({"groups": [{"filters": [TITLE]}, {"filters": [PATH]}], "logic": "OR"},
         {"Lamps", "news.txt"}),
        ({"filters": [TAG]}, {"Lamps", "Chairs"}),
        ({"filters": [condition("file_type", "ne", "string", val="md")]}, {"news.txt"}),
        ({"filters": [condition("modified", "gte", "integer", val=MODIFIED)]},
         {"Lamps", "Chairs", "news.txt"}),
        ({"filters": [condition("modified", "lt", "integer", val=MODIFIED)]}, set[str]()),
        ({"filters": [condition("modified", "between", "integer", min=0, max=MODIFIED)]},
         {"Lamps", "Chairs", "news.txt"}),
        ({"filters": [condition("page_number", "gt", "integer", val=0)]}, set[str]()),
    ],
)  # fmt: skip
def test_declared_columns_filter(client: httpx.Client, group: Any, found: set[str]) -> None:
    assert titles(search(client, metadata_filter=group)) == found


@pytest.mark.parametrize(
    ("condition_", "found"),
    [
        (condition("modified", "eq", "date", val="2025-06-15"), True),
        (condition("modified", "gt", "date", val="2025-06-15"), False),
        (condition("modified", "lte", "datetime", val="2025-06-15T15:06:40"), True),
        (condition("modified", "eq", "datetime", val="2025-06-15T17:06:40+02:00"), True),
        (condition("modified", "gt", "float", val=1.5), True),
        (condition("title", "gt", "float", val=1.5), False),
        (condition("colour", "eq", "string", val="red"), False),
    ],
)
@pytest.mark.parametrize("name", ["source_metadata", "chunk_metadata"])
def test_metadata_filters_too(
    client: httpx.Client, name: str, condition_: Any, found: bool
) -> None:
    assert bool(titles(search(client, **{name: {"filters": [condition_]}}))) == found


def test_the_reserved_group_filters_nothing(client: httpx.Client) -> None:
    group = {"filters": [condition("colour", "eq", "string", val="red")]}
    assert len(titles(search(client, metadata=group))) == 3


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("metadata_filter", condition("colour", "eq", "string", val="red"), "no column 'colour'"),
        ("metadata_filter", condition("modified", "eq", "string", val="1"), "of the type integer"),
        ("metadata_filter", condition("tags", "eq", "string_list", val="a"), "contains is for"),
        ("metadata_filter", condition("title", "contains", "string", val="a"), "contains is for"),
        ("metadata_filter", condition("title", "eq", "string"), "val: a string is wanted"),
        ("metadata_filter", condition("modified", "eq", "integer", val=True), "val: an integer"),
        ("metadata_filter", condition("modified", "between", "integer", min=1), "max: an integer"),
        ("metadata_filter", condition("title", "like", "string", val="a"), "operator: Input"),
        ("metadata_filter", {"key": "title"}, "operator: Field required"),
        ("source_metadata", condition("tags", "contains", "string_list", val="a"), "list types"),
        ("source_metadata", condition("modified", "eq", "date", val="today"), "val: Invalid iso"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_wrong_conditions_are_refused(
    client: httpx.Client, name: str, wrong: Any, words: str, nested: bool
) -> None:
    group: Any = {"filters": [wrong]}
    if nested:
        group = {"groups": [{"groups": [group]}]}
    response = search(client, **{name: group})
    assert response.status_code == 400
    assert words in response.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata_filter": {"filter": []}},
        {"metadata_filter": {"logic": "XOR"}},
        {"authz_policy": "mine"},
        {"source_group_id": "x"},
        {"offset": -1},
        {"query": ""},
    ],
)
def test_a_bad_search_is_refused(client: httpx.Client, fields: Any) -> None:
    assert search(client, **fields).status_code == 400


def test_the_seed_has_none_of_these_filters(client: httpx.Client) -> None:
    client.headers["x-sandbox-switches"] = '{"profile": "seed"}'
    try:
        assert titles(search(client, tags=["shop"])) == {"Lamps", "Chairs"}
        assert search(client, use_postfilter=True).status_code == 400
        assert client.get("/conversations").status_code == 404
    finally:
        del client.headers["x-sandbox-switches"]


SCHEMA = {
    "type": "object",
    "properties": {"watts": {"type": "integer"}, "lamp": {"type": "string"}},
    "required": ["watts", "lamp"],
    "additionalProperties": False,
}


def extract(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/extract", json={"schema": SCHEMA, **fields})


def test_an_extraction_takes_its_values_from_the_documents(client: httpx.Client) -> None:
    body = extract(client, prompt="How many watts does the Meridian lamp draw?").json()
    assert list(body) == ["created", "result"]
    assert body["result"]["watts"] == 9
    assert "Meridian" in body["result"]["lamp"]


def test_an_extraction_needs_no_prompt_and_takes_filters(client: httpx.Client) -> None:
    group = {"filters": [TITLE]}
    assert extract(client, metadata_filter=group).json()["result"]["watts"] == 9
    related = {"use_related": True, "related_filter": {"limit": 2, "file_types": ["md"]}}
    assert extract(client, limit=3, **related).status_code == 200


def test_an_extraction_starts_at_its_offset(client: httpx.Client) -> None:
    prompt = "How many watts does a lamp draw?"
    first, second = (
        extract(client, prompt=prompt, limit=1, offset=offset).json()["result"] for offset in (0, 1)
    )
    assert first != second


def test_an_extraction_takes_nothing_that_the_filters_hold_back(client: httpx.Client) -> None:
    lamp = "How many watts does the Meridian lamp draw?"
    assert extract(client, prompt=lamp, tags=["nowhere"]).json()["result"]["watts"] != 9


@pytest.mark.parametrize(
    "body",
    [{}, {"schema": "x"}, {"schema": SCHEMA, "query": "x"}, {"schema": SCHEMA, "limit": 0},
     {"schema": {"type": "nothing"}}, {"schema": SCHEMA, "related_filter": {"x": 1}}],
)  # fmt: skip
def test_a_bad_extraction_is_refused(client: httpx.Client, body: Any) -> None:
    response = client.post("/extract", content=json.dumps(body))
    assert response.status_code == 400, response.text
