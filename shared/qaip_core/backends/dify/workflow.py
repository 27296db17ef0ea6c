"""Dify's workflow apps: variables in, outputs out.

Vendor page: https://docs.dify.ai/api-reference/workflow-execution/execute-workflow

No run of a workflow app was recorded from a real server: the shapes here are those of the
vendor's page. A status that it does not name is no failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Endpoint, Params
from qaip_core.backends.dify._files import DifyFile
from qaip_core.backends.dify._params import (
    Megabytes,
    User,
    cancel,
    errands,
    must_stream,
    shared,
)
from qaip_core.backends.dify._service import DIFY
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import Event
from qaip_core.reading import Notes, Reader, as_mapping, finite, no_text, noted, other_shape
from qaip_core.report import stream_error
from qaip_core.template import Template
from qaip_core.types import Choice, Completion, Increment, Prompt

__all__ = ["EVENTS", "RUN", "DifyWorkflowParams", "WorkflowEvent"]


class DifyWorkflowParams(Params):
    """Parameters of a run; all else is set in the app itself.

    Parameters:
        variables: the app's variables; ``inputs`` on the wire, which is taken too. A file among
            them is a `DifyFile`.
        user: your name for the end user, 1 to 255 characters; "default-user" where it is
            not given, since the service demands one.
        files: files for apps that take them beside their variables.
        max_file_mb: the largest file to upload, in MB, above 0; where it is not given, the
            service's own limits: images 10, audio 50, video 100, others 15.
        response_mode: how whole runs are asked for; "streaming" (the default) is not cut off by
            proxies after 100 s, as "blocking" is.
        stop_on_close: whether leaving a run early also stops it; default True.
        check_inputs: whether the app is asked for its kind and its form, once, and each run's
            variables are checked by it before anything else is sent; default False.
    """

    synonyms: ClassVar[Mapping[str, str]] = {"inputs": "variables"}

    variables: dict[str, Any] | None = Field(default=None, serialization_alias="inputs")
    user: User | None = None
    files: list[DifyFile] | None = None
    max_file_mb: Megabytes | None = None
    response_mode: Literal["streaming", "blocking"] | None = None
    stop_on_close: bool | None = None
    check_inputs: bool | None = None


@dataclass(frozen=True, slots=True)
class WorkflowEvent:
    """What happens in a run.

    Parameters:
        name: "workflow_started", "node_started", "node_finished", "text_chunk",
            "workflow_finished", or what later servers have.
        data: what the service says of it: of a node its ``title``, ``node_type``, ``inputs``,
            ``outputs``, ``status``; at the end the ``outputs`` of all.
        workflow_run_id: the run.
    """

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    workflow_run_id: str | None = None

    @property
    def text(self) -> str:
        """The piece of text that it brings; empty if it brings none."""
        text = self.data.get("text") if self.name == "text_chunk" else None
        return text if isinstance(text, str) else ""


class _Data(TypedDict, total=False):
    text: Any  # carries the answer in some events only
    status: str | None
    outputs: dict[str, Any] | None
    error: str | None


class _Event(TypedDict, total=False):
    event: str | None
    task_id: str | None
    workflow_run_id: str | None
    data: _Data | None
    error: Any
    detail: Any


_READER: Reader[_Event] = Reader(_Event, ("", "event"))
_WHOLE: Reader[_Event] = Reader(_Event, ("", "data", "data.outputs", "data.status"))
_TOLD = ("error", "elapsed_time", "total_tokens", "total_steps", "exceptions_count")
_UNDONE = {
    "failed": "the run failed",
    "stopped": "the run was stopped",
    "running": "the run has not ended",
}


def _facts(event: _Event, body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a finished run says of itself."""
    data = event.get("data") or {}
    told = body.get("data")
    more = {k: told[k] for k in _TOLD if told.get(k) is not None} if isinstance(told, dict) else {}
    ids = {"task_id": event.get("task_id"), "workflow_run_id": event.get("workflow_run_id")}
    known = {**ids, "status": data.get("status"), **more}
    return {
        **{k: v for k, v in known.items() if v is not None},
        "outputs": data.get("outputs") or {},
    }


def _closing(event: _Event, body: dict[str, Any], notes: Notes) -> Completion:
    status = (event.get("data") or {}).get("status")
    reason = "stop" if status in (None, "succeeded", "partial-succeeded") else status
    return Completion(
        [Choice(finish_reason=reason)],
        id=event.get("workflow_run_id"),
        metadata=noted(_facts(event, body), notes),
        raw=finite(body),
    )


def _failure(event: _Event, body: Mapping[str, Any]) -> ServerReportedError | None:
    """Return the error of a run that did not end well, which the service reports as a success."""
    data = event.get("data") or {}
    status = data.get("status") or ""
    if status not in _UNDONE:
        return None
    reason = data.get("error") or f"{_UNDONE[status]}, and the service gives no reason"
    return stream_error({**body, "code": f"workflow_{status}", "message": reason}, DIFY.rules)


