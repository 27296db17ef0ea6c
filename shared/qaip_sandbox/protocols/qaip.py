"""Qaip: completions over the documents, search, and the tags and chunks behind them."""

import time
import uuid
from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

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
)
from qaip_sandbox.answers import Answer, generate
from qaip_sandbox.documents import NAMESPACE, Chunk
from qaip_sandbox.service import Call, Route, Service
from qaip_sandbox.switches import Switches

from ._answering import noted, sought
from ._tasks import task_of

__all__ = ["QAIP", "QaipSwitches"]


class QaipSwitches(Switches):
    """How Qaip behaves.

    Args:
        profile: The generation of its parameters and citations.
    """

    profile: Literal["later", "seed"] = "later"


_FILE_TYPES = Literal[
    "html", "pdf", "ppt", "pptx", "pptm", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "md", "txt",
    "jsonl", "png", "jpg", "webp", "heic", "heif", "wav", "mp3", "aiff", "m4a", "ogg", "flac",
    "mp4", "mpg", "mov", "avi", "flv", "webm", "wmv", "3gp", "notion_page", "aac", "aif", "oga",
]  # fmt: skip
_Time = Annotated[int, Field(ge=1735639200)]


class _Filters(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    tags: list[str] = []
    tag_ids: list[str] = []
    source_types: list[Literal["crawl", "local_file", "google_drive", "github", "notion"]] = []
    file_types: list[_FILE_TYPES] = []
    date_from: _Time | None = None
    date_to: _Time | None = None
    domains: list[str] = []

    def allow(self, chunk: Chunk) -> bool:
        """Say whether all filters let `chunk` through."""
        document = chunk.document
        return (
            self._tagged(document.tags)
            and (not self.source_types or "local_file" in self.source_types)
            and (not self.file_types or document.file_type in self.file_types)
            and (self.date_from is None or document.modified >= self.date_from)
            and (self.date_to is None or document.modified <= self.date_to)
            and (not self.domains or any(part in chunk.url for part in self.domains))
        )

    def _tagged(self, tags: tuple[str, ...]) -> bool:
        wanted = [tag in tags for tag in self.tags]
        wanted += [tag_id in map(_tag_id, tags) for tag_id in self.tag_ids]
        return not wanted or self._combine(wanted)

    def _combine(self, wanted: list[bool]) -> bool:
        return any(wanted)


class _LaterFilters(_Filters):
    """The filters added after February 2026; where nothing is listed below, they change nothing."""

    tag_filter_logic: Literal["AND", "OR"] = "OR"
    metadata_filter: dict[str, Any] = {}
    use_postfilter: bool = False
    principal_id: str | None = None
    authz_policy: str | None = None

    def _combine(self, wanted: list[bool]) -> bool:
        return all(wanted) if self.tag_filter_logic == "AND" else any(wanted)


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str


class _Completion(_Filters):
    messages: Annotated[list[_Message], Field(min_length=1)]
    stream: bool = False
    citation: bool = True


class _LaterCompletion(_LaterFilters, _Completion):
    limit: Annotated[int, Field(ge=1)] = 5
    include_retrieved: bool = False
    grounding: bool = False
    truncation: Literal["auto", "disabled"] = "auto"
    conversation_id: uuid.UUID | None = Field(None, strict=False)
    redaction_policy_id: str | None = None


class _Search(_LaterFilters):
    query: Annotated[str, Field(min_length=1)]
    limit: Annotated[int, Field(ge=1)] = 10
    offset: Annotated[int, Field(ge=0)] = 0


class _Conversations(set[str]):
    """The ids of the conversations that have begun."""


_Model = TypeVar("_Model", bound=BaseModel)

_STATUS_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    422: "unprocessable_error",
}


def _error(status: int, message: str, code: str | None = None) -> Response:
    error: Json = {"type": _STATUS_TYPES.get(status, "api_error"), "message": message}
    if code:
        error["code"] = code
    return json_response({"error": error}, status, {"X-Request-ID": request_id()})


def _parse(model: type[_Model], raw: bytes) -> _Model:
    try:
        return model.model_validate(parse_json(raw))
    except ValidationError as error:
        fault = error.errors()[0]
        message = f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}"
        raise Refusal(_error(400, message)) from None
    except ValueError:
        raise Refusal(_error(400, "The request body is not valid JSON.")) from None


def _tag_id(name: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f"tag:{name}"))


def _citation(chunk: Chunk) -> Json:
    return {
        "url": chunk.url,
        "text": chunk.text,
        "file_type": chunk.document.file_type,
        "page_number": chunk.page_number,
    }


def _content(chunk: Chunk) -> Json:
    return {
        "id": chunk.id,
        "text": chunk.text,
        "url": chunk.url,
        "title": chunk.document.title,
        "timestamp": chunk.document.modified,
        "file_type": chunk.document.file_type,
        "page_number": chunk.page_number,
        "source_type": "local_file",
        "keywords": [chunk.heading] if chunk.heading else [],
        "source_id": chunk.document.id,
    }


