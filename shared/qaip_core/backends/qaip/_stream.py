"""Reads a streamed answer of Qaip by what arrives: AG-UI events, lines of JSON, or raw text.

Vendor page: https://docs.qaip.com (API reference, Completions)
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any, cast

from qaip_core.backends.qaip._answers import (
    CONTENTS,
    IDS,
    ON_CHOICE,
    READER,
    RESULT,
    RUN,
    Said,
    SaidChoice,
    Sources,
    content_of,
    facts_of,
    first_of,
    is_error,
    reported,
    with_web,
)
from qaip_core.errors import MalformedResponseError
from qaip_core.framing import Event
from qaip_core.reading import Notes, as_mapping, finite, no_text, noted, seconds
from qaip_core.template import Template
from qaip_core.types import Choice, Completion, Increment

__all__ = ["Decoder"]


class Decoder:
    """Decodes lines of JSON, AG-UI events and raw text, by what arrives.

    Parameters:
        params: the checked parameters of the call.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.ended = False
        mode = params.get("stream_content", "auto")
        self._mode: str = mode
        self._auto = mode == "auto"
        self._so_far: list[str] = []  # joined where a line may be cumulative, or a recap
        self._sources = Sources()
        self._metadata: dict[str, Any] = {}
        self._retrieved: list[Any] = []
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
        self._events: Mapping[str, Callable[[Said, bytes], str]] = {
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
            raise reported(as_mapping(data))
        self._cut = event.name == "rest" and not data
        text = self._alike.text(data)
        if text is None:
            return self._increment(self._read(data, may_be_cut=event.name == "rest"))
        if self._keeps:
            self._so_far.append(text)
        return text

    def _read(self, data: bytes, *, may_be_cut: bool) -> str:
        try:
            said = READER.event(data, self._notes)
        except MalformedResponseError:
            if not may_be_cut:
                raise
            self._cut = True  # the last line was cut: not malformed, incomplete
            return ""
        if said is None:
            return ""
        if is_error(said):
            raise reported(as_mapping(data))
        self._is_piece = self._keeps = False
        kind = said.get("type")
        text = self._line(said, data) if kind is None else self._event(kind, said, data)
        if text and self._is_piece and not self._fresh:
            self._alike.learn(data, text)
        return text

    def _event(self, kind: str, said: Said, data: bytes) -> str:
        self._has_end = True
        handle = self._events.get(kind)
        self._is_piece = handle is _piece
        return handle(said, data) if handle else ""

    def _increment(self, text: str) -> Increment | None:
        if not text or not self._fresh:
            return text or None
        self._fresh = False
        return Completion([Choice(text)], created=self._created)

    def _line(self, said: Said, data: bytes) -> str:
        if self._created is None:
            self._created = seconds(said.get("created"), self._notes, "created")
        self._sources.add(said.get("citations"), self._notes, "citations")
        self._metadata.update(facts_of(said))
        choices = said.get("choices")
        if not choices:
            return ""
        self._lines += 1
        place, choice = first_of(choices)
        self._sources.add(choice.get("citations"), self._notes, f"choices.{place}.citations")
        self._has_end = self._has_end or "finish_reason" in choice
        if reason := choice.get("finish_reason"):
            self._finish_reason = reason
            self._raw = finite(as_mapping(data))
        text, is_piece = content_of(choice)
        if not is_piece and text and self._mode != "delta":
            return self._cumulative(text, choice)
        self._is_piece = not reason
        return text if is_piece else self._recapless(text, choice)

    def _recapless(self, text: str, choice: SaidChoice) -> str:
        """Return a piece; nothing if it is a last line that repeats the whole text."""
        if not self._auto:
            return text
        if choice.get("finish_reason") and text and text == "".join(self._so_far):
            return ""
        self._so_far.append(text)
        self._keeps = True
        return text

    def _cumulative(self, text: str, choice: SaidChoice) -> str:
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

    def _run_facts(self, _said: Said, data: bytes) -> str:
        """Keep the ids of a run, wherever and however they are written."""
        event = RUN.body(as_mapping(data), self._notes)
        result = RUN.body(event.get("result") or {}, self._notes, "result.")
        for place in (event, result):
            for name, other in IDS.items():
                if value := place.get(name) or place.get(other):
                    self._metadata[name] = value
        return ""

    def _run_finished(self, said: Said, data: bytes) -> str:
        self._run_facts(said, data)
        self.ended = True
        self._raw = finite(as_mapping(data))
        result = self._raw.get("result")
        return self._result(result) if isinstance(result, dict) else ""

    def _result(self, result: dict[str, Any]) -> str:
        """Take what a run's end says that no event before it has said."""
        read = RESULT.body(result, self._notes, "result.")
        choices = [choice for choice in read.get("choices") or () if choice is not None]
        said = cast("Said", {**read, "choices": choices})
        self._created = seconds(said.get("created"), self._notes, "result.created")
        self._sources.add(said.get("citations"), self._notes, "result.citations")
        self._metadata = {**facts_of(said), **self._metadata}
        if not choices:
            return ""
        place, choice = first_of(choices)
        path = f"result.choices.{place}.citations"
        self._sources.add(choice.get("citations"), self._notes, path)
        self._finish_reason = choice.get("finish_reason") or None
        return content_of(choice)[0] if self._fresh else ""

    def _custom(self, said: Said, _data: bytes) -> str:
        name, value = said.get("name"), said.get("value")
        if name == "citations":
            contents = CONTENTS.body({"value": value}, self._notes).value
            self._sources.add(contents, self._notes, "value")
        elif name == "retrieved" and isinstance(value, list):
            self._retrieved += value  # split by size: the parts make one list
            self._metadata["retrieved"] = self._retrieved
        elif name == "retrieved":
            self._notes.update({} if value is None else {"value": None})
        elif name:
            self._metadata.update(_by_their_names(name, value))
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
        citations = with_web(self._sources.citations(), self._metadata, self._notes)
        return Completion(
            [],
            created=self._created,
            citations=citations,
            metadata=noted(self._metadata, self._notes),
        )


def _by_their_names(event: str, value: Any) -> dict[str, Any]:
    """Return the facts of grounding under their own names, since the vendor names no event."""
    if not isinstance(value, dict) or value.keys().isdisjoint(ON_CHOICE):
        return {event: value}
    rest = {name: fact for name, fact in value.items() if name not in ON_CHOICE}
    known = {name: fact for name, fact in value.items() if name in ON_CHOICE}
    return {**known, event: rest} if rest else known


def _text_of(data: bytes) -> str | None:
    said: Said = READER.event(data, {}) or {}
    choices = said.get("choices")
    if said.get("type") is not None or not choices:
        return said.get("delta")
    return content_of(first_of(choices)[1])[0]


def _piece(said: Said, data: bytes) -> str:
    text = said.get("delta") or ""
    if not isinstance(text, str):
        raise no_text("delta", "an event", as_mapping(data))
    return text
