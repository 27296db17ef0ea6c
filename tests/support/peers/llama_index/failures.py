"""Rows about errors: LlamaIndex has no family of its own, so what counts is what they tell."""

from __future__ import annotations

from dataclasses import replace
from json import JSONDecodeError
from typing import Any

from support.fault_server import FaultServer, Reply, html_reply
from support.peers.asking import error_of, limited
from support.peers.check import Check, Group, Part
from support.peers.llama_index.asking import ACHAT, CHAT, CHATS, COMPLETES, STREAM, Way, over
from support.peers.replies import refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]

_KINDS: dict[int, tuple[str, ...]] = {
    400: ("BadRequest", "InvalidRequest"),
    401: ("Authentication",),
    403: ("Permission",),
    404: ("NotFound",),
    422: ("Unprocessable",),
    429: ("RateLimit",),
    500: ("Server",),
}


def _failing(subject: Subject, server: FaultServer, reply: Reply, way: Way = CHAT) -> Any:
    server.replies(reply)
    model = subject.chat_model(server)
    return error_of(lambda: way.ask(model))


def _is_kind(error: Any, *words: str) -> None:
    names = [cls.__name__ for cls in type(error).__mro__]
    assert any(word in name for word in words for name in names), names


def _kind(status: int) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        error = _failing(subject, server, refusal(status, "Said the service."))
        _is_kind(error, *_KINDS[status])
        assert "Said the service." in str(error), error

    return part


def _every_way(subject: Subject, server: FaultServer, way: Way) -> None:
    _is_kind(_failing(subject, server, refusal(429, "slower"), way), *_KINDS[429])


def _status(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, refusal(429, "slower"))
    found = [getattr(error, name, None) for name in ("status", "status_code")]
    assert 429 in found, found


def _status_inside(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, refusal(429, "slower"))
    assert error.last_attempt.exception().response.status_code == 429


def _request_id(subject: Subject, server: FaultServer) -> None:
    headed = replace(refusal(429, "slower"), headers={"x-request-id": "req-77"})
    error = _failing(subject, server, headed)
    assert getattr(error, "request_id", None) == "req-77", error


def _retry_after(subject: Subject, server: FaultServer) -> None:
    headed = replace(refusal(429, "slower"), headers={"retry-after": "3600"})
    assert getattr(_failing(subject, server, headed), "retry_after", None) == 3600


def _retryable(subject: Subject, server: FaultServer) -> None:
    server.replies(refusal(401, "wrong key"), refusal(503, "busy"))
    model = subject.chat_model(server)
    found = [getattr(error_of(lambda: CHAT.ask(model)), "is_retryable", None) for _ in range(2)]
    assert found == [False, True], found


def _reset(subject: Subject, server: FaultServer) -> None:
    _is_kind(_failing(subject, server, Reply(raw=b"", end="reset")), "Connect")


def _late(subject: Subject, server: FaultServer) -> None:
    server.replies(Reply(delay=8))
    model = limited(subject, server, 0.05)
    _is_kind(error_of(lambda: CHAT.ask(model)), "Timeout")


_LONG = "The prompt is too long: 9000, model maximum context length: 8192"
_OVERFLOW = {
    "fireworks": {"message": _LONG},
    "sonar": {"message": "Too long.", "type": "too_many_prompt_tokens"},
    "openai": {"message": "Too long.", "code": "context_length_exceeded"},
}


def _overflow(subject: Subject, server: FaultServer) -> None:
    (fields,) = [fields for trait, fields in _OVERFLOW.items() if trait in subject.traits]
    server.replies(refusal(400, **fields), refusal(400, "Something else."))
    model = subject.chat_model(server)
    found = [error_of(lambda: CHAT.ask(model)) for _ in range(2)]
    one, other = [(type(error), getattr(error, "code", None)) for error in found]
    assert one != other, f"both are {one}"


def _page(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, html_reply(401))
    _is_kind(error, *_KINDS[401])
    assert "<" not in str(error), f"the message is a page of HTML: {error}"


def _page_200(subject: Subject, server: FaultServer, way: Way) -> None:
    error = _failing(subject, server, html_reply(200), way)
    crashes = (AttributeError, TypeError, KeyError, IndexError, JSONDecodeError, AssertionError)
    assert not isinstance(error, crashes), f"it crashed: {error!r}"


def _retired(subject: Subject, server: FaultServer) -> None:
    gone = refusal(403, "This call has moved.", type="chat_completions_not_available")
    server.replies(gone, refusal(403, "This key may not do that."))
    model = subject.chat_model(server)
    moved, denied = (error_of(lambda: CHAT.ask(model)) for _ in range(2))
    assert type(moved) is not type(denied), f"both are {type(moved).__name__}"


def _typed(status: int, word: str) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        _is_kind(_failing(subject, server, refusal(status, "Said the service.")), word)

    return part


_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Errors",
    (
        Check(
            "kinds",
            "A class for each kind of error, with the service's words",
            {str(status): _kind(status) for status in _KINDS},
            defect_of=_PERPLEXITY,
            note="400, 401, 403, 404, 422, 429, 500. llama-index-llms-perplexity raises tenacity's "
            "`RetryError` for all, and for what is no error of the service, too.",
        ),
        Check(
            "kinds_everywhere",
            "... from every call",
            over(_every_way, *CHATS, *COMPLETES),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "status",
            "The status",
            {"": _status},
            otherwise={"inside its `RetryError`": _status_inside},
            defect_of=_PERPLEXITY,
        ),
        Check("request_id", "The request id", {"": _request_id}, defect_of=_PERPLEXITY),
        Check("retry_after_known", "The seconds of `Retry-After`", {"": _retry_after}),
        Check("retryable", "`is_retryable` tells 401 from 503", {"": _retryable}),
        Check("reset", "A broken connection is a connection error", {"": _reset}),
        Check("late", "A silent service is a timeout error", {"": _late}),
        Check(
            "overflow",
            "A prompt that is too long is told from other 400s",
            {"": _overflow},
            defect_of=_PERPLEXITY,
            note="By its class, or a code.",
        ),
        Check("page_401", "A 401 page of HTML: a typed, readable error", {"": _page}),
        Check(
            "page_200",
            "A page of HTML with status 200 does not crash it",
            over(_page_200, CHAT, STREAM, ACHAT),
            defect_of=frozenset({"openai", "fireworks", "perplexity"}),
            note="An error that says so, instead of an `AttributeError` or no answer at all.",
        ),
        Check(
            "retired",
            "The 403 of a retired call is not that of a bad key",
            {"": _retired},
            needs=frozenset({"sonar"}),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "billing",
            "402 and 412 are typed",
            {"402": _typed(402, "Payment"), "412": _typed(412, "Precondition")},
            needs=frozenset({"fireworks"}),
            defect_of=frozenset({"fireworks"}),
        ),
    ),
)
