"""What the tests of the LlamaIndex package share."""

from collections.abc import Callable, Iterator, Mapping
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
    "perplexity-agent": llama_index_qaip.PerplexityAgent,
    "pais-agent": llama_index_qaip.PAISAgent,
    "dify-conversation": llama_index_qaip.DifyConversation,
}
"""The LLMs by service, and by the way of answering where it is not the service's first."""

NEEDED: Mapping[str, Mapping[str, Any]] = {
    "fireworks": {"model": "m"},
    "pais": {"model": "m"},
    "perplexity": {"model": "m"},
    "perplexity-agent": {"model": "m", "web_search": False},
    "pais-agent": {"agent_id": "a"},
}
"""The constructor arguments that an LLM cannot do without."""

FORMS: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("qaip", "completions"): ("qaip", ("chat", "complete")),
    ("fireworks", "completions"): ("fireworks", ("complete",)),
    ("fireworks", "chat"): ("fireworks", ("chat",)),
    ("pais", "completions"): ("pais", ("complete",)),
    ("pais", "chat"): ("pais", ("chat",)),
    ("pais", "agent-chat"): ("pais-agent", ("chat",)),
    ("pais", "agent-completions"): ("pais-agent", ("complete",)),
    ("perplexity", "chat"): ("perplexity", ("chat", "complete")),
    ("perplexity", "agent"): ("perplexity-agent", ("chat", "complete")),
    ("dify", "completion-messages"): ("dify", ("chat", "complete")),
    ("dify", "chat-messages"): ("dify-conversation", ("chat", "complete")),
}
"""Which LLM asks by an operation, and by which of its forms."""


def llm_of(case: WireCase) -> str:
    """Return the LLM whose service answers as a fixture does."""
    return FORMS[case.service, case.operation][0]


def given_to(case: WireCase) -> dict[str, Any]:
    """Return the parameters of the call that the fixture is the answer to."""
    if case.service == "dify" and not case.stream:
        return {"response_mode": "blocking"}
    return {"n": n} if (n := case.request.get("n", 1)) > 1 else {}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer() as started:
        yield started


@pytest.fixture
def make(server: FaultServer) -> Iterator[Callable[..., Any]]:
    """Makes the LLM of a service, over the server, without retries."""
    made: list[ServiceLLM] = []

    def llm(service: str, **fields: Any) -> ServiceLLM:
        fields = {**NEEDED.get(service, {}), **fields}
        known = {"api_key": KEY, "base_url": server.url, "max_retries": 0}
        made.append(CLASSES[service](**{**known, **fields}))
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
