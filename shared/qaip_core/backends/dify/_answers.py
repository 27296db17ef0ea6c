"""The answers of Dify's apps, completion and chat alike: whole, and as events of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Wire
from qaip_core.backends.dify._service import DIFY
from qaip_core.backends.dify._sources import Resource
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import Event
from qaip_core.reading import (
    Notes,
    Reader,
    as_mapping,
    finite,
    no_text,
    noted,
    other_shape,
    ranked,
    seconds,
)
from qaip_core.report import stream_error
from qaip_core.template import Template
from qaip_core.types import Choice, Completion, Increment
from qaip_core.usage import Spent

__all__ = ["Decoder", "decode"]


class _Metadata(Wire, extra="allow", defer_build=True):
    usage: dict[str, Any] | None = None
    retriever_resources: list[Resource | None] | None = None


class _Event(TypedDict, total=False):
    event: str | None
    id: str | None
    message_id: str | None
    task_id: str | None
    conversation_id: str | None
    workflow_run_id: str | None
    created_at: Any
    answer: Any  # carries the answer in some events only
    url: str | None
    metadata: _Metadata | None
    files: list[dict[str, Any] | None] | None
    error: Any
    detail: Any


_READER: Reader[_Event] = Reader(_Event, ("", "event"))


def _is_error(event: _Event) -> bool:
    """Tell an error of the service, or of a gateway before it."""
    kind = event.get("event")
    return kind == "error" or (not kind and bool(event.get("error") or event.get("detail")))


def _spent(event: _Event, notes: Notes) -> Spent:
    metadata = event.get("metadata")
    return Spent.read(metadata.usage if metadata else None, notes, "metadata.usage")


def _closing(event: _Event, notes: Notes) -> Completion:
    """Return citations, usage and the rest of an answer's metadata."""
    spent = _spent(event, notes)
    metadata = event.get("metadata") or _Metadata()
    resources = ranked(metadata.retriever_resources, notes, "metadata.retriever_resources")
    more = {k: v for k, v in (metadata.model_extra or {}).items() if v}
    return Completion(
        [],
        usage=spent.usage,
        citations=tuple(c.citation(n) for n, c in resources),
        metadata={**more, **({"price": spent.rest} if spent.rest else {})},
    )


def _id(event: _Event) -> str | None:
    return event.get("message_id") or event.get("id")


def _ids(event: _Event) -> dict[str, Any]:
    ids = {
        "task_id": event.get("task_id"),
        "message_id": _id(event),
        "conversation_id": event.get("conversation_id"),
    }
    return {k: v for k, v in ids.items() if v}


def decode(body: Any) -> Completion:
    """Return a whole answer."""
    notes: Notes = {}
    whole = _READER.body(body, notes)
    text = whole.get("answer")
    if text is None:
        if "code" in body or _is_error(whole):
            raise stream_error(body, DIFY.rules)
        raise MalformedResponseError("the body holds no answer", body=body)
    if not isinstance(text, str):
        raise no_text("answer", "a body", body)
    answer = _closing(whole, notes)
    answer.choices = [Choice(text, finish_reason="stop")]
    answer.id = _id(whole)
    answer.created = seconds(whole.get("created_at"), notes, "created_at")
    answer.metadata = noted({**answer.metadata, **_ids(whole)}, notes)
    _note_suspicious(answer, text)
    answer.raw = _spent(whole, {}).on(finite(body))
    return answer


def _note_suspicious(answer: Completion, text: str) -> None:
    """Mark what the service cannot tell from a success: a run over its time limit."""
    free = answer.usage is not None and not answer.usage.total_tokens
    if not text or (free and "annotation_reply" not in answer.metadata):  # a person wrote those
        answer.metadata["suspicious"] = "empty answer or zero usage: the run may have been cut"