class _Reply:
    """One answer, written as a whole, as lines or as AG-UI events."""

    def __init__(
        self, request: _Completion, text: str, answer: Answer, conversation: str, *, later: bool
    ) -> None:
        self._later = later
        self._conversation = conversation
        self._created = int(time.time())
        self._pieces = generate(text).pieces
        describe = _content if later else _citation
        self._chunks = [describe(hit.chunk) for hit in answer.hits]
        self._cites = request.citation
        self._retrieved = isinstance(request, _LaterCompletion) and request.include_retrieved

    @property
    def length(self) -> int:
        """The tokens of the answer."""
        return len(self._pieces)

    def whole(self) -> Json:
        """Return the answer as one object."""
        body = self._body("".join(self._pieces), final=True)
        return {**body, **self._extras()} if self._later else body

    def lines(self) -> Iterator[bytes]:
        """Yield the answer as lines of JSON, the citations on the last one."""
        for piece in self._pieces[:-1]:
            yield compact(self._body(piece, final=False)) + b"\n"
        yield compact(self._body(self._pieces[-1], final=True)) + b"\n"

    def events(self) -> Iterator[bytes]:
        """Yield the answer as AG-UI events."""
        run = {"threadId": self._conversation, "runId": request_id()}
        yield event({"type": "RUN_STARTED", **run})
        message = {"messageId": request_id()}
        for piece in self._pieces:
            yield event({"type": "TEXT_MESSAGE_CONTENT", **message, "delta": piece})
        lists = {"citations": self._cites, "retrieved": self._retrieved}
        for name in (name for name, wanted in lists.items() if wanted):
            yield event({"type": "CUSTOM", "name": name, "value": self._chunks})
        yield event({"type": "RUN_FINISHED", **run, "result": self.whole()})

    def _body(self, text: str, *, final: bool) -> Json:
        choice: Json = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop" if final else None,
        }
        if final and self._cites:
            choice["citations"] = self._chunks
        return {"created": self._created, "choices": [choice]}

    def _extras(self) -> Json:
        return {
            "conversation_id": self._conversation,
            "user_message_id": request_id(),
            "assistant_message_id": request_id(),
            "retrieved": self._chunks if self._retrieved else None,
            "redacted_input": None,
        }


def _check_later(call: Call, request: _LaterCompletion) -> str:
    if request.redaction_policy_id is not None:
        message = "The sandbox has no redaction policies."
        raise Refusal(_error(422, message, "UNKNOWN_REDACTION_POLICY"))
    if request.metadata_filter:
        raise Refusal(_error(400, "metadata_filter: no metadata columns are declared."))
    if request.conversation_id is None:
        return request_id()
    if str(request.conversation_id) not in call.remembered(_Conversations):
        raise Refusal(_error(404, "Unknown conversation."))
    return str(request.conversation_id)


async def _complete(call: Call) -> Response:
    later = call.switched(QaipSwitches).profile == "later"
    request = _parse(_LaterCompletion if later else _Completion, call.raw)
    conversation, limit = request_id(), 5
    if isinstance(request, _LaterCompletion):
        conversation, limit = _check_later(call, request), request.limit
    call.remembered(_Conversations).add(conversation)
    task = task_of([message.model_dump() for message in request.messages])
    answer = await sought(call, task, request.allow, limit)
    text = noted(call, task, answer, task.spoken(answer))
    reply = _Reply(request, text, answer, conversation, later=later)
    headers = {"X-Request-ID": request_id(), "X-Conversation-Id": conversation}
    if not request.stream:
        await call.pace.wait(reply.length)
        return json_response(reply.whole(), headers=headers)
    if later and "text/event-stream" in call.headers.get("accept", ""):
        return Stream(call.pace.walk(reply.events(), b": keepalive\n\n"), headers=headers)
    return Stream(call.pace.walk(reply.lines(), b""), "text/plain", headers)


async def _search(call: Call) -> Response:
    request = _parse(_Search, call.raw)
    end = request.offset + request.limit
    hits = call.library.index.search(request.query, end, request.allow)[request.offset :]
    results = [_content(hit.chunk) for hit in hits]
    body = {"created": int(time.time()), "results": results}
    return json_response(body, headers={"X-Request-ID": request_id()})


async def _tags(call: Call) -> Response:
    names = sorted({tag for document in call.library.documents for tag in document.tags})
    tags = [{"id": _tag_id(name), "name": name, "description": ""} for name in names]
    return json_response({"tags": tags}, headers={"X-Request-ID": request_id()})


async def _chunk(call: Call) -> Response:
    try:
        chunk_id = str(uuid.UUID(call.parameters["id"]))
    except ValueError:
        return _error(400, "id: not a UUID.")
    chunk = call.library.index.chunk(chunk_id)
    if chunk is None:
        return _error(404, "Unknown content id.")
    return json_response(_content(chunk), headers={"X-Request-ID": request_id()})


_FAILURES = {404: "Not found.", 405: "Method not allowed.", 429: "Too many requests."}


def _authorize(call: Call, key_name: str) -> Response | None:
    key = call.headers.get("x-api-key")
    if key == call.key(key_name):
        return None
    return _error(401, "Invalid API key." if key else "Missing API key: send it as x-api-key.")


def _failed(status: int, _: Switches, message: str | None) -> Response:
    return _error(status, message or _FAILURES.get(status, "Something went wrong."))


def _error_event(_: Switches, message: str | None) -> bytes:
    words = message or "The run has failed."
    return event({"type": "RUN_ERROR", "message": words, "code": "INTERNAL_ERROR"})


QAIP = Service(
    name="qaip",
    base_path="/qaip/api/v1",
    base_url_name="QAIP_BASE_URL",
    keys={"QAIP_API_KEY": "sandbox-qaip-key"},
    routes=(
        Route("POST", "/completions", _complete, "QAIP_API_KEY"),
        Route("POST", "/search", _search, "QAIP_API_KEY"),
        Route("GET", "/contents/{id}", _chunk, "QAIP_API_KEY"),
        Route("GET", "/tags", _tags, "QAIP_API_KEY"),
    ),
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=lambda _: b": keepalive\n\n",
    switches=QaipSwitches,
)
