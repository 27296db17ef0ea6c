"""The statuses of PAIS: what it says of each, and what its engines call them."""

from collections.abc import Mapping
from http.client import responses
from typing import NamedTuple

__all__ = ["Status", "status_of"]


class Status(NamedTuple):
    """One status: its words, the error code of PAIS, and its type in vLLM and in llama.cpp."""

    words: str
    code: str
    vllm: str
    llama_server: str


_BAD = "BadRequestError", "invalid_request_error"
_BROKEN = "InternalServerError", "server_error"

_STATUSES: Mapping[int, Status] = {
    400: Status("Bad Request", "BAD_REQUEST", *_BAD),
    401: Status("Unauthorized", "UNAUTHORIZED", "AuthenticationError", "authentication_error"),
    402: Status("Payment Required", "PAYMENT_REQUIRED", *_BAD),
    403: Status("Forbidden", "FORBIDDEN", "PermissionDeniedError", "permission_error"),
    404: Status("Not Found", "NOT_FOUND", "NotFoundError", "not_found_error"),
    405: Status("Method Not Allowed", "METHOD_NOT_ALLOWED", *_BAD),
    408: Status("Request Timeout", "REQUEST_TIMEOUT", *_BAD),
    409: Status("Conflict", "CONFLICT", "ConflictError", "invalid_request_error"),
    413: Status("Request Entity Too Large", "CONTENT_TOO_LARGE", *_BAD),
    415: Status("Unsupported Media Type", "UNSUPPORTED_MEDIA_TYPE", *_BAD),
    422: Status(
        "Unprocessable Entity",
        "VALIDATION_ERROR",
        "UnprocessableEntityError",
        "invalid_request_error",
    ),
    429: Status(
        "Too Many Requests", "TOO_MANY_REQUESTS", "RateLimitError", "invalid_request_error"
    ),
    500: Status("Internal Server Error", "INTERNAL_ERROR", *_BROKEN),
    502: Status("Bad Gateway", "AGENT_COMPLETION_FAILED", *_BROKEN),
    503: Status(
        "Service Unavailable", "SERVICE_UNAVAILABLE", "InternalServerError", "unavailable_error"
    ),
    504: Status("Gateway Timeout", "GATEWAY_TIMEOUT", *_BROKEN),
    520: Status("The gateway got an answer that it does not know", "INTERNAL_ERROR", *_BROKEN),
    524: Status("The gateway has waited too long", "GATEWAY_TIMEOUT", *_BROKEN),
    529: Status("The site is overloaded", "SERVICE_UNAVAILABLE", *_BROKEN),
}


def status_of(status: int) -> Status:
    """Return what is said of an HTTP status, 400 to 599."""
    known = _STATUSES.get(status)
    if known:
        return known
    return _STATUSES[500 if status >= 500 else 400]._replace(words=responses.get(status, "Error"))
