"""Dify 1.9: one completion app over the documents, and one knowledge base that holds them."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import cast

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, Stream, event, parse_json, request_id, spaced
from qaip_sandbox.answers import Answer, generate
from qaip_sandbox.documents import NAMESPACE
from qaip_sandbox.index import Hit
from qaip_sandbox.service import Call, Route, Service, bearer
from qaip_sandbox.switches import Switches
from qaip_sandbox.text import pieces, words

from ._answering import noted, sought
from ._tasks import task_of_text

__all__ = ["DIFY", "DifySwitches"]


class DifySwitches(Switches):
    """How Dify behaves."""


@dataclass(slots=True)
class _Run:
    """A streamed answer that is still running, and whose user may stop it."""

    user: str
    stopped: bool = False


class _Runs(dict[str, _Run]):
    """The runs by their task ids."""


_HEADERS = {"X-Version": "1.9.0", "X-Env": "PRODUCTION", "Access-Control-Allow-Origin": "*"}
_DATASET = str(uuid.uuid5(NAMESPACE, "dataset"))
_DATASET_NAME = "Sandbox documents"
_VARIABLE = "query"
_PING = b"event: ping\n\n"
_OFF: Json = {"enabled": False}
_PARAMETERS: Json = {
    "opening_statement": "",
    "suggested_questions": [],
    "suggested_questions_after_answer": _OFF,
    "speech_to_text": _OFF,
    "text_to_speech": {"enabled": False, "voice": "", "language": ""},
    "retriever_resource": {"enabled": True},
    "annotation_reply": _OFF,
    "more_like_this": _OFF,
    "user_input_form": [
        {
            "paragraph": {
                "label": "Query",
                "variable": _VARIABLE,
                "required": True,
                "default": "",
            }
        }
    ],
    "sensitive_word_avoidance": {"enabled": False, "type": "", "configs": []},
    "file_upload": {
        "image": {
            "enabled": False,
            "number_limits": 3,
            "detail": "high",
            "transfer_methods": ["remote_url", "local_file"],
        }
    },
    "system_parameters": {
        "image_file_size_limit": 10,
        "video_file_size_limit": 100,
        "audio_file_size_limit": 50,
        "file_size_limit": 15,
        "workflow_file_upload_limit": 10,
    },
}
_NOT_FOUND = """<!doctype html>
<html lang=en>
<title>404 Not Found</title>
<h1>Not Found</h1>
<p>No such page.</p>
"""


def _json(body: Json, status: int = 200) -> Response:
    return Response(spaced(body) + b"\n", status, _HEADERS, "application/json")


def _error(status: int, code: str, message: str) -> Response:
    return _json({"code": code, "message": message, "status": status}, status)


def _invalid(message: str) -> Refusal:
    return Refusal(_error(400, "invalid_param", message))


def _malformed(field: str, message: str) -> Refusal:
    body = {"errors": {field: message}, "message": "Input payload validation failed"}
    return Refusal(_json(body, 400))


def _crash() -> Refusal:
    return Refusal(
        _json({"message": "Internal Server Error", "code": "unknown", "status": 500}, 500)
    )


def _body(call: Call) -> dict[str, Json]:
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = (
            "Did not attempt to load JSON data because the request Content-Type was not "
            "'application/json'."
        )
        raise Refusal(_error(415, "unsupported_media_type", message))
    try:
        body = parse_json(call.raw)
    except ValueError:
        message = "The browser (or proxy) sent a request that this server could not understand."
        raise Refusal(_error(400, "bad_request", message)) from None
    if not isinstance(body, dict):
        raise _crash()
    return body


def _user(body: dict[str, Json]) -> str:
    user = body.get("user")
    if not user:
        raise _invalid("Arg user must be provided.")
    if len(str(user)) > 255:
        raise _crash()
    return str(user)


def _shape(body: dict[str, Json]) -> dict[str, Json]:
    """Check the types of the body's fields and return the inputs."""
    if "inputs" not in body:
        message = "Input parameters for completion Missing required parameter in the JSON body"
        raise _malformed("inputs", message)
    if not isinstance(body["inputs"] or {}, dict):
        raise _malformed("inputs", "Input parameters for completion must be an object")
    if not isinstance(body.get("query", ""), str):
        raise _malformed("query", "query must be a string")
    if not isinstance(body.get("files") or [], list):
        raise _malformed("files", "files must be a list")
    mode = body.get("response_mode", "blocking")
    if mode not in ("blocking", "streaming"):
        message = f"Response mode The value '{mode}' is not a valid choice for 'response_mode'."
        raise _malformed("response_mode", message)
    return body["inputs"] or {}


