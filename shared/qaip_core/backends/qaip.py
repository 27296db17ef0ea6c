"""Qaip: answers from indexed documents, with their sources.

Vendor page: https://docs.qaip.com (API reference, Completions)

The vendor does not document the lines of its text/plain stream. The decoder here decides by
what arrives: lines of JSON (pieces or cumulative), events, or raw text.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from qaip_core.backend import Backend, Endpoint, Params, Wire
from qaip_core.backends._openai import OTHER_SHAPE, as_mapping, parse_event
from qaip_core.backends._prompts import as_turns, turn
from qaip_core.errors import MalformedResponseError
from qaip_core.framing import SSE, Event, Framing, Sniffer, Whole
from qaip_core.report import Rule, stream_error
from qaip_core.types import Choice, Citation, Completion, Prompt, source_id

__all__ = ["COMPLETIONS", "QAIP", "FileType", "QaipParams", "SourceType"]

SourceType: TypeAlias = Literal["crawl", "local_file", "google_drive", "github", "notion"]
FileType: TypeAlias = Literal[
    "html", "pdf", "ppt", "pptx", "pptm", "doc", "docx", "docm", "xls", "xlsx", "xlsm", "md",
    "txt", "jsonl", "png", "jpg", "webp", "heic", "heif", "wav", "mp3", "aiff", "aif", "aac",
    "m4a", "ogg", "oga", "flac", "mp4", "mpg", "mov", "avi", "flv", "webm", "wmv", "3gp",
    "notion_page",
]  # fmt: skip

_LOCAL = frozenset({"stream_content"})

QAIP = Backend(
    name="qaip",
    title="Qaip",
    base_url="https://developer.qaip.com/api/v1",
    key_env=("QAIP_API_KEY",),
    url_env=("QAIP_BASE_URL",),
    docs="https://developer.qaip.com",
    key_header="x-api-key",
    key_prefix="",
    normalise_url=lambda url: url.removesuffix("/completions"),
    rules=(
        Rule(code=("REDACTION_FAILED",), retry=False),
        Rule(
            status=(403,),
            hint="The key may lack the scope inference:run, or the account its credits.",
        ),
    ),
    named_headers={"x-request-id": "request_id", "x-conversation-id": "conversation_id"},
)


def _unix(value: Any) -> Any:
    """Return Unix seconds for a date (midnight) or datetime; both UTC unless they say else."""
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return value


def _recent(value: int) -> int:
    if value < _FIRST_DATE:
        raise ValueError(f"Input should be greater than or equal to {_FIRST_DATE}")
    return value


_FIRST_DATE = 1_735_639_200
_Since: TypeAlias = Annotated[int | date, AfterValidator(_recent), BeforeValidator(_unix)]


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
    date_from: _Since | None = None
    date_to: _Since | None = None
    domains: list[str] | None = None
    stream_content: Literal["auto", "delta", "cumulative"] | None = None


class _Content(Wire, extra="allow"):
    id: str | None = None
    url: str | None = None
    text: str | None = None
    title: str | None = None
    page_number: int | None = None

    def citation(self, rank: int) -> Citation:
        page = self.page_number or None  # 0: the source has no pages
        return Citation(
            id=self.id or source_id(self.url, self.text, page),
            url=self.url,
            title=self.title,
            text=self.text,
            page_number=page,
            rank=rank,
            metadata={k: v for k, v in (self.model_extra or {}).items() if v is not None},
        )


class _Message(Wire):
    content: str | None = None


class _Choice(Wire):
    index: int | None = 0
    message: _Message | None = None
    delta: _Message | None = None
    text: str | None = None
    finish_reason: str | None = None
    citations: list[_Content] | None = None
    web_citations: Any = None
    web_search_queries: Any = None
    search_suggestion: Any = None


class _Answer(Wire):
    """A whole answer, a line of a streamed one, or an AG-UI event."""

    created: int | None = None
    choices: list[_Choice] | None = None
    citations: list[_Content] | None = None
    error: Any = None
    code: Any = None
    message: Any = None
    conversation_id: str | None = None
    user_message_id: str | None = None
    assistant_message_id: str | None = None
    retrieved: Any = None
    redacted_input: Any = None
    type: str | None = None
    name: str | None = None
    delta: str | None = None
    value: Any = None
    result: Any = None


_ON_ANSWER = (
    "conversation_id", "user_message_id", "assistant_message_id", "retrieved", "redacted_input",
)  # fmt: skip
_ON_CHOICE = ("web_citations", "web_search_queries", "search_suggestion")


def _facts(answer: _Answer) -> dict[str, Any]:
    choice = answer.choices[0] if answer.choices else _Choice()
    pairs = [(n, getattr(answer, n)) for n in _ON_ANSWER]
    pairs += [(n, getattr(choice, n)) for n in _ON_CHOICE]
    return {name: value for name, value in pairs if value is not None}


class _Sources:
    """Unites citations that may come in several places, without duplicates."""

    def __init__(self) -> None:
        self._known: dict[Any, _Content] = {}

    def add(self, contents: list[_Content] | None) -> None:
        for c in contents or ():
            self._known.setdefault(c.id or (c.url, c.page_number, c.text), c)

    def citations(self) -> tuple[Citation, ...]:
        return tuple(c.citation(n) for n, c in enumerate(self._known.values(), start=1))


def _is_error(answer: _Answer) -> bool:
    return bool(answer.error) or (
        answer.choices is None and answer.type is None and bool(answer.code or answer.message)
    )


def _decode(body: Any) -> Completion:
    try:
        answer = _Answer.model_validate(body)
    except ValidationError as error:
        raise MalformedResponseError(OTHER_SHAPE, body=body) from error
    if _is_error(answer):
        raise stream_error(body, QAIP.rules)
    if not answer.choices:
        raise MalformedResponseError("the body holds no choices", body=body)
    sources = _Sources()
    sources.add(answer.citations)
    for choice in answer.choices:
        sources.add(choice.citations)
    return Completion(
        [Choice(_content(c)[0], c.index or 0, "", c.finish_reason or None) for c in answer.choices],
        created=answer.created,
        citations=sources.citations(),
        metadata=_facts(answer),
        raw=body,
    )


def _content(choice: _Choice) -> tuple[str, bool]:
    """Return a choice's text, and whether it is a piece for certain."""
    if choice.delta is not None:
        return choice.delta.content or "", True
    if choice.message is not None:
        return choice.message.content or "", False
    return choice.text or "", False


