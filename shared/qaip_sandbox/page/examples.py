"""Calls to try, one for each that the services know; the tests ask every one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from qaip_sandbox._wire import Json
from qaip_sandbox.protocols import SERVICES
from qaip_sandbox.protocols.dify.knowledge import DATASET
from qaip_sandbox.protocols.pais.bases import Base
from qaip_sandbox.service import Route, Service
from qaip_sandbox.world import World

__all__ = ["EXAMPLES", "QUESTION", "Example", "calls", "question"]

QUESTION = "{question}"
"""What the page replaces by the question that its user types, wherever it stands in a body."""


@dataclass(frozen=True, slots=True)
class Example:
    """A call that works as it is.

    `route` is the path as the service declares it. `streamed` are the keys to add to the body for
    a stream, None where the call has none; `only_streamed` says that it makes no sense whole.
    """

    service: str
    name: str
    route: str
    body: Json = None
    streamed: Json = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    only_streamed: bool = False
    method: Literal["GET", "POST"] = "POST"


_STREAM: Json = {"stream": True}
_CHAT: Json = [{"role": "user", "content": QUESTION}]
_FIREWORKS = "accounts/fireworks/models/llama-v3p1-8b-instruct"
_EMBEDDER = "nomic-ai/nomic-embed-text-v1.5"
_RERANKER = "fireworks/qwen3-reranker-8b"
_PAIS = "sandbox-extractive"
_USER = "reader"
_STREAMING: Json = {"response_mode": "streaming"}
_SCHEMA: Json = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}
_FORMAT: Json = {"type": "json_schema", "json_schema": {"schema": _SCHEMA}}
_TOOL: Json = {
    "type": "function",
    "function": {
        "name": "search_documents",
        "description": "Search the documents.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}},
            "required": ["query"],
        },
    },
}
_AGUI = {"Accept": "text/event-stream"}
_EMPTY: dict[str, Json] = {"POST": {}, "PATCH": {}}

EXAMPLES: tuple[Example, ...] = (
    Example("qaip", "Completion", "/completions", {"messages": _CHAT}, _STREAM),
    Example("qaip", "Completion as AG-UI events", "/completions", {"messages": _CHAT}, _STREAM,
            _AGUI, only_streamed=True),
    Example("qaip", "Search", "/search", {"query": QUESTION, "limit": 5}),
    Example("qaip", "Extraction", "/extract", {"prompt": QUESTION, "schema": _SCHEMA}),
    Example("qaip", "One chunk", "/contents/{id}", method="GET"),
    Example("qaip", "Tags", "/tags", method="GET"),
    Example("fireworks", "Chat", "/chat/completions",
            {"model": _FIREWORKS, "messages": _CHAT}, _STREAM),
    Example("fireworks", "Text completion", "/completions",
            {"model": _FIREWORKS, "prompt": QUESTION, "max_tokens": 200}, _STREAM),
    Example("fireworks", "Chat with a tool", "/chat/completions",
            {"model": _FIREWORKS, "messages": _CHAT, "tools": [_TOOL]}, _STREAM),
    Example("fireworks", "Embeddings", "/embeddings", {"model": _EMBEDDER, "input": QUESTION}),
    Example("fireworks", "Reranking", "/rerank",
            {"model": _RERANKER, "query": QUESTION, "documents": ["One text.", "Another text."]}),
    Example("fireworks", "Models", "/models", method="GET"),
    Example("pais", "Chat", "/chat/completions", {"model": _PAIS, "messages": _CHAT}, _STREAM),
    Example("pais", "Text completion", "/completions",
            {"model": _PAIS, "prompt": QUESTION}, _STREAM),
    Example("pais", "Agent, with sources", "/agents/{id}/chat/completions",
            {"model": _PAIS, "messages": _CHAT}, _STREAM),
    Example("pais", "Search in a knowledge base", "/knowledge-bases/{kb}/indexes/{ix}/search",
            {"text": QUESTION, "top_k": 5}),
    Example("pais", "Embeddings", "/embeddings",
            {"model": "sandbox-embeddings", "input": QUESTION}),
    Example("pais", "Agents", "/agents", method="GET"),
    Example("pais", "Models", "/models", method="GET"),
    Example("perplexity", "Sonar", "/chat/completions",
            {"model": "sonar", "messages": _CHAT}, _STREAM),
    Example("perplexity", "Sonar with a JSON schema", "/chat/completions",
            {"model": "sonar", "messages": _CHAT, "response_format": _FORMAT}, _STREAM),
    Example("perplexity", "Agent", "/v1/responses",
            {"model": "perplexity/sonar", "input": QUESTION, "tools": [{"type": "web_search"}]},
            _STREAM),
    Example("perplexity", "Search", "/search", {"query": QUESTION, "max_results": 5}),
    Example("perplexity", "Models", "/v1/models", method="GET"),
    Example("dify", "Completion app", "/completion-messages",
            {"inputs": {"query": QUESTION}, "user": _USER, "response_mode": "blocking"},
            _STREAMING),
    Example("dify", "Chat app", "/chat-messages",
            {"inputs": {}, "query": QUESTION, "user": _USER, "response_mode": "blocking"},
            _STREAMING),
    Example("dify", "Retrieval", "/datasets/{dataset_id}/retrieve", {"query": QUESTION}),
    Example("dify", "Parameters", "/parameters", method="GET"),
    Example("dify", "Info", "/info", method="GET"),
)  # fmt: skip


def question(world: World) -> str:
    """Return a question that the documents of `world` can answer, by their first heading."""
    chunks = world.library.index.chunks
    heading = next((chunk.heading for chunk in chunks if chunk.heading), "")
    title = heading or next((chunk.document.title for chunk in chunks), "")
    return f'What do the documents say about "{title}"?' if title else "What do the documents say?"


def calls(world: World) -> list[Json]:
    """Return every call of every service: those with an example first, then the bare others."""
    places = _places(world)
    return [call for service in SERVICES for call in _calls(service, world, places)]


def _calls(service: Service, world: World, places: dict[str, str]) -> list[Json]:
    routes = {(route.method, route.path): route for route in service.routes}
    mine = [example for example in EXAMPLES if example.service == service.name]
    known = [(e, routes[e.method, e.route]) for e in mine if (e.method, e.route) in routes]
    shown = {(example.method, example.route) for example in mine}
    bare = [(_bare(service, route, known), route) for k, route in routes.items() if k not in shown]
    return [_call(service, *pair, world.keys, places) for pair in known + bare]


def _bare(service: Service, route: Route, known: list[tuple[Example, Route]]) -> Example:
    """Return the call of a route without an example: that of its twin, or one to fill in."""
    name = f"{route.method} {route.path}"
    twins = [example for example, other in known if other.handler is route.handler]
    if twins and route.method == "POST":
        return replace(twins[0], name=name, route=route.path)
    ready = route.method == "GET" and "{" not in route.path
    return Example(
        service.name, name if ready else f"{name} (to fill in)", route.path,
        _EMPTY.get(route.method),
    )  # fmt: skip


def _call(
    service: Service,
    example: Example,
    route: Route,
    keys: Mapping[str, str],
    places: dict[str, str],
) -> Json:
    path = route.path
    for place, value in places.items():
        path = path.replace(place, value)
    return {
        "service": service.name,
        "name": example.name,
        "method": route.method,
        "path": _base(service, route) + path,
        "headers": example.headers | _key(service, keys[route.key_name]),
        "body": example.body,
        "streamed": example.streamed,
        "only_streamed": example.only_streamed,
    }


def _base(service: Service, route: Route) -> str:
    return route.base or service.base_path


def _key(service: Service, key: str) -> dict[str, str]:
    name = service.key_header
    return {name: f"Bearer {key}" if name == "authorization" else key}


def _places(world: World) -> dict[str, str]:
    """Return what stands for the braces of a path; what only an answer can tell stays open."""
    chunks = world.library.index.chunks
    everything = Base("", world.library.documents)
    return {
        "/contents/{id}": f"/contents/{chunks[0].id if chunks else '{id}'}",
        "/agents/{id}": f"/agents/{everything.agent_id}",
        "/assistants/{id}": f"/assistants/{everything.agent_id}",
        "{kb}": everything.id,
        "{ix}": everything.index_id,
        "{dataset_id}": DATASET,
    }
