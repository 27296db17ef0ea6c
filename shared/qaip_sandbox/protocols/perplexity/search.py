"""The search call: the documents themselves, without an answer."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from starlette.responses import Response

from qaip_sandbox._wire import Json, json_response, request_id
from qaip_sandbox.documents import Chunk
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces

from .errors import refuse
from .filters import Filters, allowed
from .request import read
from .sources import facts

__all__ = ["search"]

_Query = Annotated[str, Field(min_length=1)]
_Tokens = Annotated[int, Field(ge=1, le=1_000_000)]
_KEYS = ("title", "url", "snippet", "date", "last_updated")


class _Search(Filters):
    model_config = ConfigDict(strict=True)

    query: _Query | Annotated[list[_Query], Field(min_length=1, max_length=5)]
    max_results: Annotated[int, Field(ge=1, le=20)] = 10
    max_tokens: _Tokens | None = None
    max_tokens_per_page: _Tokens | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    search_language_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_mode: Literal["web", "academic", "sec"] | None = None
    search_type: Literal["web", "fast", "people"] | None = None
    country: str | None = None
    display_server_time: bool | None = None


async def search(call: Call) -> Response:
    """Answer with what is found for one query, or for several, one after the other."""
    request = read(_Search, call.raw)
    if request.search_context_size and (request.max_tokens or request.max_tokens_per_page):
        raise refuse('["At body: search_context_size and max_tokens exclude each other"]')
    now = datetime.now(UTC).isoformat() if request.display_server_time else None
    found = _found(call, request)
    answer_id, results = request_id(), list(_results(request, found))
    body = {"id": answer_id, "results": results, "server_time": now}
    return json_response(body, headers={"x-request-id": answer_id})


def _found(call: Call, request: _Search) -> list[Chunk]:
    if request.search_type == "people":  # the documents know none
        return []
    queries = [request.query] if isinstance(request.query, str) else request.query
    lets_through = allowed(request)
    hits = [
        hit
        for query in queries
        for hit in call.library.index.search(query, request.max_results, lets_through)
    ]
    return list({hit.chunk.id: hit.chunk for hit in hits}.values())


def _results(request: _Search, chunks: Iterable[Chunk]) -> Iterator[Json]:
    left = request.max_tokens or 10_000
    for chunk in chunks:
        if left <= 0:
            return
        snippet = pieces(chunk.text)[: min(request.max_tokens_per_page or 4096, left)]
        left -= len(snippet)
        known = facts(chunk) | {"snippet": "".join(snippet)}
        yield {key: known[key] for key in _KEYS}