def _contents(value: Any) -> list[_Content]:
    try:
        return [_Content.model_validate(c) for c in value or ()]
    except (TypeError, ValidationError) as error:
        raise MalformedResponseError("sources of another shape than documented") from error


class _Decoder:
    """Decodes lines of JSON, AG-UI events and raw text, by what arrives."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.ended = False
        mode = params.get("stream_content", "auto")
        self._mode: str = mode
        self._auto = mode == "auto"
        self._so_far = ""  # kept only until pieces and cumulative text can be told apart
        self._sources = _Sources()
        self._metadata: dict[str, Any] = {}
        self._created: int | None = None
        self._finish_reason: str | None = None
        self._has_end = False
        self._lines = 0
        self._cut = False
        self._utf8: codecs.IncrementalDecoder | None = None
        self._raw: dict[str, Any] = {}
        self._events: Mapping[str, Callable[[_Answer, bytes], str]] = {
            "TEXT_MESSAGE_CONTENT": lambda said, _: said.delta or "",
            "TEXT_MESSAGE_CHUNK": lambda said, _: said.delta or "",
            "RUN_STARTED": self._run_facts,
            "RUN_FINISHED": self._run_finished,
            "CUSTOM": self._custom,
        }

    def feed(self, event: Event) -> Completion | None:
        """Return what an event adds to the answer."""
        data = event.data
        if event.name == "text":
            self._lines += 1
            self._utf8 = self._utf8 or codecs.getincrementaldecoder("utf-8-sig")("replace")
            return self._increment(self._utf8.decode(data))
        try:
            said: _Answer | None = parse_event(_Answer.model_validate_json, data)
        except MalformedResponseError:
            if event.name != "rest":
                raise
            self._cut = True  # the last line was cut: not malformed, incomplete
            return None
        if said is None:
            return None
        self._lines += 1
        if said.type == "RUN_ERROR" or event.name == "error" or _is_error(said):
            error = stream_error(as_mapping(data), QAIP.rules)
            error.is_retryable = error.is_retryable and said.type != "RUN_ERROR"
            raise error
        if said.type is not None:
            self._has_end = True
            handle = self._events.get(said.type)
            return self._increment(handle(said, data)) if handle else None
        return self._increment(self._line(said, data))

    def _increment(self, text: str) -> Completion | None:
        return Completion([Choice(text)], created=self._created) if text else None

    def _line(self, said: _Answer, data: bytes) -> str:
        self._created = self._created or said.created
        self._sources.add(said.citations)
        self._metadata.update(_facts(said))
        if not said.choices:
            return ""
        choice = min(said.choices, key=lambda c: c.index or 0)
        self._sources.add(choice.citations)
        self._has_end = self._has_end or "finish_reason" in choice.model_fields_set
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason
            self._raw = as_mapping(data)
        text, is_piece = _content(choice)
        if is_piece or self._mode == "delta" or not text:
            return self._recapless(text, choice) if not is_piece else text
        return self._cumulative(text, choice)

    def _recapless(self, text: str, choice: _Choice) -> str:
        """Return a piece; nothing if it is a last line that repeats the whole text."""
        if not self._auto:
            return text
        if choice.finish_reason and text and text == self._so_far:
            return ""
        self._so_far += text
        return text

    def _cumulative(self, text: str, choice: _Choice) -> str:
        known = self._so_far
        if self._mode == "auto":
            if known and choice.finish_reason and text == known:
                return ""
            if known:
                longer = text.startswith(known) and len(text) > len(known)
                self._mode = "cumulative" if longer else "delta"
        if self._mode == "delta":
            return self._recapless(text, choice)
        if not text.startswith(known):
            raise MalformedResponseError("a cumulative line does not extend the text before it")
        self._so_far = text
        return text[len(known) :]

    def _run_facts(self, _said: _Answer, data: bytes) -> str:
        """Keep the ids of a run, wherever and however they are written."""
        event = as_mapping(data)
        inner = event.get("result")
        for place in (event, inner if isinstance(inner, dict) else {}):
            for name in ("conversation_id", "user_message_id", "assistant_message_id"):
                first, *others = name.split("_")
                value = place.get(name) or place.get(first + "".join(map(str.title, others)))
                if value:
                    self._metadata[name] = value
        return ""

    def _run_finished(self, said: _Answer, data: bytes) -> str:
        self._run_facts(said, data)
        self.ended = True
        self._raw = as_mapping(data)
        return ""

    def _custom(self, said: _Answer, _data: bytes) -> str:
        if said.name == "citations":
            self._sources.add(_contents(said.value))
        elif said.name == "retrieved" and isinstance(said.value, list):
            # split by size: the parts make one list
            self._metadata["retrieved"] = [*self._metadata.get("retrieved", ()), *said.value]
        elif said.name:
            self._metadata[said.name] = said.value
        return ""

    def finish(self, *, cut: bool) -> Completion | None:
        """Return the closing increment; None if the answer is not complete."""
        broken = cut or self._cut
        said = self._finish_reason is not None or (self._lines and not self._has_end)
        if not self.ended and (broken or not said):
            return None
        closing = self.rest()
        tail = self._utf8.decode(b"", final=True) if self._utf8 else ""
        closing.choices = [Choice(tail, finish_reason=self._finish_reason)]
        closing.raw = self._raw or {"choices": []}
        return closing

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        return Completion(
            [],
            created=self._created,
            citations=self._sources.citations(),
            metadata=dict(self._metadata),
        )


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
