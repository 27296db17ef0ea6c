"""Qaip: answers from indexed documents, with their sources.

Vendor page: https://docs.qaip.com (API reference, Completions)

The vendor does not document the lines of its text/plain stream. The decoder here decides by
what arrives: lines of JSON (pieces or cumulative), events, or raw text.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Endpoint, Params, Wire
from qaip_core.backends._prompts import as_turns, turn
from qaip_core.backends.qaip._service import QAIP, Content, FileType, Since, SourceType
from qaip_core.errors import MalformedResponseError, ServerReportedError
from qaip_core.framing import SSE, Event, Framing, Sniffer, Whole
from qaip_core.reading import (
    Notes,
    Reader,
    as_mapping,
    finite,
    no_text,
    noted,
    seconds,
)
from qaip_core.report import stream_error
from qaip_core.template import Template
from qaip_core.types import Choice, Citation, Completion, Increment, Prompt

__all__ = ["COMPLETIONS", "QaipParams"]

_LOCAL = frozenset({"stream_content"})


class QaipParams(Params):
    """Parameters of Qaip's completions; the model is the service's choice.

    Parameters:
        citation: whether the answer brings its sources; the service's default is True.
        tag_names: names of tags that a source must have; ``tags`` on the wire.
        tag_ids: ids of such tags.
        source_types: where sources come from.
        file_types: what they are.
        date_from, date_to: Unix seconds, date or datetime; not before 2024-12-31T10:00Z.
        domains: parts of the domains of sources.
        stream_content: whether streamed lines hold pieces ("delta") or all text so far
            ("cumulative"); "auto", the default, finds out.
    """

    citation: bool | None = None
    tag_names: list[str] | None = Field(default=None, serialization_alias="tags")
    tag_ids: list[str] | None = None
    source_types: list[SourceType] | None = None
    file_types: list[FileType] | None = None
    date_from: Since | None = None
    date_to: Since | None = None
    domains: list[str] | None = None
    stream_content: Literal["auto", "delta", "cumulative"] | None = None


class _Message(TypedDict, total=False):
    content: str | None


class _Choice(TypedDict, total=False):
    index: int | None
    message: _Message | None
    delta: _Message | None
    text: str | None
    finish_reason: str | None
    citations: list[Content | None] | None
    web_citations: list[Any] | None
    web_search_queries: list[Any] | None
    search_suggestion: str | None


class _Answer(TypedDict, total=False):
    """A whole answer, a line of a streamed one, or an AG-UI event."""

    created: Any
    choices: list[_Choice] | None
    citations: list[Content | None] | None
    error: Any
    code: Any
    message: Any
    detail: Any
    conversation_id: str | None
    user_message_id: str | None
    assistant_message_id: str | None
    retrieved: list[Any] | None
    redacted_input: dict[str, Any] | None
    type: str | None
    name: str | None
    delta: Any  # carries the answer in some events only
    value: Any


class _Contents(Wire):
    value: list[Content | None] | None = None


_IDS: Mapping[str, str] = {
    "conversation_id": "conversationId",
    "user_message_id": "userMessageId",
    "assistant_message_id": "assistantMessageId",
}
"""The ids of a run, as they are written in one place and in another."""


class _Run(TypedDict, total=False):
    conversation_id: str | None
    user_message_id: str | None
    assistant_message_id: str | None
    conversationId: str | None
    userMessageId: str | None
    assistantMessageId: str | None
    result: dict[str, Any] | None


_CARRIES = frozenset(
    {
        "", "type", "choices", "choices.*", "choices.*.text", "choices.*.finish_reason",
        "choices.*.delta", "choices.*.delta.content",
        "choices.*.message", "choices.*.message.content",
    }
)  # fmt: skip
_ON_ANSWER = (*_IDS, "retrieved", "redacted_input")
_ON_CHOICE = ("web_citations", "web_search_queries", "search_suggestion")


def _is_error(body: Mapping[str, Any]) -> bool:
    if body.get("error") or body.get("type") == "RUN_ERROR":
        return True
    is_other = body.get("choices") is not None or body.get("type") is not None
    return not is_other and any(body.get(name) for name in ("code", "message", "detail"))


def _reported(body: Mapping[str, Any]) -> ServerReportedError:
    error = stream_error(body, QAIP.rules)
    error.is_retryable = error.is_retryable and body.get("type") != "RUN_ERROR"
    return error


_READER: Reader[_Answer] = Reader(
    _Answer,
    _CARRIES,
    lambda body: _reported(body) if isinstance(body, dict) and _is_error(body) else None,
)
_CONTENTS: Reader[_Contents] = Reader(_Contents)
_RUN: Reader[Mapping[str, Any]] = Reader(_Run)


def _facts(answer: _Answer) -> dict[str, Any]:
    choices = answer.get("choices")
    first: Mapping[str, Any] = choices[0] if choices else {}
    pairs = [(n, answer.get(n)) for n in _ON_ANSWER] + [(n, first.get(n)) for n in _ON_CHOICE]
    return {name: value for name, value in pairs if value is not None}


class _Sources:
    """Unites citations that may come in several places, without duplicates.

    What cannot be read keeps its place among them, once for each place in a list.
    """

    def __init__(self) -> None:
        self._known: dict[Any, Content | None] = {}

    def add(self, contents: list[Content | None] | None, notes: Notes, path: str) -> None:
        for place, c in enumerate(contents or ()):
            if c is None:
                notes[f"{path}.{place}"] = None
                self._known.setdefault(place, None)
            else:
                self._known.setdefault(c.id or (c.url, c.page_number, c.text), c)

    def citations(self) -> tuple[Citation, ...]:
        known = enumerate(self._known.values(), start=1)
        return tuple(c.citation(rank) for rank, c in known if c is not None)


def _decode(body: Any) -> Completion:
    notes: Notes = {}
    answer = _READER.body(body, notes)
    if _is_error(answer):
        raise stream_error(body, QAIP.rules)
    choices = answer.get("choices")
    if not choices:
        raise MalformedResponseError("the body holds no choices", body=body)
    sources = _Sources()
    sources.add(answer.get("citations"), notes, "citations")
    for place, choice in enumerate(choices):
        sources.add(choice.get("citations"), notes, f"choices.{place}.citations")
    created = seconds(answer.get("created"), notes, "created")
    return Completion(
        [_whole_choice(place, choice) for place, choice in enumerate(choices)],
        created=created,
        citations=sources.citations(),
        metadata=noted(_facts(answer), notes),
        raw=finite(body),
    )


def _whole_choice(place: int, choice: _Choice) -> Choice:
    index = choice.get("index")
    reason = choice.get("finish_reason") or None
    return Choice(_content(choice)[0], place if index is None else index, "", reason)


def _content(choice: _Choice) -> tuple[str, bool]:
    """Return a choice's text, and whether it is a piece for certain."""
    if (delta := choice.get("delta")) is not None:
        return delta.get("content") or "", True
    if (message := choice.get("message")) is not None:
        return message.get("content") or "", False
    return choice.get("text") or "", False


