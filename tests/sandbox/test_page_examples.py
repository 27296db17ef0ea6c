import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox
from qaip_sandbox.page.examples import EXAMPLES, QUESTION, Example
from qaip_sandbox.protocols import SERVICES

ASKED = "How long are returns accepted?"
ROUTES = {(s.name, route.method, route.path) for s in SERVICES for route in s.routes}


def modes() -> Iterator[tuple[Example, str]]:
    for example in EXAMPLES:
        if not example.only_streamed:
            yield example, "whole"
        if example.streamed:
            yield example, "streamed"


each_mode = pytest.mark.parametrize(
    ("example", "mode"),
    [pytest.param(e, mode, id=f"{e.service}-{e.name}-{mode}") for e, mode in modes()],
)


@pytest.fixture(scope="module")
def offered(docs: Path) -> Iterator[dict[str, Any]]:
    with Sandbox(docs) as sandbox:
        yield {
            "url": sandbox.url,
            **httpx.get(f"{sandbox.url}/_sandbox/examples", verify=False).json(),
        }


@each_mode
def test_an_example_works(offered: dict[str, Any], example: Example, mode: str) -> None:
    call = next(
        c for c in offered["calls"] if (c["service"], c["name"]) == (example.service, example.name)
    )
    body = call["body"]
    if body is not None:
        body = body | call["streamed"] if mode == "streamed" else body
        body = json.loads(json.dumps(body).replace(QUESTION, ASKED))
    url = offered["url"] + call["path"]
    response = httpx.request(call["method"], url, headers=call["headers"], json=body, verify=False)
    assert response.status_code == 200, response.text
    if call["streamed"]:
        assert ("content-length" not in response.headers) == (mode == "streamed")
        assert "45" in response.text


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.service}-{e.name}")
def test_an_example_calls_what_its_service_has(example: Example) -> None:
    assert (example.service, example.method, example.route) in ROUTES


def test_every_route_is_offered(offered: dict[str, Any]) -> None:
    offers = {(call["service"], call["method"]) for call in offered["calls"]}
    assert {(service, method) for service, method, _ in ROUTES} == offers
    assert len(offered["calls"]) >= len(ROUTES)


def test_names_are_unique_within_a_service(offered: dict[str, Any]) -> None:
    names = [(call["service"], call["name"]) for call in offered["calls"]]
    assert len(names) == len(set(names))


def test_the_question_is_about_the_documents(offered: dict[str, Any]) -> None:
    assert offered["question"] == 'What do the documents say about "Leave"?'


def test_an_empty_folder_has_examples_too(tmp_path: Path) -> None:
    with Sandbox(tmp_path) as sandbox:
        offered = httpx.get(f"{sandbox.url}/_sandbox/examples", verify=False).json()
    assert offered["question"] == "What do the documents say?"
    assert len(offered["calls"]) >= len(ROUTES)