def _question(body: dict[str, Json], inputs: dict[str, Json]) -> str:
    value = inputs.get(_VARIABLE)
    if value is None:
        raise _invalid(f"{_VARIABLE} is required in input form")
    if not isinstance(value, str):
        raise _invalid(f"(type 'paragraph') {_VARIABLE} in input form must be a string")
    return " ".join(part for part in (value, body.get("query", "")) if part).replace("\0", "")


class _Reply:
    """One answer, blocking or streamed."""

    def __init__(self, call: Call, question: str, user: str, text: str, answer: Answer) -> None:
        self._pieces = generate(text).pieces
        self._prompt = len(pieces(question))
        self._resources = [_resource(place, hit) for place, hit in enumerate(answer.hits, 1)]
        self._task, self._message = request_id(), request_id()
        self._created, self._started = int(time.time()), time.monotonic()
        self._runs = call.remembered(_Runs)
        self._user = user

    @property
    def length(self) -> int:
        """The tokens of the answer."""
        return len(self._pieces)

    def whole(self) -> Json:
        """Return the answer as one object."""
        return {
            "event": "message",
            "task_id": self._task,
            "id": self._message,
            "message_id": self._message,
            "mode": "completion",
            "answer": "".join(self._pieces),
            "metadata": self._metadata(self._prompt, len(self._pieces)),
            "created_at": self._created,
        }

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream, until the run's user stops it."""
        run = self._runs[self._task] = _Run(self._user)
        try:
            for piece in (*self._pieces, ""):
                if run.stopped:
                    break
                text: Json = {"answer": piece, "from_variable_selector": None}
                yield event({**self._head("message"), **text})
            # The real server reports no tokens at all for a run that was stopped.
            counts = (0, 0) if run.stopped else (self._prompt, len(self._pieces))
            end: Json = {"metadata": self._metadata(*counts), "files": None}
            yield event({**self._head("message_end"), **end})
        finally:
            del self._runs[self._task]

    def _head(self, name: str) -> Json:
        return {
            "event": name,
            "message_id": self._message,
            "created_at": self._created,
            "task_id": self._task,
            "id": self._message,
        }

    def _metadata(self, prompt: int, completion: int) -> Json:
        prompt_price = prompt * Decimal("0.0000005")
        completion_price = completion * Decimal("0.0000015")
        return {
            "annotation_reply": None,
            "retriever_resources": self._resources,
            "usage": {
                "prompt_tokens": prompt,
                "prompt_unit_price": "0.0005",
                "prompt_price_unit": "0.001",
                "prompt_price": str(prompt_price),
                "completion_tokens": completion,
                "completion_unit_price": "0.0015",
                "completion_price_unit": "0.001",
                "completion_price": str(completion_price),
                "total_tokens": prompt + completion,
                "total_price": str(prompt_price + completion_price),
                "currency": "USD",
                "latency": time.monotonic() - self._started,
            },
        }


def _resource(place: int, hit: Hit) -> Json:
    chunk = hit.chunk
    return {
        "position": place,
        "dataset_id": _DATASET,
        "dataset_name": _DATASET_NAME,
        "document_id": chunk.document.id,
        "document_name": chunk.document.path.rpartition("/")[2],
        "data_source_type": "upload_file",
        "segment_id": chunk.id,
        "retriever_from": "api",
        "score": hit.score,
        "hit_count": None,
        "word_count": None,
        "segment_position": None,
        "index_node_hash": None,
        "content": chunk.text,
        "page": None,
        "doc_metadata": {"source_url": chunk.url},
        "title": None,
    }


async def _complete(call: Call) -> Response:
    body = _body(call)
    user = _user(body)
    question = _question(body, _shape(body))
    task = task_of_text(question)
    answer = await sought(call, task)
    text = noted(call, task, answer, task.spoken(answer))
    reply = _Reply(call, question, user, text, answer)
    if body.get("response_mode") == "streaming":
        return Stream(call.pace.walk(reply.events(), _PING), headers=_HEADERS)
    await call.pace.wait(reply.length)
    return Response(spaced(reply.whole()), 200, _HEADERS, "application/json")


async def _stop(call: Call) -> Response:
    user = _user(_body(call))
    run = call.remembered(_Runs).get(call.parameters["task_id"])
    if run and run.user == user:
        run.stopped = True
    return _json({"result": "success"})


async def _info(call: Call) -> Response:
    count = len(call.library.documents)
    return _json(
        {
            "name": "Sandbox",
            "description": f"Quotes from {count} documents.",
            "tags": [],
            "mode": "completion",
            "author_name": "Sandbox",
        }
    )


