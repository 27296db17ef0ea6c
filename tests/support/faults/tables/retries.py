"""What is sent again after a failure, and what is not.

Two retries are allowed, where a row does not say otherwise. The services of most rows ask to wait
for a millisecond, so that the tables take no time; how long is waited has a table of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from qaip_core import errors as e
from support.backends import KEY
from support.fault_server import Reply, html_reply, json_reply
from support.faults.matrix import Row, incomplete, malformed, raised, reported, whole
from support.faults.speech import (
    FIREWORKS_CHAT,
    FIREWORKS_TEXT,
    PAIS_CHAT,
    PAIS_TEXT,
    QAIP_RUN,
    Speech,
)
from support.faults.tables.statuses import MEANINGS, named

__all__ = [
    "BUDGET",
    "EARLY",
    "EARLY_WHOLE",
    "LASTING",
    "LATE",
    "OWN_RULES",
    "REPEATED",
    "REPEATED_WHOLE",
    "STATUSES",
    "STREAMED",
    "WHOLE",
    "applies",
    "refusal",
]

_SOON = {"retry-after-ms": "1"}
_TWO: Mapping[str, Any] = {"max_retries": 2}


def refusal(speech: Speech, status: int, **more: str) -> Reply:
    """A refusal in the service's own words; ``more`` are fields of `Speech.failure`."""
    body = speech.failure(more.pop("message", "no"), **more)
    bare = status == HTTPStatus.NOT_MODIFIED  # HTTP allows it no body
    return replace(json_reply({} if bare else body, status), headers=_SOON, **_NO_BODY[bare])


_NO_BODY: Mapping[bool, dict[str, Any]] = {False: {}, True: {"body": b""}}


def _refused(status: int) -> Callable[[Speech], Reply]:
    return lambda speech: refusal(speech, status)


STATUSES: Sequence[Row] = [
    Row(named(status), _refused(status), raised(error), requests, fields=_TWO)
    for status, error, requests in MEANINGS
]


# Rows of single services, which come before the statuses.


def _own(
    service: str,
    name: str,
    expected: Any,
    requests: int,
    reply: Reply | Callable[[Speech], Reply],
) -> Row:
    """A row for one service; for the others there is no such fault."""

    def replies(speech: Speech) -> Reply | None:
        if speech.service != service:
            return None
        return reply if isinstance(reply, Reply) else reply(speech)

    return Row(f"{speech_title(service)}: {name}", replies, expected, requests, fields=_TWO)


def speech_title(service: str) -> str:
    """The name of a service for people."""
    return {"pais": "PAIS"}.get(service, service.capitalize())


def _said(status: int, body: Any) -> Reply:
    return replace(json_reply(body, status), headers=_SOON)


_TOO_MANY = "Too many requests. Please try again later."
_OVERLONG = "The prompt is too long: 500208, model maximum context length: 262143"
_RETIRED = "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar."

OWN_RULES: Sequence[Row] = [
    _own("fireworks", "a status 520", raised(e.ServerError), 3, _refused(520)),
    _own("fireworks", "a status 400, the prompt is too long", raised(e.ContextOverflowError), 1,
         _said(400, {"error": {"message": _OVERLONG, "code": "invalid_request_error"}})),
    _own("fireworks", "a status 429, overloaded", raised(e.RateLimitError), 3,
         _said(429, {"error": {"message": "overloaded", "code": "too_many_requests"}})),
    _own("dify", "a status 504 (the run goes on)", raised(e.RequestTimeoutError, "billed"), 1,
         _refused(504)),
    _own("dify", "a status 524 (the run goes on)", raised(e.RequestTimeoutError, "billed"), 1,
         _refused(524)),
    _own("dify", "a status 400, too many requests", raised(e.RateLimitError), 3,
         lambda s: refusal(s, 400, message=_TOO_MANY, code="invalid_param")),
    _own("dify", "a status 400, rate_limit_error", raised(e.RateLimitError), 3,
         lambda s: refusal(s, 400, code="rate_limit_error")),
    _own("dify", "a status 500 that is the model provider's", raised(e.ServerError), 1,
         lambda s: refusal(s, 500, code="completion_request_error")),
    _own("dify", "a status 400, app_unavailable", raised(e.BadRequestError, "published"), 1,
         lambda s: refusal(s, 400, code="app_unavailable")),
    _own("dify", "a status 429 in plain text", raised(e.RateLimitError, "error code: 1015"), 3,
         Reply(429, headers=_SOON, content_type="text/plain", body=b"error code: 1015")),
    _own("pais", "a model endpoint that is not ready", raised(e.ModelNotReadyError), 1,
         lambda s: refusal(s, 400, message="model endpoint not ready.")),
    _own("pais", "a status 400, too many input tokens", raised(e.ContextOverflowError), 1,
         lambda s: refusal(
             s, 400, message="You passed 1015 input tokens, the model's context length is only 9"
         )),
    _own("pais", "a status 502 at a cold start", raised(e.ServerError, "GenAI"), 3,
         _said(502, {"detail": [{"error_code": "FAILED", "msg": "Error with GenAI services"}]})),
    _own("pais", "a status 503, the model is loading", raised(e.ServerError), 3,
         _said(503, {"error": {"message": "Loading model", "type": "unavailable_error"}})),
    _own("perplexity", "a status 403, the API was retired", raised(e.EndpointRetiredError), 1,
         _said(403, {"error": {"message": _RETIRED, "code": 403}})),
    _own("perplexity", "a status 400, the prompt is too long", raised(e.ContextOverflowError), 1,
         _said(400, {"error": {"message": "The total length of all messages is too long."}})),
    _own("qaip", "a status 409", raised(e.ConflictError), 1, _refused(409)),
    _own("qaip", "a status 409, the conversation has gone on", raised(e.ConflictError), 1,
         _said(409, {"error": {"message": "no", "code": "THREAD_ADVANCED"}})),
    _own("qaip", "a status 503, REDACTION_FAILED", raised(e.ServerError), 1,
         _said(503, {"error": {"message": "no", "code": "REDACTION_FAILED"}})),
    _own("qaip", "a status 503, REDACTION_UNAVAILABLE", raised(e.ServerError), 3,
         _said(503, {"error": {"message": "no", "code": "REDACTION_UNAVAILABLE"}})),
]  # fmt: skip

