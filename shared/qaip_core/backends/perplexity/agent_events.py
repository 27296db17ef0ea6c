"""The events of a stream of Perplexity's agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any, ClassVar

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.agent_output import Output
from qaip_core.backends.perplexity.agent_response import (
    Response,
    begun,
    closing,
    failure,
    output_of,
    read,
    refuse,
    refuse_unread,
)
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import Event
from qaip_core.reading import Notes, Reader, as_mapping, finite, no_text, noted, seconds
from qaip_core.report import stream_error
from qaip_core.template import Outline
from qaip_core.types import Choice, Completion, Increment, ServerTool, ToolCall
from qaip_core.usage import Spent

__all__ = ["Decoder"]


class _Told(TypedDict, total=False):
    """An event of any type; a typed mapping, since it is read once for every token."""

    type: str | None
    delta: Any
    text: Any
    output_index: int | None
    content_index: int | None
    item: dict[str, Any] | None
    response: dict[str, Any] | None
    error: Any
    detail: Any
    message: Any


_READER: Reader[_Told] = Reader(_Told, ("",))  # of events of unknown types nothing matters


class Decoder:
    """Decodes a stream of events: one that ends the run is its end mark, and the only one.

    What the service did on the way is handed out with the first text, and what came later with
    the closing increment. Markers come in pieces: the sources are told at the end.

    Parameters:
        params: the checked parameters of the call.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:  # noqa: ARG002 -- of all decoders
        self.ended = False
        self._notes: Notes = {}
        self._outline = Outline(self._parts)
        self._head: Response = {}
        self._items: dict[int, dict[str, Any]] = {}
        self._said: list[str] = []
        self._grown: set[int] = set()  # the items whose text has come piece by piece
        self._begun = False
        self._called: set[str] = set()
        self._used: set[int] = set()  # the items of which the tools are told
        self._final: Completion | None = None

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        data = event.data
        if event.name == "error":
            raise stream_error(as_mapping(data), PERPLEXITY.rules)
        text = self._outline.text(data)
        if text is not None:
            self._said.append(text)
            return text
        told = _READER.event(data, self._notes)
        if told is None:
            return None
        kind = told.get("type") or ""
        handle = self._HANDLERS.get(kind)
        if _reports_error(told, known=handle is not None):
            raise failure(told.get("error")) if kind else _unnamed(data)
        return handle(self, told, data) if handle else None

    def _parts(self, data: bytes) -> tuple[str | None, Any]:
        """Return an event's text, and what else of it has to be looked at in each event."""
        told: Any = _READER.event(data, {}) or {}
        return told.pop("delta", None), told

    def _create(self, told: _Told, _data: bytes) -> None:
        self._head = begun(told.get("response") or {}, self._notes)

    def _delta(self, told: _Told, data: bytes) -> Increment | None:
        text = _said(told.get("delta"), "delta", data)
        if not text:
            return None
        self._grown.add(told.get("output_index") or 0)
        self._said.append(text)
        if self._begun:
            self._outline.learn(data)
            return text
        return self._first(Choice(text))

    def _text(self, told: _Told, data: bytes) -> Increment | None:
        """Take the whole text of an item, which repeats its pieces, if there were any."""
        index, text = told.get("output_index") or 0, _said(told.get("text"), "text", data)
        if index in self._grown or not text:
            return None
        self._said.append(text)
        return text if self._begun else self._first(Choice(text))

    def _item(self, told: _Told, _data: bytes) -> Increment | None:
        index, item = told.get("output_index"), told.get("item")
        if item is None:
            return None
        index = len(self._items) if index is None else index
        self._items[index] = item
        if item.get("type") != "function_call":
            return None
        output = Output("", {})
        output.add(index, item)
        calls = self._uncalled(output)
        return self._first(Choice(tool_calls=calls)) if calls else None

    def _ended(self, told: _Told, data: bytes) -> None:
        """Take the event that ends the run."""
        kind = (told.get("type") or "").removeprefix("response.")
        body = told.get("response") or {}
        response = read(body, self._notes)
        status = response.get("status") or kind
        merged: Any = {"output": [], **self._head, **response, "status": status}
        response = merged
        if status != "completed":
            refuse(response, as_mapping(data))
        told_now = bool(response.get("output"))
        output = output_of(response, self._notes) if told_now else self._output(self._notes)
        if told_now and not self._said:
            refuse_unread(response, output, as_mapping(data))
        final = closing(response, output, self._notes)
        final.raw = Spent.read(response.get("usage"), {}).on(finite(body))
        final.server_tools = self._unused(output)
        self._complete(final, output)
        self._final, self.ended = final, True

    def _fail(self, told: _Told, data: bytes) -> None:
        said = told.get("error") or (told.get("response") or {}).get("error")
        if said or told.get("type") != "error":
            raise failure(said)
        raise stream_error(as_mapping(data), PERPLEXITY.rules)

    def _complete(self, final: Completion, output: Output) -> None:
        """Add to the closing increment what of the answer has not come before."""
        choice, known = final.choices[0], "".join(self._said)
        choice.tool_calls = self._uncalled(output)
        if output.text.startswith(known):
            choice.text = output.text[len(known) :]
        elif output.text and output.text.strip() != known.strip():
            choice.text, final.replaces = output.text, True
            final.metadata = {**final.metadata, "replaced_text": output.text}

    def _first(self, choice: Choice) -> Completion:
        """Return an increment that is no mere text; the first tells what came before it."""
        if self._begun:
            return Completion([choice])
        self._begun = True
        head = self._head
        created = seconds(head.get("created_at"), self._notes, "created_at")
        # the model is told at the end: until then a preset may stand in its place
        tools = self._unused(self._output({}, strict=False))
        return Completion([choice], head.get("id"), None, created, server_tools=tools)

    def _output(self, notes: Notes, *, strict: bool = True) -> Output:
        """Return what the items say that are complete by now.

        Parameters:
            notes: takes the paths of what cannot be read.
            strict: whether an item of another shape is an error, since it carries the answer.
        """
        output = Output(self._head.get("id") or "", notes)
        for index, item in sorted(self._items.items()):
            with nullcontext() if strict else suppress(MalformedResponseError):
                output.add(index, item)
        return output

    def _uncalled(self, output: Output) -> tuple[ToolCall, ...]:
        """Return the calls that are new, numbered as they come, which need not be their order."""
        calls = []
        for call in output.calls:
            name = call.id or f"{call.name} {call.arguments}"
            if name not in self._called:
                calls.append(replace(call, index=len(self._called)))
                self._called.add(name)
        return tuple(calls)

    def _unused(self, output: Output) -> tuple[ServerTool, ...]:
        """Return the tools that are new."""
        new = {index: tool for index, tool in output.tools.items() if index not in self._used}
        self._used.update(new)
        return tuple(new.values())

    def finish(self, *, cut: bool) -> Completion | None:  # noqa: ARG002 -- its end is enough
        """Return the closing increment; None if the run has not told its end."""
        return self._final

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        notes = dict(self._notes)
        output = self._output(notes, strict=False)
        return Completion(
            [],
            id=self._head.get("id"),
            citations=output.citations,
            metadata=noted({}, notes),
            server_tools=tuple(t for n, t in output.tools.items() if n not in self._used),
        )

    _HANDLERS: ClassVar[Mapping[str, Callable[..., Increment | None]]] = {
        "response.created": _create,
        "response.in_progress": _create,
        "response.output_text.delta": _delta,
        "response.output_text.done": _text,
        "response.output_item.done": _item,
        "response.completed": _ended,
        "response.incomplete": _ended,
        "response.requires_action": _ended,
        "response.cancelled": _ended,
        "response.failed": _fail,
        "error": _fail,
    }


def _reports_error(told: _Told, *, known: bool) -> bool:
    """Tell an error that stands beside, or in the place of, an event of the run.

    In events of types that are not known it may be that of a tool.
    """
    if told.get("type"):
        return known and bool(told.get("error"))
    return bool(told.get("error") or told.get("detail")) or isinstance(told.get("message"), str)


def _unnamed(data: bytes) -> ServerReportedError:
    """Return the error that a gateway before the service reports, which knows no types."""
    return stream_error(as_mapping(data), PERPLEXITY.rules)


def _said(text: Any, name: str, data: bytes) -> str | None:
    """Return a text of an event; one of another type is an error, where the answer is in it."""
    if text is not None and not isinstance(text, str):
        raise no_text(name, "an event", as_mapping(data))
    return text