async def _parameters(_: Call) -> Response:
    return _json(_PARAMETERS)


async def _retrieve(call: Call) -> Response:
    if call.parameters["dataset_id"] != _DATASET:
        return _error(404, "not_found", "Dataset not found.")
    body = _body(call)
    query = str(body.get("query") or "")
    if not 0 < len(query) <= 250:
        raise _invalid("Query is required and cannot exceed 250 characters")
    limit, floor = _settings(body.get("retrieval_model") or {})
    hits = call.library.index.search(query, limit)
    records = [_segment(hit) for hit in hits if hit.score >= floor]
    return _json({"query": {"content": query}, "records": records})


def _settings(model: Json) -> tuple[int, float]:
    """Return how many records a retrieval model asks for, and their lowest score."""
    if not isinstance(model, dict):
        raise _crash()
    settings = cast("dict[str, Json]", model)
    if settings and not {"reranking_enable", "score_threshold_enabled"} <= settings.keys():
        raise _crash()
    limit = settings.get("top_k", 4)
    if not isinstance(limit, int):
        raise _invalid("slice indices must be integers or None or have an __index__ method")
    floor = settings.get("score_threshold") if settings.get("score_threshold_enabled") else 0
    if not isinstance(floor, int | float | None):
        raise _crash()
    return max(limit, 0), floor or 0


def _segment(hit: Hit) -> Json:
    chunk, document = hit.chunk, hit.chunk.document
    segment = {
        "id": chunk.id,
        "position": chunk.position,
        "document_id": document.id,
        "content": chunk.text,
        "sign_content": chunk.text,
        "answer": None,
        "word_count": len(chunk.text),
        "tokens": len(pieces(chunk.text)),
        "keywords": sorted(set(words(chunk.heading))),
        "index_node_id": chunk.id,
        "index_node_hash": chunk.id.replace("-", ""),
        "hit_count": 0,
        "enabled": True,
        "disabled_at": None,
        "disabled_by": None,
        "status": "completed",
        "created_by": _DATASET,
        "created_at": document.modified,
        "indexing_at": None,
        "completed_at": document.modified,
        "error": None,
        "stopped_at": None,
        "document": {
            "id": document.id,
            "data_source_type": "upload_file",
            "name": document.path.rpartition("/")[2],
            "doc_type": None,
            "doc_metadata": {"source_url": chunk.url},
        },
    }
    return {"segment": segment, "child_chunks": None, "score": hit.score, "tsne_position": None}


def _authorize(call: Call, key_name: str) -> Response | None:
    key = bearer(call.headers)
    if key == call.key(key_name):
        return None
    message = "Access token is invalid"
    if key is None:
        message = "Authorization header must be provided and start with 'Bearer'"
    response = _error(401, "unauthorized", message)
    response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def _failed(status: int, _: Switches, message: str | None) -> Response:
    if status == 405:
        words = "The method is not allowed for the requested URL."
        return _error(405, "method_not_allowed", message or words)
    if status != 404:
        words = "Internal Server Error, please contact support."
        code = {429: "too_many_requests"}.get(status, "internal_server_error")
        return _error(status, code, message or words)
    return Response(_NOT_FOUND, status, _HEADERS, "text/html")


def _error_event(_: Switches, message: str | None) -> bytes:
    fault: Json = {"code": "internal_server_error", "status": 500}
    words = message or "Internal Server Error, please contact support."
    return event({"event": "error", "message_id": request_id(), **fault, "message": words})


DIFY = Service(
    name="dify",
    base_path="/dify/v1",
    base_url_name="DIFY_BASE_URL",
    keys={"DIFY_API_KEY": "app-sandbox-key", "DIFY_DATASET_API_KEY": "dataset-sandbox-key"},
    routes=(
        Route("POST", "/completion-messages", _complete, "DIFY_API_KEY"),
        Route("POST", "/completion-messages/{task_id}/stop", _stop, "DIFY_API_KEY"),
        Route("GET", "/info", _info, "DIFY_API_KEY"),
        Route("GET", "/parameters", _parameters, "DIFY_API_KEY"),
        Route("POST", "/datasets/{dataset_id}/retrieve", _retrieve, "DIFY_DATASET_API_KEY"),
        Route("POST", "/datasets/{dataset_id}/hit-testing", _retrieve, "DIFY_DATASET_API_KEY"),
    ),
    authorize=_authorize,
    failed=_failed,
    error_event=_error_event,
    ping=lambda _: _PING,
    switches=DifySwitches,
)
