"""One request for each service, whole and streamed, for tests that hold for all of them."""

import time
from typing import Any

from qaip_sandbox import Record, Sandbox

__all__ = ["ANSWER", "QUESTION", "SERVICES", "address", "body", "key", "keyed", "settled"]

QUESTION = "Within how many days can a lamp be returned?"
ANSWER = "45 days"

_MESSAGES = [{"role": "user", "content": QUESTION}]
_MODEL = {"model": "sonar", "messages": _MESSAGES}

SERVICES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "qaip": ("QAIP_BASE_URL", "QAIP_API_KEY", "/completions", {"messages": _MESSAGES}),
    "fireworks": ("FIREWORKS_API_BASE", "FIREWORKS_API_KEY", "/chat/completions", _MODEL),
    "pais": ("PAIS_BASE_URL", "PAIS_API_KEY", "/chat/completions", _MODEL),
    "perplexity": ("PERPLEXITY_BASE_URL", "PERPLEXITY_API_KEY", "/chat/completions", _MODEL),
    "dify": (
        "DIFY_BASE_URL",
        "DIFY_API_KEY",
        "/completion-messages",
        {"inputs": {"query": QUESTION}, "user": "u"},
    ),
}
"""The names of the address and of the key, the path, and the body."""


def address(sandbox: Sandbox, service: str) -> str:
    base, _, path, _ = SERVICES[service]
    return sandbox.env[base] + path


def key(sandbox: Sandbox, service: str) -> str:
    return sandbox.env[SERVICES[service][1]]


def keyed(sandbox: Sandbox, service: str) -> dict[str, str]:
    if service == "qaip":
        return {"x-api-key": key(sandbox, service), "accept": "text/event-stream"}
    return {"authorization": f"Bearer {key(sandbox, service)}"}


def body(service: str, *, stream: bool) -> dict[str, Any]:
    given = SERVICES[service][3]
    if service == "dify":
        return given | {"response_mode": "streaming" if stream else "blocking"}
    return given | {"stream": stream}


def settled(sandbox: Sandbox) -> Record:
    """Return the last record, once its answer has ended."""
    deadline = time.monotonic() + 2
    while sandbox._world.journal.running and time.monotonic() < deadline:
        time.sleep(0.002)
    assert not sandbox._world.journal.running
    return sandbox.requests[-1]