_EXCEPTED: Mapping[str, str] = {
    named(504): "dify",
    named(524): "dify",
    named(520): "fireworks",
    named(409): "qaip",
}


def applies(row: Row, speech: Speech) -> bool:
    """Whether a status means the same at a service as elsewhere; and once for each service."""
    return _EXCEPTED.get(row.name) != speech.service and speech.name != "qaip run"


# One budget for a whole call, whatever fails.


def _retries(count: int) -> dict[str, Any]:
    return {"max_retries": count}


LASTING: Sequence[Row] = [
    Row("an overload that lasts, without retries", _refused(503), raised(e.ServerError), 1),
    Row("an overload that lasts, one retry", _refused(503), raised(e.ServerError), 2,
        fields=_retries(1)),
    Row("an overload that lasts, five retries", _refused(503), raised(e.ServerError), 6,
        fields=_retries(5)),
    Row("an overload that lasts, twenty retries", _refused(503), raised(e.ServerError), 21,
        fields=_retries(20)),
]  # fmt: skip

_CALLED: Mapping[str, Any] = {"api_key": lambda: KEY}

BUDGET: Sequence[Row] = [
    Row("one failure after another",
        lambda s: [refusal(s, n) for n in (500, 429, 408, 502)], raised(e.RequestTimeoutError), 3,
        fields=_TWO),
    Row("what may pass, and then what may not",
        lambda s: [refusal(s, 503), refusal(s, 403)], raised(e.PermissionDeniedError), 2,
        fields=_TWO),
    Row("an overload, and then a connection that breaks unanswered",
        lambda s: [replace(refusal(s, 503), framing="close"), Reply(raw=b"", end="reset")],
        raised(e.ServiceConnectionError), 2, fields=_TWO),
    Row("an overload, and then an answer of another shape",
        lambda s: [refusal(s, 503), html_reply(200)], malformed(), 2, fields=_TWO),
    Row("a wait of more than two minutes that the service asks for",
        lambda s: replace(refusal(s, 429), headers={"retry-after": "121"}),
        raised(e.RateLimitError), 1, fields=_TWO),
    Row("a key that was refused, and once more when fresh", _refused(401),
        raised(e.AuthenticationError), 2, fields={**_TWO, **_CALLED}),
    Row("a key that was refused, then an overload that lasts",
        lambda s: [refusal(s, 401), refusal(s, 503)], raised(e.ServerError), 4,
        fields={**_TWO, **_CALLED}),
    Row("a key refused before and after an overload",
        lambda s: [refusal(s, 401), refusal(s, 503), refusal(s, 401)],
        raised(e.AuthenticationError), 3, fields={**_TWO, **_CALLED}),
]  # fmt: skip


def _recovered(*, stream: bool) -> Sequence[Row]:
    """The same for answers that end well; they are written whole, or as a stream."""

    def answer(speech: Speech) -> Reply:
        return speech.answer("te", "a", stream=stream)

    return [
        Row("an overload that passes", lambda s: [refusal(s, 503), answer(s)], whole("tea"), 2,
            fields=_TWO),
        Row("two failures, and then an answer",
            lambda s: [refusal(s, 429), refusal(s, 500), answer(s)], whole("tea"), 3, fields=_TWO),
        Row("a proxy's page of an error, and then an answer",
            lambda s: [html_reply(502, retry_after_ms="1"), answer(s)], whole("tea"), 2,
            fields=_TWO),
        Row("a key that has expired",
            lambda s: [refusal(s, 401), answer(s)], whole("tea"), 2,
            fields={"max_retries": 0, **_CALLED}),
        Row("a key that has expired, and two failures",
            lambda s: [refusal(s, 503), refusal(s, 401), refusal(s, 503), answer(s)],
            whole("tea"), 4, fields={**_TWO, **_CALLED}),
    ]  # fmt: skip


WHOLE = _recovered(stream=False)


# Streams: once there is content, nothing is sent again, whatever else is allowed.

