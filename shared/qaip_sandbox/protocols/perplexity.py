"""Perplexity's chat completions, as served until their retirement in September 2026."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from qaip_sandbox._wire import (
    Json,
    Refusal,
    Stream,
    compact,
    event,
    json_response,
    parse_json,
    request_id,
    spaced,
)
from qaip_sandbox.answers import Answer, Generation, generate
from qaip_sandbox.documents import Chunk
from qaip_sandbox.index import Filter
from qaip_sandbox.service import Call, Route, Service, bearer

from ._messages import last_user_text, prompt_tokens

__all__ = ["PERPLEXITY"]

_AGES = {"hour": 3600, "day": 86400, "week": 604800, "month": 2592000, "year": 31536000}
_PERMITTED = ("sonar", "llama-3.1-sonar-")
_NO_COST = {"input_tokens_cost": 0, "output_tokens_cost": 0, "total_cost": 0}
_RETIRED = (
    "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar. Migrate here: "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview"
)
_ALTERNATE = (
    "After the (optional) system message(s), user or tool message(s) should alternate with "
    "assistant message(s)."
)


class _Message(BaseModel):
    role: Literal["system", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None


class _SearchOptions(BaseModel):
    search_context_size: Literal["low", "medium", "high"] = "low"


class _Request(BaseModel):
    model_config = ConfigDict(strict=True)

    model: str
    messages: Annotated[list[_Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=1, le=128000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2048)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: float | None = None
    stream: bool | None = None
    search_domain_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None
    return_images: bool | None = None
    return_related_questions: bool | None = None
    disable_search: bool | None = None
    stop: Any = None
    tools: Any = None
    response_format: Any = None
    web_search_options: _SearchOptions | None = None


def _error(status: int, message: str, kind: str) -> Response:
    return json_response({"error": {"message": message, "type": kind, "code": status}}, status)


def _refuse(message: str, kind: str = "bad_request", status: int = 400) -> Refusal:
    return Refusal(_error(status, message, kind))


def _parse(call: Call) -> _Request:
    try:
        return _Request.model_validate(parse_json(call.raw))
    except ValidationError as error:
        faults = [
            f"At body -> {' -> '.join(map(str, fault['loc']))}: {fault['msg']}"
            for fault in error.errors()
        ]
        raise _refuse(compact(faults).decode()) from None
    except ValueError:
        raise _refuse("The request body is not valid JSON.") from None


def _check(request: _Request) -> None:
    faults = (
        (request.stop, "Custom stop words not supported.", "bad_request"),
        (request.tools, "Tool calling is not supported for this model", "bad_request"),
        (
            request.presence_penalty is not None and request.frequency_penalty is not None,
            "Cannot set both presence_penalty and frequency_penalty.",
            "invalid_parameter",
        ),
        (
            request.frequency_penalty is not None and request.frequency_penalty <= 0,
            "Frequency penalty must satisfy p > 0.",
            "invalid_parameter",
        ),
        (
            not request.model.startswith(_PERMITTED),
            f"Invalid model '{request.model}'. Permitted models can be found in the documentation.",
            "invalid_model",
        ),
        (
            (request.response_format or {"type": "text"}) != {"type": "text"},
            '["At body -> response_format: The sandbox quotes text and offers no other format"]',
            "bad_request",
        ),
    )
    for fault, message, kind in faults:
        if fault:
            raise _refuse(message, kind)
    _check_order([message.role for message in request.messages])


def _check_order(roles: list[str]) -> None:
    first = next((n for n, role in enumerate(roles) if role != "system"), len(roles))
    asking = [role in {"user", "tool"} for role in roles[first:]]
    if "system" in roles[first:] or any(
        asks == (place % 2 == 1) for place, asks in enumerate(asking)
    ):
        raise _refuse(_ALTERNATE, "invalid_message")
    if not asking or not asking[-1]:
        raise _refuse("Last message must have role `user`.", "invalid_message")


def _allowed(request: _Request) -> Filter:
    entries = [entry.strip().casefold() for entry in request.search_domain_filter or []]
    denied = [entry[1:] for entry in entries if entry.startswith("-")]
    wanted = [entry for entry in entries if not entry.startswith("-")]
    recency = request.search_recency_filter
    oldest = time.time() - _AGES[recency] if recency else float("-inf")

    def allowed(chunk: Chunk) -> bool:
        return (
            not request.disable_search
            and chunk.document.modified >= oldest
            and (not wanted or any(_in_domain(chunk.url, entry) for entry in wanted))
            and not any(_in_domain(chunk.url, entry) for entry in denied)
        )

    return allowed


def _in_domain(url: str, entry: str) -> bool:
    address = url.partition("://")[2].casefold()
    host = address.partition("/")[0]
    entry = entry.partition("://")[2] or entry
    if "/" in entry:
        return address.startswith(entry)
    return host == entry or host.endswith(f".{entry}")


def _result(chunk: Chunk) -> Json:
    day = datetime.fromtimestamp(chunk.document.modified, UTC).date().isoformat()
    return {
        "title": chunk.document.title,
        "url": chunk.url,
        "date": day,
        "last_updated": day,
        "snippet": chunk.text,
        "source": "web",
    }


class _Reply:
    """One answer, written as a whole or as chunks in the shape of a profile."""

    def __init__(
        self, request: _Request, answer: Answer, generation: Generation, profile: str
    ) -> None:
        self.generation = generation
        self.encode = spaced if profile == "seed" else compact
        self._seed = profile == "seed"
        self._model = request.model
        self._size = (request.web_search_options or _SearchOptions()).search_context_size
        self._prompt = prompt_tokens([message.model_dump() for message in request.messages])
        self._id, self._created = request_id(), int(time.time())
        chunks = [hit.chunk for hit in answer.hits]
        self._sources: Json = {"citations": [chunk.url for chunk in chunks]}
        if not self._seed:
            self._sources["search_results"] = [_result(chunk) for chunk in chunks]
        if request.return_images:
            self._sources["images"] = []
        if request.return_related_questions:
            headings = dict.fromkeys(chunk.heading or chunk.document.title for chunk in chunks)
            self._sources["related_questions"] = [f"What is {heading}?" for heading in headings]

    def whole(self) -> Json:
        """Return the answer as one object."""
        count = len(self.generation.pieces)
        return self._body("chat.completion", count, self._choice(count, "", final=True))

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream, the last one without new text."""
        kinds = ("chat.completion",) * 2
        if not self._seed:
            kinds = ("chat.completion.chunk", "chat.completion.done")
        for count, piece in enumerate(self.generation.pieces, 1):
            choice = self._choice(count, piece, final=False)
            yield event(self._body(kinds[0], count, choice, final=False), "\r\n", self.encode)
        count = len(self.generation.pieces)
        choice = self._choice(count, "", final=True)
        yield event(self._body(kinds[1], count, choice), "\r\n", self.encode)

    def _choice(self, count: int, delta: str, *, final: bool) -> Json:
        message = {"role": "assistant", "content": "".join(self.generation.pieces[:count])}
        news = {"role": "assistant", "content": delta}
        reason = self.generation.finish_reason if final else None
        if self._seed:
            return {"index": 0, "finish_reason": reason, "message": message, "delta": news}
        choice = {"index": 0, "message": message, "delta": news}
        return {**choice, "finish_reason": reason} if final else choice

    def _body(self, kind: str, count: int, choice: Json, *, final: bool = True) -> Json:
        return {
            "id": self._id,
            "model": self._model,
            "created": self._created,
            "usage": self._usage(count, final=final),
            **self._sources,
            "object": kind,
            "choices": [choice],
        }

    def _usage(self, count: int, *, final: bool) -> Json:
        usage: Json = {
            "prompt_tokens": self._prompt,
            "completion_tokens": count,
            "total_tokens": self._prompt + count,
        }
        if self._seed:
            return usage
        usage["search_context_size"] = self._size
        usage["cost"] = self._cost(count) if final else _NO_COST
        return usage

    def _cost(self, count: int) -> Json:
        cost = {
            "input_tokens_cost": round(self._prompt / 1e6, 5),
            "output_tokens_cost": round(count / 1e6, 5),
            "request_cost": {"low": 0.005, "medium": 0.008, "high": 0.012}[self._size],
        }
        return {**cost, "total_cost": round(sum(cost.values()), 5)}