def _run(body: Any, notes: Notes) -> _Event:
    """Return a run that ended, whole or as the last event: its outputs are the answer."""
    whole = _WHOLE.body(body, notes)
    if whole.get("data") is not None:
        return whole
    if "code" in body or whole.get("error"):
        raise stream_error(body, DIFY.rules)
    raise MalformedResponseError("the body holds no run", body=body)


def _decode(body: Any) -> Completion:
    notes: Notes = {}
    whole = _run(body, notes)
    if failure := _failure(whole, body):
        failure.partial = Completion([], metadata=noted(_facts(whole, body), notes))
        raise failure
    return _closing(whole, body, notes)


class _Decoder:
    """Decodes the events of a run; complete at workflow_finished.

    Parameters:
        params: those of the call.
        tells: whether every event is handed out, as ``metadata["event"]``.
    """

    def __init__(self, params: Mapping[str, Any], *, tells: bool = False) -> None:
        self.ended = False
        self.task_id: str | None = None
        self.stop_on_close: bool = params.get("stop_on_close", True)
        self._tells = tells
        self._ids: dict[str, Any] = {}
        self._end: _Event | None = None
        self._raw: dict[str, Any] = {}
        self._notes: Notes = {}
        self._alike = Template(_text_of)

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds."""
        if event.name == "ping":
            return None
        if event.name == "error":
            raise self._reported(event.data)
        text = None if self._tells else self._alike.text(event.data)
        return self._read(event.data) if text is None else text

    def _read(self, data: bytes) -> Increment | None:
        said = _READER.event(data, self._notes)
        if said is None or said.get("event") == "ping":
            return None
        kind = said.get("event")
        if kind == "error" or (not kind and (said.get("error") or said.get("detail"))):
            raise self._reported(data)
        if not kind and said.get("data"):
            raise other_shape("an event", "event: Field required", as_mapping(data))
        self._note(said)
        if kind == "workflow_finished":
            self._finish(as_mapping(data))
            return None
        text = _said(said, data) if kind == "text_chunk" else ""
        if self._tells:
            return Completion([Choice(text)], metadata={"event": as_mapping(data)})
        if text:
            self._alike.learn(data, text)
        return text or None

    def _reported(self, data: bytes) -> ServerReportedError:
        error = stream_error(as_mapping(data), DIFY.rules)
        if self._ids:  # what its nodes did is not to be done twice
            error.is_retryable = False
        return error

    def _note(self, said: _Event) -> None:
        for name in ("task_id", "workflow_run_id"):
            if value := said.get(name):
                self._ids[name] = value
        self.task_id = self._ids.get("task_id")

    def _finish(self, body: dict[str, Any]) -> None:
        self._end, self._raw, self.ended = _run(body, self._notes), body, True
        if failure := _failure(self._end, body):
            raise failure

    def finish(self, *, cut: bool) -> Completion | None:  # noqa: ARG002 -- the end is on the wire
        """Return the closing increment; None before workflow_finished."""
        if self._end is None:
            return None
        closing = _closing(self._end, self._raw, self._notes)
        if self._tells:
            closing.metadata["event"] = self._raw
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        facts = _facts(self._end, self._raw) if self._end else dict(self._ids)
        return Completion([], metadata=noted(facts, self._notes))


def _said(event: _Event, data: bytes) -> str:
    told = event.get("data")
    if told is None and (body := as_mapping(data)).get("data") is not None:
        raise other_shape("an event", "data: Input should be an object", body)
    text = (told or {}).get("text")
    if text is not None and not isinstance(text, str):
        raise no_text("data.text", "an event", as_mapping(data))
    return text or ""


def _text_of(data: bytes) -> str | None:
    said = _READER.event(data, {})
    if said is None or said.get("event") != "text_chunk":
        return None
    return _said(said, data) or None


def _encode(_: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    body = {"inputs": params.get("inputs", {})}
    return {**body, **shared(params, params.get("files", []), stream=stream)}


def _endpoint(*, tells: bool) -> Endpoint:
    return Endpoint(
        backend=DIFY,
        path="/workflows/run",
        params=DifyWorkflowParams,
        encode=_encode,
        decode=_decode,
        decoder=partial(_Decoder, tells=tells),
        kind="workflow",
        chat=False,
        model="dify",
        must_stream=must_stream,
        errands=partial(errands, ("workflow",)),
        cancel=partial(cancel, "/workflows/tasks"),
    )


RUN = _endpoint(tells=False)
"""A run: its text as it comes, its outputs at the end (``metadata["outputs"]``)."""

EVENTS = _endpoint(tells=True)
"""A run, with all that happens in it (``metadata["event"]``)."""