_ALL_ALLOWED = {"max_retries": 2, "retry_unanswered": True}


def _busy(speech: Speech) -> bytes:
    """An event that reports what may pass."""
    return speech.frame(speech.failure("busy", code="429", status=429))


def _unrefused(speech: Speech) -> Reply:
    """The refusal of an option that some servers do not know: it is left out."""
    return replace(json_reply({"error": {"message": "unknown: stream_options"}}, 422))


def _no_options(*replies: Callable[[Speech], Reply]) -> Callable[[Speech], list[Reply] | None]:
    """Replies for services to which that option is sent."""
    sent = (FIREWORKS_CHAT, FIREWORKS_TEXT, PAIS_CHAT, PAIS_TEXT)
    return lambda speech: [r(speech) for r in replies] if speech in sent else None


def _streamed(speech: Speech) -> Reply:
    return speech.answer("te", "a", stream=True)


STREAMED: Sequence[Row] = [
    Row("an option that the server does not know",
        _no_options(_unrefused, _streamed), whole("tea"), 2, fields=_retries(0)),
    Row("an option that the server does not know, and two failures",
        _no_options(_unrefused, _refused(503), _refused(503), _streamed), whole("tea"), 4,
        fields=_TWO),
    Row("an option that is refused twice",
        _no_options(_unrefused), raised(e.UnprocessableEntityError), 2, fields=_TWO),
]  # fmt: skip

LATE: Sequence[Row] = [
    Row("a stream cut after some text",
        lambda s: s.stream(s.piece("te"), end="cut"), incomplete("te"), fields=_ALL_ALLOWED),
    Row("a stream reset after some text",
        lambda s: s.stream(s.piece("te"), 0.002, end="reset"), incomplete("te"),
        fields=_ALL_ALLOWED),
    Row("a stream that ends too early after some text",
        lambda s: s.stream(s.piece("te")), incomplete("te"), fields=_ALL_ALLOWED),
    Row("an overload reported after some text",
        lambda s: s.stream(s.piece("te"), _busy(s)), reported("te", "busy"), fields=_ALL_ALLOWED),
    Row("a frame of another shape after some text",
        lambda s: s.stream(s.piece("te"), s.frame("{]")), malformed("te"), fields=_ALL_ALLOWED),
]  # fmt: skip

EARLY: Sequence[Row] = [
    Row("an error reported before any text that cannot pass",
        lambda s: s.stream(s.frame(s.failure("no", code="bad", status=400))), reported("", "no"),
        fields=_TWO),
    Row("a stream without any text, which may be billed",
        lambda s: s.stream(), incomplete(), fields=_TWO),
    Row("a stream reset before any text, which may be billed",
        lambda s: s.stream(s.ping, end="reset"), incomplete(), fields=_TWO),
    Row("a run that reports its failure before any text",
        lambda s: s.stream(_busy(s)) if s is QAIP_RUN else None, reported("", "busy"),
        fields=_TWO),
]  # fmt: skip


EARLY_WHOLE: Sequence[Row] = [
    Row("a body cut in its middle, which may be billed",
        lambda s: replace(json_reply(s.body("tea")), end="cut"),
        raised(e.ServiceConnectionError), fields=_TWO),
]  # fmt: skip


def _may_pass(speech: Speech) -> Reply | None:
    """A stream that reports an overload, of services that say what may pass."""
    able = speech.service != "pais" and speech.name != "qaip run"
    return speech.stream(_busy(speech)) if able else None


def _then(first: Callable[[Speech], Reply | None], second: Callable[[Speech], Reply]) -> Any:
    def replies(speech: Speech) -> list[Reply] | None:
        reply = first(speech)
        return None if reply is None else [reply, second(speech)]

    return replies


_ONCE = {"max_retries": 1, "retry_unanswered": True}

REPEATED: Sequence[Row] = [
    Row("an overload reported before any text", _then(_may_pass, _streamed), whole("tea"), 2,
        fields=_retries(1)),
    Row("an overload reported before any text, twice", _may_pass, reported("", "busy"), 2,
        fields=_retries(1)),
    Row("an overload reported before any text, then after some",
        _then(_may_pass, lambda s: s.stream(s.piece("te"), _busy(s))), reported("te", "busy"), 2,
        fields=_TWO),
    Row("an overload reported, then a refusal", _then(_may_pass, lambda s: refusal(s, 403)),
        raised(e.PermissionDeniedError), 2, fields=_TWO),
    Row("a stream cut before any text, if repeating it was allowed",
        _then(lambda s: s.stream(end="cut"), _streamed), whole("tea"), 2, fields=_ONCE),
    Row("a connection reset unanswered, if repeating it was allowed",
        _then(lambda _: Reply(raw=b"", end="reset"), _streamed), whole("tea"), 2, fields=_ONCE),
]  # fmt: skip

REPEATED_WHOLE: Sequence[Row] = [
    Row("a body cut in its middle, if repeating it was allowed",
        lambda s: [replace(json_reply(s.body("tea")), end="cut"), s.answer("tea", stream=False)],
        whole("tea"), 2, fields=_ONCE),
]  # fmt: skip