async def _chat(call: Call) -> Response:
    profile = call.options.perplexity_profile
    if profile == "retired":
        return _error(403, _RETIRED, "chat_completions_not_available")
    request = _parse(call)
    _check(request)
    question = last_user_text([message.model_dump() for message in request.messages])
    answer = call.library.answer(question, _allowed(request))
    reply = _Reply(request, answer, generate(answer.text(), (), request.max_tokens), profile)
    headers = {"x-request-id": request_id()}
    if not request.stream:
        return json_response(reply.whole(), headers=headers, encode=reply.encode)
    ping = f": ping - {datetime.now(UTC)}\r\n\r\n".encode()
    return Stream(call.pace.walk(reply.events(), ping), headers=headers)


def _unauthorized(_: str | None) -> Response:
    message = "Invalid API key provided. Ensure your API key is correct and active."
    return _error(401, message, "invalid_api_key")


def _failed(status: int) -> Response:
    return _error(status, {405: "Method Not Allowed"}.get(status, "Not Found"), "not_found")


PERPLEXITY = Service(
    name="perplexity",
    base_path="/perplexity",
    base_url_name="PERPLEXITY_BASE_URL",
    keys={"PERPLEXITY_API_KEY": "pplx-sandbox-key"},
    routes=tuple(
        Route("POST", path, _chat, "PERPLEXITY_API_KEY")
        for path in ("/chat/completions", "/v1/chat/completions", "/v1/sonar")
    ),
    key_of=bearer,
    unauthorized=_unauthorized,
    failed=_failed,
)
