"""How Fireworks refuses: what is wrong, in one of the envelopes that it has used."""

from collections.abc import Callable
from dataclasses import dataclass
from http.client import responses

from starlette.responses import Response

from qaip_sandbox._wire import Json, Refusal, json_response, request_id
from qaip_sandbox.service import Call, Handler

from .switches import Envelope, FireworksSwitches

__all__ = ["FAILURES", "Flaw", "envelope", "invalid", "refusal", "telling"]

_INVALID = "invalid_request_error"

FAILURES: dict[int, tuple[str, str | None]] = {
    400: ("The request can not be served", None),
    401: ("The API key you provided is invalid.", "UNAUTHORIZED"),
    402: ("Your account has reached its spending limit", "PAYMENT_REQUIRED"),
    403: ("Your API key has no right to do this", "PERMISSION_DENIED"),
    404: ("Path not found", "NOT_FOUND"),
    405: ("Method not allowed", "METHOD_NOT_ALLOWED"),
    408: ("Request timed out", "REQUEST_TIMEOUT"),
    409: ("The request is in conflict with another one", "CONFLICT"),
    412: ("Your account is suspended", "PRECONDITION_FAILED"),
    413: ("Request body too large", "PAYLOAD_TOO_LARGE"),
    415: ("The request body must be application/json", "UNSUPPORTED_MEDIA_TYPE"),
    422: ("The request body has fields that can not be used", "UNPROCESSABLE_ENTITY"),
    429: ("rate limit exceeded, please try again later", "too_many_requests"),
    500: ("Internal server error", "INTERNAL"),
    502: ("Bad gateway", "BAD_GATEWAY"),
    503: ("The service is overloaded, please try again later", "SERVICE_UNAVAILABLE"),
    504: ("The engine did not answer in time", "DEADLINE_EXCEEDED"),
    520: ("The gateway got no usable answer", "UNKNOWN"),
    524: ("The gateway waited too long for an answer", "GATEWAY_TIMEOUT"),
    529: ("The service is overloaded, please try again later", "OVERLOADED"),
}
"""The service's own words for a status, and its code."""

_ERRORCODES = {401: "oauth.v2.InvalidApiKey", 429: "policies.ratelimit.QuotaViolation"}
_PAGE = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


@dataclass
class Flaw(Exception):  # noqa: N818 - it becomes an answer
    """What is wrong with a request, before it is told in an envelope."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None


def invalid(message: str, code: str | None = None) -> Flaw:
    """Return the flaw of a request for what is in it."""
    return Flaw(400, message, code)


def telling(handler: Handler) -> Handler:
    """Return `handler` with its flaws told as the switches have it."""

    async def answer(call: Call) -> Response:
        try:
            return await handler(call)
        except Flaw as flaw:
            raise Refusal(refusal(flaw, call.switched(FireworksSwitches))) from None

    return answer


def refusal(flaw: Flaw, switches: FireworksSwitches) -> Response:
    """Return the answer that tells a flaw."""
    own: dict[int, Envelope] = {401: switches.facts.unauthorised, 422: "detail"}
    form = switches.envelope or own.get(flaw.status, "error")
    headers = {"x-request-id": request_id()} if switches.facts.details else {}
    if form == "html":
        phrase = f"{flaw.status} {responses.get(flaw.status, 'Error')}"
        return Response(_PAGE.format(phrase), flaw.status, headers, "text/html")
    return json_response(envelope(flaw, form), flaw.status, headers)


def envelope(flaw: Flaw, form: str) -> Json:
    """Return a flaw as JSON."""
    return _ENVELOPES[form](flaw)


def _object(flaw: Flaw) -> Json:
    if flaw.status in (400, 429):  # refused by the engine, whose errors have another shape
        kind = _INVALID if flaw.status == 400 else flaw.code
        told = {"object": "error", "type": kind, "code": flaw.code, "message": flaw.message}
    else:
        told = {
            "message": flaw.message,
            "param": flaw.param,
            "code": flaw.code,
            "type": "error",
        }
    return {"error": {key: value for key, value in told.items() if value is not None}}


def _fault(flaw: Flaw) -> Json:
    message = "Invalid ApiKey" if flaw.status == 401 else flaw.message
    code = _ERRORCODES.get(flaw.status, "steps.raisefault.RaiseFault")
    return {"fault": {"faultstring": message, "detail": {"errorcode": code}}}


def _detail(flaw: Flaw) -> Json:
    if flaw.status in (400, 422):
        return {"detail": [{"loc": ["body"], "msg": flaw.message, "type": "value_error"}]}
    return {"detail": flaw.message}


_ENVELOPES: dict[str, Callable[[Flaw], Json]] = {
    "error": _object,
    "fault": _fault,
    "string": lambda flaw: {"error": flaw.message},
    "detail": _detail,
}
