"""Qaip: completions over the documents, search, extraction, and stored conversations."""

import time

from starlette.responses import Response

from qaip_sandbox._wire import Json, Stream, json_response, request_id
from qaip_sandbox.answers import generate
from qaip_sandbox.protocols._answering import noted, sought
from qaip_sandbox.protocols._tasks import task_of
from qaip_sandbox.service import Call, Route, Service

from .answered import Answered, content
from .errors import authorize, error_event, failed, ping, refused, words_of_events
from .extract import extract
from .filters import tag_id
from .history import change, forget, listed, read
from .request import Completion, LaterCompletion, LaterSearch, Search, id_of, parse
from .streams import events, lines
from .switches import QaipSwitches
from .turns import begin

__all__ = ["QAIP", "QaipSwitches"]

_REDACTION = {
    "unknown": (422, "UNKNOWN_REDACTION_POLICY", "The sandbox has no redaction policies."),
    "unavailable": (503, "REDACTION_UNAVAILABLE", "The redactor is not available."),
    "failed": (503, "REDACTION_FAILED", "The redaction has failed."),
}


async def _complete(call: Call) -> Response:
    switches = call.switched(QaipSwitches)
    later = switches.profile == "later"
    request = parse(LaterCompletion if later else Completion, call)
    as_events = _as_events(call, request, switches)
    if isinstance(request, LaterCompletion) and request.redaction_policy_id is not None:
        return _unredacted(call, switches, as_events=as_events)
    turn = begin(call, request)
    task = task_of(turn.messages)
    limit = request.limit if isinstance(request, LaterCompletion) else 5
    answer = await sought(call, task, request.allow, limit)
    texts = [
        generate(noted(call, task, answer, task.spoken(answer, variant=variant))).pieces
        for variant in range(switches.choices)
    ]
    answered = Answered(request, switches, turn, texts, answer)
    turn.store(call, "".join(texts[0]) if texts else "", answered.citations, _extras(answered))
    return await _sent(call, answered, as_events=as_events)


def _as_events(call: Call, request: Completion, switches: QaipSwitches) -> bool:
    accepted = "text/event-stream" in call.headers.get("accept", "")
    wanted = switches.stream == "events" or (accepted and switches.profile == "later")
    return request.stream and wanted and switches.stream != "ignored"


def _extras(answered: Answered) -> Json:
    retrieved = {} if answered.retrieved is None else {"retrieved": answered.retrieved}
    return {"finish_reason": "stop", **answered.grounding, **retrieved}


def _unredacted(call: Call, switches: QaipSwitches, *, as_events: bool) -> Response:
    status, code, words = _REDACTION[switches.redaction]
    if not (as_events and switches.redaction == "failed"):
        raise refused(call, status, words, code)
    shown = switches.model_copy(update={"stream": "events"})
    frames = [error_event(shown, words, code=code)]
    return Stream(call.pace.walk(frames, b""))


async def _sent(call: Call, answered: Answered, *, as_events: bool) -> Response:
    switches = answered.switches
    conversation = {"X-Conversation-Id": answered.turn.conversation.id} if answered.later else {}
    headers = {"X-Request-ID": request_id(), **conversation}
    if as_events:
        fails, alive = words_of_events(switches)
        frames = call.pace.walk(events(answered), alive)
        return Stream(frames, headers=headers, error_event=fails, ping=alive)
    if answered.request.stream and switches.stream != "ignored":
        kind = f"text/plain; charset={switches.charset}"
        return Stream(call.pace.walk(lines(answered), b""), kind, headers)
    await call.pace.wait(sum(map(len, answered.texts)))
    return json_response(answered.whole(), headers=headers)


async def _search(call: Call) -> Response:
    switches = call.switched(QaipSwitches)
    request = parse(LaterSearch if switches.profile == "later" else Search, call)
    end = request.offset + request.limit
    hits = call.library.index.search(request.query, end, request.allow)[request.offset :]
    results = [content(hit.chunk, switches) for hit in hits]
    body = {"created": int(time.time()), "results": results}
    return json_response(body, headers={"X-Request-ID": request_id()})


async def _tags(call: Call) -> Response:
    names = sorted({tag for document in call.library.documents for tag in document.tags})
    tags = [{"id": tag_id(name), "name": name, "description": ""} for name in names]
    return json_response({"tags": tags}, headers={"X-Request-ID": request_id()})


async def _chunk(call: Call) -> Response:
    chunk = call.library.index.chunk(id_of(call))
    if chunk is None:
        raise refused(call, 404, "Unknown content id.")
    found = content(chunk, call.switched(QaipSwitches))
    return json_response(found, headers={"X-Request-ID": request_id()})


_KEY = "QAIP_API_KEY"

QAIP = Service(
    name="qaip",
    base_path="/qaip/api/v1",
    base_url_name="QAIP_BASE_URL",
    keys={_KEY: "sandbox-qaip-key"},
    routes=(
        Route("POST", "/completions", _complete, _KEY),
        Route("POST", "/search", _search, _KEY),
        Route("GET", "/contents/{id}", _chunk, _KEY),
        Route("GET", "/tags", _tags, _KEY),
        Route("POST", "/extract", extract, _KEY),
        Route("GET", "/conversations", listed, _KEY),
        Route("GET", "/conversations/{id}", read, _KEY),
        Route("PATCH", "/conversations/{id}", change, _KEY),
        Route("DELETE", "/conversations/{id}", forget, _KEY),
    ),
    authorize=authorize,
    failed=failed,
    error_event=error_event,
    ping=ping,
    switches=QaipSwitches,
    key_header="x-api-key",
)
