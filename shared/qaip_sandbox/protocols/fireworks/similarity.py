"""Embeddings, and the ranking of documents by them."""

import asyncio
import struct
from base64 import b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field
from starlette.responses import Response

from qaip_sandbox._wire import Json, json_response, request_id
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces
from qaip_sandbox.vectors import cosine, embed

from .errors import invalid
from .parsing import check_model, validated
from .sampling import Strict
from .switches import FireworksSwitches

__all__ = ["embeddings", "rerank"]

_DIMENSIONS = 768
_MOST = 2048 * 1024  # numbers in one answer, whose text is 10 MB

_Item = TypeVar("_Item")
_Text = Annotated[str, Field(min_length=1)]
_Many = Annotated[list[_Item], Field(min_length=1, max_length=2048)]


class _Embedding(Strict):
    """The vectors always have unit length, whether or not `normalize` asks for it."""

    model: str
    # The last type of a union is the one whose fault is reported.
    input: _Many[dict[str, Any]] | _Many[list[int]] | _Many[int] | _Many[_Text] | _Text
    prompt_template: str | None = None
    dimensions: Annotated[int, Field(ge=1, le=8192)] | None = None
    normalize: bool | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        """What is embedded, with the template around it."""
        given: Json = self.input
        whole = isinstance(given, str) or isinstance(given[0], int)
        return [self._written(item) for item in ([given] if whole else given)]

    def _written(self, item: Json) -> str:
        if isinstance(item, list):
            item = " ".join(map(str, item))
        fields: Mapping[str, Any] = item if isinstance(item, dict) else {"text": item}
        text = self.prompt_template or " ".join(f"{{{name}}}" for name in fields)
        for name, value in fields.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text


class _Ranking(Strict):
    query: _Text
    documents: Annotated[list[str], Field(min_length=1)]
    model: str | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: bool = True
    task: str | None = None


async def embeddings(call: Call) -> Response:
    """Return the vectors of texts."""
    request = validated(_Embedding, call)
    check_model(request.model)
    texts, size = request.texts, request.dimensions or _DIMENSIONS
    if len(texts) * size > _MOST:
        told = f"{len(texts)} inputs of {size} dimensions are more than {_MOST} numbers"
        raise invalid(f"{told}: send fewer inputs, field: 'dimensions', value: {size}")
    encode = _packed if request.encoding_format == "base64" else list[float]

    def embedded() -> Json:
        vectors = (encode(embed(text, size)) for text in texts)
        return [{"index": n, "embedding": v, "object": "embedding"} for n, v in enumerate(vectors)]

    data = await asyncio.to_thread(embedded)
    usage = _usage(texts)
    body = {"data": data, "model": request.model, "object": "list", "usage": usage}
    return json_response(body, headers=_headers(call, usage["prompt_tokens"]))


async def rerank(call: Call) -> Response:
    """Rank documents by their likeness to a query."""
    request = validated(_Ranking, call)
    check_model(request.model or "")
    scores = await asyncio.to_thread(_scores, request)
    best = sorted(range(len(scores)), key=lambda n: -scores[n])[: request.top_n]
    usage = _usage([request.query, *request.documents])
    older = call.switched(FireworksSwitches).facts.ranking == "results"
    named = "text" if older else "document"
    data = [
        {
            "index": n,
            "relevance_score": scores[n],
            **({named: request.documents[n]} if request.return_documents else {}),
        }
        for n in best
    ]
    body: Json = {"results": data}
    if not older:
        body = {"object": "list", "model": request.model, "data": data, "usage": usage}
    return json_response(body, headers=_headers(call, usage["prompt_tokens"]))


def _scores(request: _Ranking) -> list[float]:
    asked = embed(request.query, _DIMENSIONS)
    alike = (cosine(asked, embed(text, _DIMENSIONS)) for text in request.documents)
    # A vector and itself may come to a little more than 1.
    return [min(max(score, 0.0), 1.0) for score in alike]


def _packed(vector: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _usage(texts: list[str]) -> dict[str, int]:
    count = sum(len(pieces(text)) for text in texts)
    return {"prompt_tokens": count, "total_tokens": count}


def _headers(call: Call, tokens: int) -> dict[str, str]:
    headers = {"fireworks-prompt-tokens": str(tokens)}
    if call.switched(FireworksSwitches).facts.details:
        headers["x-request-id"] = request_id()
    return headers
