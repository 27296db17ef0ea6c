"""Rows about errors."""

from __future__ import annotations

from dataclasses import replace
from json import JSONDecodeError
from typing import Any

from langchain_core import exceptions as theirs

from support.fault_server import FaultServer, Reply, html_reply
from support.peers.asking import error_of
from support.peers.check import Check, Group, Part
from support.peers.langchain.asking import ASYNC_STREAM, STREAM, WHOLE, Way, over
from support.peers.replies import refusal
from support.peers.subject import Subject

__all__ = ["GROUP"]

_STATUSES: dict[str, tuple[int, type[Exception]]] = {
    "400": (400, theirs.ModelInvalidRequestError),
    "401": (401, theirs.ModelAuthenticationError),
    "403": (403, theirs.ModelPermissionDeniedError),
    "404": (404, theirs.ModelNotFoundError),
    "422": (422, theirs.ModelInvalidRequestError),
    "429": (429, theirs.ModelRateLimitError),
    "500": (500, theirs.ModelAPIError),
}


def _failing(
    subject: Subject, server: FaultServer, reply: Reply, way: Way = WHOLE, **given: Any
) -> Any:
    server.replies(reply)
    model = subject.chat_model(server, **given)
    return error_of(lambda: way.ask(model))


def _status(status: int, family: type[Exception]) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        error = _failing(subject, server, refusal(status, "Said the service."))
        assert isinstance(error, family), f"{type(error).__mro__}"
        assert "Said the service." in str(error)

    return part


def _reset(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, Reply(raw=b"", end="reset"))
    assert isinstance(error, theirs.ModelConnectionError), type(error)


def _late(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, Reply(delay=8), timeout=0.1)
    assert isinstance(error, theirs.ModelTimeoutError), type(error)


def _in_stream(subject: Subject, server: FaultServer, way: Way) -> None:
    error = _failing(subject, server, refusal(429, "slower"), way)
    assert isinstance(error, theirs.ModelRateLimitError), type(error)


_OVERFLOW = {
    "fireworks": {"message": "The prompt is too long: 9000, model maximum context length: 8192"},
    "sonar": {
        "message": "The total length of all messages is too long.",
        "type": "too_many_prompt_tokens",
    },
    "openai": {
        "message": "Error code: context_length_exceeded. Your input exceeds the context window.",
        "code": "context_length_exceeded",
    },
}


def _overflow(subject: Subject, server: FaultServer, way: Way) -> None:
    (fields,) = [fields for trait, fields in _OVERFLOW.items() if trait in subject.traits]
    error = _failing(subject, server, refusal(400, **fields), way)
    assert isinstance(error, theirs.ContextOverflowError), type(error)


def _retryable(subject: Subject, server: FaultServer) -> None:
    server.replies(refusal(401, "wrong key"), refusal(503, "busy"))
    model = subject.chat_model(server)
    found = [getattr(error_of(lambda: model.invoke("q")), "is_retryable", None) for _ in range(2)]
    assert found == [False, True], found


def _page_typed(subject: Subject, server: FaultServer) -> None:
    """Of any family: whether it is LangChain's is another row."""
    error = _failing(subject, server, html_reply(401))
    names = [cls.__name__ for cls in type(error).__mro__]
    assert any("Authentication" in name for name in names), names


def _page_readable(subject: Subject, server: FaultServer) -> None:
    text = str(_failing(subject, server, html_reply(401)))
    assert "<" not in text, f"the message is a page of HTML: {text}"
    assert "401" in text or "unauthorized" in text.lower(), text


def _page_200(subject: Subject, server: FaultServer, way: Way) -> None:
    error = _failing(subject, server, html_reply(200), way)
    crashes = (AttributeError, TypeError, KeyError, IndexError, JSONDecodeError)
    assert not isinstance(error, crashes), f"it crashed: {error!r}"


def _retired(subject: Subject, server: FaultServer) -> None:
    gone = refusal(403, "This call has moved.", type="chat_completions_not_available")
    server.replies(gone, refusal(403, "This key may not do that."))
    model = subject.chat_model(server)
    moved, denied = (error_of(lambda: model.invoke("q")) for _ in range(2))
    assert type(moved) is not type(denied), f"both are {type(moved).__name__}"


def _typed(status: int) -> Part:
    def part(subject: Subject, server: FaultServer) -> None:
        error = _failing(subject, server, refusal(status, "Said the service."))
        assert isinstance(error, theirs.ModelError), type(error)

    return part


def _response(subject: Subject, server: FaultServer) -> None:
    error = _failing(subject, server, refusal(429, "slower"))
    assert error.response.status_code == 429
    assert "slower" in error.response.text


def _request_id(subject: Subject, server: FaultServer) -> None:
    error = _failing(
        subject, server, replace(refusal(429, "slower"), headers={"x-request-id": "req-77"})
    )
    found = getattr(error, "request_id", None) or error.response.headers["x-request-id"]
    assert found == "req-77", found


def _retry_after(subject: Subject, server: FaultServer) -> None:
    error = _failing(
        subject, server, replace(refusal(429, "slower"), headers={"retry-after": "3600"})
    )
    assert getattr(error, "retry_after", None) == 3600


_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Errors",
    (
        Check(
            "families",
            "Errors are of LangChain's `ModelError` family",
            {
                **{name: _status(*case) for name, case in _STATUSES.items()},
                "connection": _reset,
                "timeout": _late,
            },
            defect_of=_PERPLEXITY,
        ),
        Check(
            "families_stream",
            "... from a stream too",
            over(_in_stream, STREAM, ASYNC_STREAM),
            defect_of=_PERPLEXITY,
        ),
        Check(
            "overflow",
            "A prompt that is too long: `ContextOverflowError`",
            over(_overflow),
            defect_of=_PERPLEXITY,
        ),
        Check("retryable", "`is_retryable` tells 401 from 503", {"": _retryable}),
        Check("response", "`error.response`", {"": _response}),
        Check("request_id", "The request id", {"": _request_id}),
        Check("retry_after_known", "The seconds of `Retry-After`", {"": _retry_after}),
        Check(
            "page_401",
            "A 401 page of HTML becomes a typed, readable error",
            {"typed": _page_typed, "readable": _page_readable},
            defect_of=frozenset({"fireworks", "perplexity"}),
            note="*typed*: an authentication error, be it LangChain's or the vendor's own; "
            "*readable*: a message without HTML that says 401 or unauthorized.",
        ),
        Check(
            "page_200",
            "A page of HTML with status 200 does not crash it",
            over(_page_200),
            note="An error that says so, instead of an `AttributeError` or the like.",
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
            {"402": _typed(402), "412": _typed(412)},
            needs=frozenset({"fireworks"}),
            defect_of=frozenset({"fireworks"}),
        ),
    ),
)