class Decoder:
    """Decodes the events of a run; complete at message_end.

    Parameters:
        params: those of the call.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.ended = False
        self.task_id: str | None = None
        self.stop_on_close: bool = params.get("stop_on_close", True)
        self._fresh = True
        self._pieces: list[str] = []
        self._ids: dict[str, Any] = {}
        self._files: list[dict[str, Any]] = []
        self._thoughts: dict[str | None, dict[str, Any]] = {}
        self._workflow: dict[str, Any] = {}
        self._replaces = False
        self._end: _Event | None = None
        self._raw = b""
        self._notes: Notes = {}
        self._alike = Template(_text_of)

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        if event.name == "ping":
            return None
        if event.name == "error":
            raise self._reported(event.data)
        text = self._alike.text(event.data)
        if text is None:
            return self._read(event.data)
        self._pieces.append(text)
        return text

    def _read(self, data: bytes) -> Increment | None:
        said = _READER.event(data, self._notes)
        if said is None:
            return None
        kind = said.get("event")
        if kind == "ping":
            return None
        if _is_error(said):
            raise self._reported(data)
        if kind == "message_end":
            self._end, self._raw, self.ended = said, data, True
            return None
        if self._fresh:
            self._ids = {**self._ids, **_ids(said)}
            self.task_id = said.get("task_id") or self.task_id
        if kind not in _TEXT_EVENTS or said.get("url"):
            self._note(kind, said, data)
        text = said.get("answer")
        if text and isinstance(text, str) and not kind:
            fault = "event: Field required"
            raise other_shape("an event", fault, as_mapping(data))
        if text is None or kind not in _TEXT_EVENTS:
            return None
        if not isinstance(text, str):
            raise no_text("answer", "an event", as_mapping(data))
        return self._increment(said, text, data)

    def _reported(self, data: bytes) -> ServerReportedError:
        error = stream_error(as_mapping(data), DIFY.rules)
        if self._thoughts or "workflow_run_id" in self._ids:
            error.is_retryable = False  # what tools and nodes did is not to be done twice
        return error

    def _failed(self) -> ServerReportedError:
        """Return the error of a chatflow that failed without an error event."""
        reason = self._workflow.get("error") or "the flow failed, and the service gives no reason"
        told = {"code": "workflow_failed", "message": reason, "data": self._workflow}
        return stream_error(told, DIFY.rules)

    def _note(self, kind: str | None, said: _Event, data: bytes) -> None:
        """Keep what an event says beside the text."""
        if kind == "message_file":
            self._files.append(as_mapping(data))
        elif kind == "agent_thought":  # comes again and again, each time with more
            thought = as_mapping(data)
            known = self._thoughts.setdefault(said.get("id"), {})
            known.update({k: thought[k] for k in _THOUGHT if thought.get(k)})
        elif kind == "workflow_finished":
            outcome = as_mapping(data).get("data")
            told = outcome if isinstance(outcome, dict) else {}
            self._workflow = {k: told[k] for k in _OUTCOME if told.get(k) is not None}
        if run := said.get("workflow_run_id"):
            self._ids["workflow_run_id"] = run

    def _increment(self, said: _Event, text: str, data: bytes) -> Increment:
        if text and said.get("event") in _PIECES and not self._fresh:
            self._alike.learn(data, text)
            self._pieces.append(text)
            return text
        is_whole = said.get("event") == "message_replace"
        replaces = is_whole and text != "".join(self._pieces)
        if replaces:
            self._replaces, self._pieces = True, []
        elif is_whole:  # harmless answers are closed with the same text
            text = ""
        self._pieces.append(text)
        increment = Completion([Choice(text)], replaces=replaces)
        if self._fresh:
            self._fresh = False
            increment.id = _id(said)
            increment.metadata = dict(self._ids)
            increment.created = seconds(said.get("created_at"), self._notes, "created_at")
        return increment

    def finish(self, *, cut: bool) -> Completion | None:  # noqa: ARG002 -- the end is on the wire
        """Return the closing increment; None before message_end.

        Raises:
            ServerReportedError: a chatflow failed, whatever followed.
        """
        if self._workflow.get("status") == "failed":
            raise self._failed()
        if self._end is None:
            return None
        closing = self.rest()
        closing.choices = [Choice(finish_reason="stop")]
        closing.id = _id(self._end)
        closing.raw = _spent(self._end, {}).on(finite(as_mapping(self._raw)))
        _note_suspicious(closing, "".join(self._pieces))
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        notes = dict(self._notes)
        end = self._end or {}
        rest = _closing(end, notes)
        facts = {**rest.metadata, **(self._ids or _ids(end))}
        files = [file for _, file in ranked(end.get("files"), notes, "files")] or self._files
        if files and self._end:
            facts["files"] = files
        if self._thoughts:
            facts["agent_thoughts"] = list(self._thoughts.values())
        if self._workflow:
            facts["workflow"] = self._workflow
        if self._replaces:
            facts["replaced_text"] = "".join(self._pieces)
        rest.metadata = noted(facts, notes)
        return rest


_PIECES = frozenset({"message", "agent_message"})
_TEXT_EVENTS = _PIECES | {"message_file", "message_replace"}
_THOUGHT = ("position", "thought", "tool", "tool_input", "observation", "message_files")
_OUTCOME = ("status", "error", "elapsed_time", "total_tokens", "total_steps")


def _text_of(data: bytes) -> str | None:
    said = _READER.event(data, {})
    return said.get("answer") if said and said.get("event") in _PIECES else None
