"""How Dify refuses: its errors, who may call, and what fails outside a handler."""

import time
from collections.abc import Mapping
from difflib import get_close_matches
from http.client import responses
from typing import cast

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, event, request_id, spaced
from qaip_sandbox.service import Call
from qaip_sandbox.switches import Switches

from .profiles import profile_of
from .switches import DifySwitches

__all__ = [
    "BASE_PATH",
    "DATASET_KEY",
    "authorize",
    "crash",
    "error_event",
    "failed",
    "headers",
    "invalid",
    "mark_of_the_edge",
    "not_found",
    "nowhere",
    "refusal",
    "told",
]

BASE_PATH = "/dify/v1"
DATASET_KEY = "DIFY_DATASET_API_KEY"

_CONTACT = "Internal Server Error, please contact support."
_CLOSED: Mapping[str, str] = {
    "disabled": "The app's API service has been disabled.",
    "deleted": "The app no longer exists.",
    "abnormal": "The app's status is abnormal.",
    "archived": "The workspace's status is archived.",
}
_BAD_KEY = "Access token is invalid"
_FAILURES: Mapping[int, tuple[str, str]] = {
    400: ("bad_request", "The request could not be understood."),
    402: ("payment_required", "The quota of the plan is used up."),
    403: ("forbidden", _CLOSED["disabled"]),
    405: ("method_not_allowed", "The method is not allowed for the requested URL."),
    408: ("request_timeout", "The request did not arrive in time."),
    409: ("conflict", "Another request has changed this meanwhile."),
    413: ("request_entity_too_large", "The request is too large."),
    415: ("unsupported_media_type", "The media type of the request is not supported."),
    422: ("unprocessable_entity", "The request is well formed, but cannot be processed."),
    429: ("too_many_requests", "Too many requests. Please try again later."),
    500: ("internal_server_error", _CONTACT),
}
_PAGE = """<!doctype html>
<html lang=en>
<title>{status} {phrase}</title>
<h1>{phrase}</h1>
<p>{words}</p>
"""
# The service is behind a proxy, which answers so in its place.
_BEHIND: Mapping[int, str] = {
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    520: "Web Server Returned an Unknown Error",
    524: "A Timeout Occurred",
    529: "Site Is Overloaded",
}
_AT_THE_EDGE: Mapping[int, str] = {429: "1015"}
_NO_DATASET: Mapping[str, tuple[int, str, str]] = {
    "disabled": (403, "forbidden", "Dataset api access is not enabled."),
    "limited": (
        403,
        "forbidden",
        "Sorry, you have reached the knowledge base request rate limit of your subscription.",
    ),
    "unready": (400, "dataset_not_initialized", "The dataset is still being indexed."),
}
_ROUTES = ("/v1/chat-messages", "/v1/chat-messages/<string:task_id>/stop", "/v1/conversations")


def headers(switches: DifySwitches) -> dict[str, str]:
    """Return the headers of every response of the service itself."""
    return {
        "Access-Control-Allow-Origin": "*",
        "X-Version": profile_of(switches).version,
        "X-Env": "PRODUCTION",
    }


def told(switches: DifySwitches, body: Json, status: int = 200) -> Response:
    """Answer with JSON, as everything but the answer of a run is written."""
    return Response(spaced(body) + b"\n", status, headers(switches), "application/json")


def _error(switches: DifySwitches, status: int, code: str, message: str) -> Response:
    return told(switches, {"code": code, "message": message, "status": status}, status)


def refusal(switches: DifySwitches, status: int, code: str, message: str) -> Refusal:
    """Return an error in the service's envelope."""
    return Refusal(_error(switches, status, code, message))


def invalid(switches: DifySwitches, message: str) -> Refusal:
    """Return the error of a value that the service does not take."""
    return refusal(switches, 400, "invalid_param", message)


def crash(switches: DifySwitches) -> Refusal:
    """Return the error that the service did not foresee."""
    body: Json = {"message": "Internal Server Error", "code": "unknown"}
    status: Json = {} if profile_of(switches).restful else {"status": 500}
    return Refusal(told(switches, body | status, 500))


def not_found(call: Call, switches: DifySwitches, message: str) -> Refusal:
    """Return the error of something unknown, with the routes that look like the one called."""
    path = call.record.path.removeprefix(BASE_PATH.removesuffix("/v1"))
    near = get_close_matches(path, _ROUTES)
    if near:
        tail = f"You have requested this URI [{path}] but did you mean {' or '.join(near)} ?"
        message = f"{message.rstrip('.')}. {tail}"
    return refusal(switches, 404, "not_found", message)


def nowhere(switches: DifySwitches, words: str | None = None) -> Response:
    """Answer that there is no such route."""
    told_by = {k: v for k, v in headers(switches).items() if k.startswith("X-")}
    return _page(404, "Not Found", words or "There is no such page.", told_by)


def authorize(call: Call, key_name: str) -> Response | None:
    """Return the refusal of a call that may not be made: 401 before 403."""
    switches = call.switched(DifySwitches)
    if call.record.path == f"{BASE_PATH}/":
        return None  # the service greets, or does not know, everybody here
    message = _wrong_key(call, key_name)
    if message:
        return _unauthorized(switches, message)
    if key_name == DATASET_KEY:
        closed = _NO_DATASET.get(switches.dataset)
        return _error(switches, *closed) if closed else None
    closed_app = _CLOSED.get(switches.api)
    return _error(switches, 403, "forbidden", closed_app) if closed_app else None


def _unauthorized(switches: DifySwitches, message: str) -> Response:
    response = _error(switches, 401, "unauthorized", message)
    if not profile_of(switches).restful:
        response.headers["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def _wrong_key(call: Call, key_name: str) -> str:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    if not token:
        return "Authorization header must be provided and start with 'Bearer'"
    if scheme.lower() != "bearer":
        return "Authorization scheme must be 'Bearer'"
    return "" if token.strip() == call.key(key_name) else _BAD_KEY


def failed(status: int, switches: Switches, message: str | None) -> Response:
    """Answer for what failed outside a handler."""
    chosen = cast("DifySwitches", switches)
    if status == 404:
        return nowhere(chosen, message)
    if profile_of(chosen).proxied and status in {*_BEHIND, *_AT_THE_EDGE}:
        return mark_of_the_edge(status)
    if status in _BEHIND:
        return _page(status, _BEHIND[status], message or "The gateway got no answer.", {})
    if status == 401:
        return _unauthorized(chosen, message or _BAD_KEY)
    code, words = _FAILURES.get(status, ("unknown", responses.get(status, "Error")))
    return _error(chosen, status, code, message or words)


def mark_of_the_edge(status: int) -> Response:
    """Answer as the proxy in front of Dify Cloud does."""
    text = f"error code: {_AT_THE_EDGE.get(status, status)}"
    return Response(text, status, media_type="text/plain; charset=UTF-8")


def _page(status: int, phrase: str, words: str, told_by: Mapping[str, str]) -> Response:
    text = _PAGE.format(status=status, phrase=phrase, words=words)
    return Response(text, status, told_by, "text/html")


def error_event(switches: Switches, message: str | None) -> bytes:
    """Return the service's own failure in the middle of a stream."""
    chosen = cast("DifySwitches", switches)
    body = {
        "event": "error",
        "message_id": request_id(),
        "created_at": int(time.time()),
        "code": "internal_server_error",
        "status": 500,
        "message": None if chosen.null_error else message or _CONTACT,
    }
    return event(body, "\r\n" if chosen.crlf else "\n", profile_of(chosen).encode)
