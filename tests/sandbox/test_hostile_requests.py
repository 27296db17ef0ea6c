"""Requests that nobody should send: every operation of every service answers them in its words."""

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from qaip_sandbox.protocols import SERVICES

DEEP: Any = {"a": 1}
for _ in range(200):
    DEEP = {"messages": [DEEP]}

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{'a': 1",
    "no text": b"\xff\xfe\x00",
    "null": b"null",
    "a list": b"[1, 2]",
    "a string": b'"text"',
    "a number beyond all bounds": b'{"n": 1e400, "limit": 1e400, "model": "m", "prompt": "x"}',
    "thousands of digits": b'{"limit": ' + b"9" * 5_000 + b"}",
    "half a pair": b'{"query": "\\ud800", "prompt": "\\udfff", "model": "\\ud800"}',
    "deep": json.dumps({"model": "m", "inputs": DEEP, "input": [DEEP], **DEEP}).encode(),
    "wrong types": json.dumps(
        {k: [{"x": [None]}] for k in ("model", "prompt", "query", "user", "inputs", "stream")}
    ).encode(),
    "large numbers": json.dumps(
        {
            "query": "lamp", "limit": 2**63, "offset": 2**70, "top_k": 2**64, "model": "sonar",
            "text": "lamp", "user": "u", "inputs": {"query": "x"}, "max_results": 2**63,
            "prompt": "lamp", "input": "lamp", "n": 2**40, "max_tokens": 2**65,
            "retrieval_model": {
                "top_k": 2**65, "reranking_enable": False, "score_threshold_enabled": False,
            },
        }
    ).encode(),
}  # fmt: skip

ROUTES = [(service, route) for service in SERVICES for route in service.routes]


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.url, verify=False) as client:
        yield client


@pytest.mark.parametrize(("place", "body"), list(product(range(len(ROUTES)), BODIES)), ids=str)
def test_a_hostile_request_is_answered(
    sandbox: Sandbox,
    client: httpx.Client,
    place: int,
    body: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, route = ROUTES[place]
    key = sandbox.env[route.key_name]
    path = route.path.replace("{", "").replace("}", "")
    response = client.request(
        route.method,
        (route.base or service.base_path) + path,
        params={"limit": "9" * 5_000, "starting_after": "--5", "after": "\0"},
        content=BODIES[body],
        headers={
            "authorization": f"Bearer {key}",
            "x-api-key": key,
            "content-type": "application/json",
        },
    )
    assert [record.message for record in caplog.records if record.exc_info] == []
    assert response.status_code != 500 or service.name == "dify"  # it has 500s of its own


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 408, 409, 413, 422, 429, 499, 500,
                                    502, 503, 504, 520, 524, 529, 599])  # fmt: skip
def test_every_status_can_be_had_in_the_words_of_the_service(service: Any, status: int) -> None:
    response = service.failed(status, service.switches(), None)
    assert response.status_code == status
    assert response.body


def test_a_folder_s_documents_are_not_needed(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        answer = httpx.post(
            sandbox.env["QAIP_BASE_URL"] + "/search",
            json={"query": "lamp", "limit": 2**63},
            headers={"x-api-key": sandbox.env["QAIP_API_KEY"]},
            verify=False,
        )
    assert answer.json()["results"] == []
