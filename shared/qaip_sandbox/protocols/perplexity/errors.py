"""How Perplexity refuses and fails."""

import time
from datetime import UTC, datetime
from typing import cast

from starlette.responses import Response

from qaip_sandbox._wire import Refusal, compact, event, json_response
from qaip_sandbox.service import Call, bearer
from qaip_sandbox.switches import Switches

from .profiles import PROFILES
from .switches import PerplexitySwitches

__all__ = [
    "authorize", "error", "error_event", "failed", "limits", "ping", "refuse", "retired",
]  # fmt: skip

_RETIRED = (
    "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar. Migrate here: "
    "https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview"
)
_PAGE = """<html>
<head><title>401 Authorization Required</title></head>
<body>
<center><h1>401 Authorization Required</h1></center>
</body>
</html>
"""
_FAILURES = {
    400: ("The request can not be served.", "bad_request"),
    401: (
        "Invalid API key provided. Ensure your API key is correct and active.",
        "invalid_api_key",
    ),
    402: ("Your account has no credits left.", "insufficient_credits"),
    403: ("Your API key has no right to do this.", "forbidden"),
    404: ("resource not found", "not_found"),
    405: ("method not allowed", "method_not_allowed"),
    408: ("The request took too long to arrive.", "request_timeout"),
    409: ("The request is in conflict with another one.", "conflict"),
    412: ("A condition of the request does not hold.", "precondition_failed"),
    413: ("The request body is too large.", "request_too_large"),
    415: ("The request body must be application/json.", "unsupported_media_type"),
    422: ("The request body has fields that can not be used.", "unprocessable_entity"),
    429: ("Request rate limit exceeded, please try again later.", "request_rate_limit_exceeded"),
    500: ("An internal error occurred.", "internal_error"),
    502: ("Bad gateway.", "bad_gateway"),
    503: ("The service is temporarily unavailable.", "service_unavailable"),
    504: ("Gateway timeout.", "gateway_timeout"),
    520: ("The gateway got no usable answer.", "bad_gateway"),
    524: ("The gateway waited too long for an answer.", "gateway_timeout"),
    529: ("The service is overloaded.", "service_unavailable"),
}
_PER_MINUTE = 50


def error(status: int, message: str, kind: str, param: str | None = None) -> Response:
    """Return an answer for a fault; `param` names the field that is at fault, if one is named."""
    fault = {"message": message, "type": kind, "code": status}
    # Keys are refused by another server than the rest: it ends its lines.
    ending = b"\n" if status == 401 else b""
    return json_response(
        {"error": fault | ({"param": param} if param else {})},
        status,
        encode=lambda value: compact(value) + ending,
    )


def refuse(message: str, kind: str = "bad_request", status: int = 400) -> Refusal:
    """Refuse a request for what is in it."""
    return Refusal(error(status, message, kind))


async def retired(_: Call) -> Response:
    """Refuse what Perplexity has ended."""
    return error(403, _RETIRED, "chat_completions_not_available")


def authorize(call: Call, key_name: str) -> Response | None:
    """Return the refusal of a call whose key is missing or wrong, or None."""
    if bearer(call.headers) == call.key(key_name):
        return None
    return failed(401, call.switches, None)


def failed(status: int, switches: Switches, message: str | None) -> Response:
    """Return any other failure; one without words of its own has those of its hundred."""
    own = cast("PerplexitySwitches", switches)
    if status == 401 and message is None and _has_page(own):
        return Response(_PAGE, 401, media_type="text/html")
    words, kind = _FAILURES.get(status) or _FAILURES[status // 100 * 100]
    response = error(status, message or words, kind)
    if status == 429 and own.rate_limit_headers:
        response.headers.update(limits(_PER_MINUTE))
    return response


def _has_page(switches: PerplexitySwitches) -> bool:
    chosen = switches.html_401
    return PROFILES[switches.profile].html_401 if chosen is None else chosen


def limits(used: int) -> dict[str, str]:
    """Return the headers that tell how many requests of this minute are `used`."""
    counts = {
        "limit": _PER_MINUTE,
        "remaining": max(_PER_MINUTE - used, 0),
        "used": used,
        "reset": int(time.time()) // 60 * 60 + 60,
    }
    return {f"x-ratelimit-{name}": str(count) for name, count in counts.items()}


def error_event(switches: Switches, message: str | None) -> bytes:
    """Return an error in the middle of a stream."""
    fault = {"message": message or "The answer has failed.", "type": "internal_error", "code": 500}
    return event({"error": fault}, _newline(switches))


def ping(switches: Switches) -> bytes:
    """Return the comment that keeps a chat stream alive."""
    return f": ping - {datetime.now(UTC)}{2 * _newline(switches)}".encode()


def _newline(switches: Switches) -> str:
    return switches.newline if isinstance(switches, PerplexitySwitches) else "\r\n"
