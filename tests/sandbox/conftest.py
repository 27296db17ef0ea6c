"""A sandbox over the documents of this folder, and a client for each of its services."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from qaip_sandbox import Sandbox

Events = Callable[[httpx.Response], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def docs() -> Path:
    return Path(__file__).parent / "docs"


@pytest.fixture(scope="session")
def sandbox(docs: Path) -> Iterator[Sandbox]:
    with Sandbox(docs) as running:
        yield running


def _client(sandbox: Sandbox, base: str, key: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {sandbox.env[key]}"}
    # Making an SSL context, which nobody needs here, takes longer than most tests.
    return httpx.Client(base_url=sandbox.env[base], headers=headers, verify=False)


@pytest.fixture
def qaip(sandbox: Sandbox) -> Iterator[httpx.Client]:
    headers = {"x-api-key": sandbox.env["QAIP_API_KEY"]}
    with httpx.Client(
        base_url=sandbox.env["QAIP_BASE_URL"], headers=headers, verify=False
    ) as client:
        yield client


@pytest.fixture
def fireworks(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with _client(sandbox, "FIREWORKS_API_BASE", "FIREWORKS_API_KEY") as client:
        yield client


@pytest.fixture
def pais(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with _client(sandbox, "PAIS_BASE_URL", "PAIS_API_KEY") as client:
        yield client


@pytest.fixture
def perplexity(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with _client(sandbox, "PERPLEXITY_BASE_URL", "PERPLEXITY_API_KEY") as client:
        yield client


@pytest.fixture
def dify(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with _client(sandbox, "DIFY_BASE_URL", "DIFY_API_KEY") as client:
        yield client


@pytest.fixture
def dify_dataset(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with _client(sandbox, "DIFY_BASE_URL", "DIFY_DATASET_API_KEY") as client:
        yield client


@pytest.fixture
def events() -> Events:
    """Parse the JSON of every data line but [DONE]."""

    def parse(response: httpx.Response) -> list[dict[str, Any]]:
        lines = response.text.replace("\r\n", "\n").split("\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(line) for line in data if line != "[DONE]"]

    return parse
