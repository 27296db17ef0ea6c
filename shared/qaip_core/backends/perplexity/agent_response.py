"""Reads the response of a run of Perplexity's agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.agent_output import Output
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.reading import Notes, Reader, finite, noted, other_shape, seconds
from qaip_core.report import stream_error
from qaip_core.types import Choice, Completion
from qaip_core.usage import Spent

__all__ = [
    "OPEN",
    "Response",
    "begun",
    "closing",
    "decode",
    "failure",
    "output_of",
    "read",
    "refuse",
    "refuse_unread",
]

OPEN = frozenset({"queued", "in_progress", "cancelling"})
"""The states of a run that is under way."""

_FAILED = frozenset({"failed", "cancelled"})
_KEPT = ("status", "service_tier", "previous_response_id", "incomplete_details")


class Response(TypedDict, total=False):
    """A run, as far as it matters here."""

    id: str | None
    status: str | None
    model: str | None
    created_at: Any
    output: list[dict[str, Any] | None] | None
    usage: dict[str, Any] | None
    error: Any
    detail: Any
    message: Any
    incomplete_details: dict[str, Any] | None
    service_tier: str | None
    previous_response_id: str | None


def failure(said: Any, status: str = "failed") -> ServerReportedError:
    """Return the error for a run that failed, or was cancelled.

    Parameters:
        said: what the service says of it, which may be nothing.
        status: how it ended.
    """
    if isinstance(said, Mapping) and said.get("message"):
        return stream_error({"error": said}, PERPLEXITY.rules)
    text = said if isinstance(said, str) and said else f"the run has {_ENDS.get(status, status)}"
    return stream_error({"error": {"message": text, "code": status}}, PERPLEXITY.rules)


_ENDS = {"failed": "failed, without a reason", "cancelled": "been cancelled"}


def _reported(body: Any) -> ServerReportedError | None:
    said = body.get("error") if isinstance(body, Mapping) else None
    return failure(said) if said else None


_READER: Reader[Response] = Reader(Response, ("", "output", "status"), _reported)
_BEGUN: Reader[Response] = Reader(Response)


def read(body: Any, notes: Notes) -> Response:
    """Return a response.

    Raises:
        MalformedResponseError: it is of another shape where it carries the answer.
        ServerReportedError: an error stands in its place.
    """
    return _READER.body(body, notes)


def begun(body: Any, notes: Notes) -> Response:
    """Return what a run says of itself at its beginning: its answer is yet to come."""
    return _BEGUN.body(body, notes)


def refuse(response: Response, body: Any) -> None:
    """Raise for a run that has no answer.

    Raises:
        ServerReportedError: it failed, or was cancelled.
        MalformedResponseError: it is no run.
    """
    status = response.get("status") or ""
    if status in _FAILED:
        raise failure(response.get("error"), status)
    if response.get("error"):
        raise failure(response.get("error"))
    if response.get("output") is None and (status not in OPEN or not response.get("id")):
        if response.get("detail") or isinstance(response.get("message"), str):
            raise stream_error(dict(response), PERPLEXITY.rules)  # a gateway's before the service
        raise MalformedResponseError("the body holds no output", body=body)


def output_of(response: Response, notes: Notes) -> Output:
    """Return what the items of a response say."""
    output = Output(response.get("id") or "", notes)
    for index, item in enumerate(response.get("output") or ()):
        output.add(index, item)
    return output


def refuse_unread(response: Response, output: Output, body: Any) -> None:
    """Raise for an answer of nothing but items of another shape, one of which may carry it.

    Raises:
        MalformedResponseError: it is one.
    """
    if output.text or output.calls:
        return
    for index, item in enumerate(response.get("output") or ()):
        if item is None or not isinstance(item.get("type"), str):
            place = f"output.{index}{'.type' * (item is not None)}"
            raise other_shape("a body", f"{place}: nothing else holds an answer", body)


def decode(body: Any, *, cancelled: bool = False) -> Completion:
    """Return the answer of a whole response.

    Parameters:
        body: decoded JSON.
        cancelled: whether what a cancelled run had answered is taken for an answer.

    Raises:
        ServerReportedError: the run failed, was cancelled, or is still under way.
        MalformedResponseError: the body has another shape where it carries the answer.
    """
    notes: Notes = {}
    response = read(body, notes)
    if not (cancelled and response.get("status") == "cancelled"):
        refuse(response, body)
    if response.get("status") in OPEN:
        raise failure(
            f"the run {response.get('id')} is under way in the background: read it later with "
            "get_response()",
            str(response.get("status")),
        )
    output = output_of(response, notes)
    refuse_unread(response, output, body)
    answer = closing(response, output, notes)
    answer.choices[0].text = output.text
    answer.choices[0].tool_calls = tuple(output.calls)
    answer.server_tools = tuple(output.tools.values())
    answer.raw = Spent.read(response.get("usage"), {}).on(finite(body))
    return answer


def closing(response: Response, output: Output, notes: Notes) -> Completion:
    """Return what a response says besides text, calls and tools."""
    spent = Spent.read(response.get("usage"), notes)
    created = seconds(response.get("created_at"), notes, "created_at")
    facts = {k: v for k in _KEPT if (v := response.get(k)) not in (None, "")}
    return Completion(
        [Choice(finish_reason=_reason(response, calls=bool(output.calls)))],
        id=response.get("id"),
        model=response.get("model"),
        created=created,
        usage=spent.usage,
        citations=output.citations,
        metadata=noted({**spent.rest, **facts}, notes),
    )


def _reason(response: Response, *, calls: bool) -> str:
    """Return why an answer ended, in the words of chat completions where they have one."""
    status = response.get("status") or "completed"
    if status == "incomplete":
        reason = (response.get("incomplete_details") or {}).get("reason")
        return "length" if reason == "max_output_tokens" else str(reason or status)
    if calls and status in ("completed", "requires_action"):
        return "tool_calls"
    return "stop" if status == "completed" else status
