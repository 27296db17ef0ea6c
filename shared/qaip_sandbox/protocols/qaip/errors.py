"""How Qaip refuses: four shapes, of which the vendor documents none."""

from collections.abc import Callable, Mapping
from functools import partial

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, compact, event, json_response, request_id
from qaip_sandbox.service import Call
from qaip_sandbox.switches import Switches

from .switches import QaipSwitches

__all__ = ["authorize", "error_event", "failed", "ping", "refusal", "refused", "words_of_events"]

_FAILURES: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "The request is not valid."),
    401: ("authentication_error", "Invalid API key."),
    402: ("billing_error", "The credits are used up."),
    403: ("permission_error", "The API key lacks the scope of this operation."),
    404: ("not_found_error", "Not found."),
    405: ("invalid_request_error", "Method not allowed."),
    408: ("timeout_error", "The request took too long to arrive."),
    409: ("conflict_error", "The conversation has gone on in the meantime."),
    413: ("invalid_request_error", "The request is too large."),
    415: ("invalid_request_error", "The content type is not application/json."),
    422: ("unprocessable_error", "The request cannot be processed."),
    429: ("rate_limit_error", "Too many requests."),
    500: ("api_error", "Something went wrong."),
    502: ("api_error", "Bad gateway."),
    503: ("api_error", "The service is overloaded."),
    504: ("api_error", "The gateway has timed out."),
    520: ("api_error", "The gateway got an answer that it does not know."),
    524: ("api_error", "The gateway has waited too long."),
    529: ("api_error", "The site is overloaded."),
}

_SHAPES: Mapping[str, Callable[[Json], Json]] = {
    "typed": lambda error: {"error": error},
    "plain": lambda error: {"error": {k: v for k, v in error.items() if k != "type"}},
    "message": lambda error: {k: v for k, v in error.items() if k != "type"},
    "text": lambda error: {"error": error["message"]},
}


def _error(switches: QaipSwitches, status: int, message: str | None, code: str | None) -> Json:
    kind, words = _FAILURES.get(status) or _FAILURES[500 if status >= 500 else 400]
    fault = {"type": kind, "message": message or words, **({"code": code} if code else {})}
    return _SHAPES[switches.errors](fault)


def refusal(
    switches: QaipSwitches, status: int, message: str | None = None, code: str | None = None
) -> Response:
    """Return the refusal with `status`, in the words given or in the service's own."""
    body = _error(switches, status, message, code)
    return json_response(body, status, {"X-Request-ID": request_id()})


def refused(
    call: Call, status: int, message: str | None = None, code: str | None = None
) -> Refusal:
    """Return what a handler raises to refuse."""
    return Refusal(refusal(call.switched(QaipSwitches), status, message, code))


def authorize(call: Call, key_name: str) -> Response | None:
    """Return the refusal of a call without the key, or where else to go, or None."""
    switches = call.switched(QaipSwitches)
    if switches.redirect:
        return Response(status_code=307, headers={"Location": switches.redirect})
    key = call.headers.get("x-api-key")
    if key == call.key(key_name):
        return None
    missing = None if key else "Missing API key: send it as x-api-key."
    return refusal(switches, 401, missing)


def failed(status: int, switches: Switches, message: str | None) -> Response:
    """Return any other failure."""
    return refusal(QaipSwitches.chosen(switches), status, message)


def words_of_events(switches: QaipSwitches) -> tuple[Callable[[str | None], bytes], bytes]:
    """Return how AG-UI events tell a failure, and what keeps them alive."""
    shown = switches.model_copy(update={"stream": "events"})
    return partial(error_event, shown), ping(shown)


def error_event(switches: Switches, message: str | None, *, code: str = "INTERNAL_ERROR") -> bytes:
    """Return the failure of a stream: an AG-UI event, or a line of a plain one."""
    chosen = QaipSwitches.chosen(switches)
    if chosen.stream == "events":
        words = message or "The run has failed."
        return event({"type": "RUN_ERROR", "message": words, "code": code}, chosen.newline)
    return compact(_error(chosen, 500, message, code)) + chosen.newline.encode()


def ping(switches: Switches) -> bytes:
    """Return a keep-alive: a comment between events, a blank line between lines."""
    chosen = QaipSwitches.chosen(switches)
    newline = chosen.newline.encode()
    return b": keepalive" + 2 * newline if chosen.stream == "events" else newline