class _Decoder:
    """Decodes lines of JSON, AG-UI events and raw text, by what arrives."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.ended = False
        mode = params.get("stream_content", "auto")
        self._mode: str = mode
        self._auto = mode == "auto"
        self._so_far: list[str] = []  # joined where a line may be cumulative, or a recap
        self._sources = _Sources()
        self._metadata: dict[str, Any] = {}
        self._created: int | None = None
        self._finish_reason: str | None = None
        self._has_end = False
        self._lines = 0
        self._cut = False
        self._utf8: codecs.IncrementalDecoder | None = None
        self._raw: dict[str, Any] = {}
        self._notes: Notes = {}
        self._fresh = True
        self._alike = Template(_text_of)
        self._is_piece = False  # what the line that was read last adds is what it holds
        self._keeps = False  # and is kept, since the whole text may come in the end
        self._events: Mapping[str, Callable[[_Answer, bytes], str]] = {
            "TEXT_MESSAGE_CONTENT": _piece,
            "TEXT_MESSAGE_CHUNK": _piece,
            "RUN_STARTED": self._run_facts,
            "RUN_FINISHED": self._run_finished,
            "CUSTOM": self._custom,
        }

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        data = event.data
        if event.name == "text":
            self._lines += 1
            self._utf8 = self._utf8 or codecs.getincrementaldecoder("utf-8-sig")("replace")
            return self._increment(self._utf8.decode(data))
        if event.name == "error":
            raise _reported(as_mapping(data))
        self._cut = event.name == "rest" and not data
        text = self._alike.text(data)
        if text is None:
            return self._increment(self._read(data, may_be_cut=event.name == "rest"))
        if self._keeps:
            self._so_far.append(text)
        return text

    def _read(self, data: bytes, *, may_be_cut: bool) -> str:
        try:
            said = _READER.event(data, self._notes)
        except MalformedResponseError:
            if not may_be_cut:
                raise
            self._cut = True  # the last line was cut: not malformed, incomplete
            return ""
        if said is None:
            return ""
        if _is_error(said):
            raise _reported(as_mapping(data))
        self._is_piece = self._keeps = False
        kind = said.get("type")
        text = self._line(said, data) if kind is None else self._event(kind, said, data)
        if text and self._is_piece and not self._fresh:
            self._alike.learn(data, text)
        return text

    def _event(self, kind: str, said: _Answer, data: bytes) -> str:
        self._has_end = True
        handle = self._events.get(kind)
        self._is_piece = handle is _piece
        return handle(said, data) if handle else ""

    def _increment(self, text: str) -> Increment | None:
        if not text or not self._fresh:
            return text or None
        self._fresh = False
        return Completion([Choice(text)], created=self._created)

    def _line(self, said: _Answer, data: bytes) -> str:
        if self._created is None:
            self._created = seconds(said.get("created"), self._notes, "created")
        self._sources.add(said.get("citations"), self._notes, "citations")
        self._metadata.update(_facts(said))
        choices = said.get("choices")
        if not choices:
            return ""
        self._lines += 1
        place, choice = min(enumerate(choices), key=lambda pair: pair[1].get("index") or 0)
        self._sources.add(choice.get("citations"), self._notes, f"choices.{place}.citations")
        self._has_end = self._has_end or "finish_reason" in choice
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason
            self._raw = finite(as_mapping(data))
        text, is_piece = _content(choice)
        if not is_piece and text and self._mode != "delta":
            return self._cumulative(text, choice)
        self._is_piece = not reason
        return text if is_piece else self._recapless(text, choice)

    def _recapless(self, text: str, choice: _Choice) -> str:
        """Return a piece; nothing if it is a last line that repeats the whole text."""
        if not self._auto:
            return text
        if choice.get("finish_reason") and text and text == "".join(self._so_far):
            return ""
        self._so_far.append(text)
        self._keeps = True
        return text

    def _cumulative(self, text: str, choice: _Choice) -> str:
        known = "".join(self._so_far)
        if self._mode == "auto":
            if known and choice.get("finish_reason") and text == known:
                return ""
            if known:
                longer = text.startswith(known) and len(text) > len(known)
                self._mode = "cumulative" if longer else "delta"
        if self._mode == "delta":
            return self._recapless(text, choice)
        if not text.startswith(known):
            raise MalformedResponseError("a cumulative line does not extend the text before it")
        self._so_far = [text]
        return text[len(known) :]

    def _run_facts(self, _said: _Answer, data: bytes) -> str:
        """Keep the ids of a run, wherever and however they are written."""
        event = _RUN.body(as_mapping(data), self._notes)
        result = _RUN.body(event.get("result") or {}, self._notes, "result.")
        for place in (event, result):
            for name, other in _IDS.items():
                if value := place.get(name) or place.get(other):
                    self._metadata[name] = value
        return ""

    def _run_finished(self, said: _Answer, data: bytes) -> str:
        self._run_facts(said, data)
        self.ended = True
        self._raw = finite(as_mapping(data))
        return ""

    def _custom(self, said: _Answer, _data: bytes) -> str:
        name, value = said.get("name"), said.get("value")
        if name == "citations":
            contents = _CONTENTS.body({"value": value}, self._notes).value
            self._sources.add(contents, self._notes, "value")
        elif name == "retrieved" and isinstance(value, list):
            # split by size: the parts make one list
            self._metadata["retrieved"] = [*self._metadata.get("retrieved", ()), *value]
        elif name == "retrieved":
            self._notes.update({} if value is None else {"value": None})
        elif name:
            self._metadata[name] = value
        return ""

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if the answer is not complete."""
        broken = cut or self._cut or (self._utf8 is not None and self._utf8.getstate()[0] != b"")
        said = self._finish_reason is not None or (self._lines and not self._has_end)
        if not self.ended and (broken or not said):
            return None
        closing = self.rest()
        closing.choices = [Choice(finish_reason=self._finish_reason)]
        closing.raw = self._raw or {"choices": []}
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        return Completion(
            [],
            created=self._created,
            citations=self._sources.citations(),
            metadata=noted(self._metadata, self._notes),
        )


def _text_of(data: bytes) -> str | None:
    said: _Answer = _READER.event(data, {}) or {}
    choices = said.get("choices")
    if said.get("type") is not None or not choices:
        return said.get("delta")
    return _content(min(choices, key=lambda choice: choice.get("index") or 0))[0]


def _piece(said: _Answer, data: bytes) -> str:
    text = said.get("delta") or ""
    if not isinstance(text, str):
        raise no_text("delta", "an event", as_mapping(data))
    return text


def _framing(media_type: str) -> Framing:
    if media_type == "application/json":  # the service ignored the wish for a stream
        return Whole()
    return SSE() if media_type == "text/event-stream" else Sniffer(lines=True)


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    body = {k: v for k, v in params.items() if k not in _LOCAL}
    messages = [turn(m, QAIP.title) for m in as_turns(prompt)]
    return {**body, "messages": messages, **({"stream": True} if stream else {})}


COMPLETIONS = Endpoint(
    backend=QAIP,
    path="/completions",
    params=QaipParams,
    encode=_encode,
    decode=_decode,
    decoder=_Decoder,
    framing=_framing,
    accept="application/json",
    cites=True,
    model="qaip",
)
