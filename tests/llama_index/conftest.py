"""What the tests of the LlamaIndex package share."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import llama_index_qaip
from llama_index_qaip import ServiceLLM
from support.fault_server import FaultServer
from support.wire import WireCase, cases

KEY = "test-key-5f1d0c"
CLASSES = {
    "qaip": llama_index_qaip.Qaip,
    "fireworks": llama_index_qaip.Fireworks,
    "pais": llama_index_qaip.PAIS,
    "perplexity": llama_index_qaip.Perplexity,
    "dify": llama_index_qaip.Dify,
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def make(server: FaultServer) -> Iterator[Callable[..., Any]]:
    """Makes the LLM of a service, over the server, without retries."""
    made: list[ServiceLLM] = []

    def llm(service: str, **fields: Any) -> ServiceLLM:
        fields = {"api_key": KEY, "base_url": server.url, "max_retries": 0, **fields}
        if service not in ("qaip", "dify"):
            fields.setdefault("model", "m")
        made.append(CLASSES[service](**fields))
        return made[-1]

    yield llm
    for each in made:
        each.close()


@pytest.fixture
def serve(server: FaultServer) -> Callable[..., WireCase]:
    """Lets the server answer with a wire fixture, and returns it."""
    known = {case.id: case for case in cases()}

    def queue(name: str, sizes: int | None = None) -> WireCase:
        server.replies(known[name].reply(sizes=sizes))
        return known[name]

    return queue
