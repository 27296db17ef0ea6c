"""Perplexity: chat completions with web search, and their sources.

Vendor page: https://docs.perplexity.ai/api-reference/chat-completions-post
The vendor ended this call on 2026-09-27; gateways may still serve it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from qaip_core.backend import Endpoint, Params, Wire
from qaip_core.backends._openai import (
    ChunkDecoder,
    Shape,
    WireChoice,
    WireChunk,
    decode_whole,
    to_choice,
)
from qaip_core.backends._prompts import as_turns, parts_of
from qaip_core.backends.perplexity._service import PERPLEXITY, Result, USDate
from qaip_core.errors import (
    InvalidParameterError,
    MalformedResponseError,
)
from qaip_core.framing import Event
from qaip_core.reading import Notes, Reader, ranked
from qaip_core.reasoning import ThinkSplitter
from qaip_core.template import Outline
from qaip_core.types import (
    Choice,
    Citation,
    Completion,
    Increment,
    Message,
    Part,
    Prompt,
)

__all__ = ["CHAT", "PerplexityParams"]


def _format(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type") not in _FORMATS | {"text"}:
        raise ValueError('its type is "json_schema" (with a schema) or "regex"')
    return value


_FORMATS = frozenset({"json_schema", "regex"})
_PARTS = frozenset({"image_url", "file_url", "pdf_url", "video_url"})


class PerplexityParams(Params):
    """Parameters of Perplexity's chat completions.

    Parameters:
        model: such as "sonar"; sent as it is.
        max_tokens: tokens of the answer, 1 to 128,000; prompt and answer share the window.
        temperature: 0 up to, not including, 2. The service's default is 0.2.
        top_p: 0 to 1. The service's default is 0.9.
        top_k: 0 (off) to 2048.
        presence_penalty: -2 to 2; not together with frequency_penalty.
        frequency_penalty: above 0, where 1 means none (it multiplies).
        search_domain_filter: domains to search, or with a leading "-" to leave out; at most 20
            (3 in the first version of the API).
        search_recency_filter: how old a source may be.
        return_images: whether the answer brings images; closed beta.
        return_related_questions: whether it brings further questions; closed beta.
        response_format: {"type": "json_schema", "json_schema": {"schema": ...}}, or a regex.
        reasoning_effort: how long a reasoning model thinks.
        search_mode: which index is searched.
        search_after_date_filter, search_before_date_filter: when a source was published,
            MM/DD/YYYY.
        last_updated_after_filter, last_updated_before_filter: when it last changed, MM/DD/YYYY.
        search_language_filter: languages of the sources, ISO 639-1.
        language_preference: language of the answer.
        disable_search: whether to answer without searching.
        enable_search_classifier: whether the service decides if it searches.
        web_search_options: {"search_context_size": "low" | "medium" | "high", ...}.
        image_domain_filter, image_format_filter: which images are returned.

    Those from ``response_format`` on came after the first version of the API.
    """

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1, le=128_000)] | None = None
    temperature: Annotated[float, Field(ge=0, lt=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2048)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(gt=0)] | None = None
    search_domain_filter: Annotated[list[str], Field(max_length=20)] | None = None
    search_recency_filter: Literal["hour", "day", "week", "month", "year"] | None = None
    return_images: bool | None = None
    return_related_questions: bool | None = None
    response_format: Annotated[dict[str, Any], AfterValidator(_format)] | None = None
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    search_mode: Literal["web", "academic", "sec"] | None = None
    search_after_date_filter: USDate | None = None
    search_before_date_filter: USDate | None = None
    last_updated_after_filter: USDate | None = None
    last_updated_before_filter: USDate | None = None
    search_language_filter: list[str] | None = None
    language_preference: str | None = None
    disable_search: bool | None = None
    enable_search_classifier: bool | None = None
    web_search_options: dict[str, Any] | None = None
    image_domain_filter: list[str] | None = None
    image_format_filter: list[str] | None = None

    @model_validator(mode="after")
    def _one_penalty(self) -> PerplexityParams:
        if self.presence_penalty is not None and self.frequency_penalty is not None:
            raise ValueError("presence_penalty and frequency_penalty exclude each other")
        return self


class _Chunk(WireChunk, total=False):
    search_results: Any  # read when they change, not in every event
    citations: Any
    images: list[Any] | None
    related_questions: list[Any] | None


class _Sources(Wire):
    search_results: list[Result | None] | None = None
    citations: list[Result | None] | None = None


_SOURCES: Reader[_Sources] = Reader(_Sources)


_Cited: TypeAlias = tuple[Citation, ...]


def _read(results: Any, links: Any, notes: Notes) -> tuple[_Cited, _Cited]:
    """Return the sources in the order that ``[n]`` counts: the results, and the bare links.

    One that cannot be read leaves its number to none.
    """
    if isinstance(links, list):
        links = [{"url": link} if isinstance(link, str) else link for link in links]
    read = _SOURCES.body({"search_results": results, "citations": links}, notes)
    return (
        tuple(r.citation(n) for n, r in ranked(read.search_results, notes, "search_results")),
        tuple(r.citation(n) for n, r in ranked(read.citations, notes, "citations")),
    )


def _citations(chunk: Mapping[str, Any], notes: Notes) -> _Cited:
    found, bare = _read(chunk.get("search_results"), chunk.get("citations"), notes)
    return found or bare


_SHAPE = Shape(_Chunk, PERPLEXITY.rules, ("images", "related_questions"), _citations)


class _Decoder(ChunkDecoder):
    """The service repeats all sources in every event: they are translated when they change."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params, _SHAPE)
        self._sources: Any = None
        self._links: Any = None
        self._found: _Cited = ()
        self._bare: _Cited = ()
        self._known = ""
        self._later: list[str] = []  # the text after what is known; joined only if that is asked
        self._outline = Outline(self._parts)
        self._unread = b""

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        data = event.data
        text = self._outline.text(data) if event.name != "error" else None
        if text is not None:  # the sources are what they were, and of all counts the last stand
            self._unread = data
            self._later.append(text)
            return text
        self._catch_up()
        increment = super().feed(event)
        if isinstance(increment, str):
            self._outline.learn(data)
        return increment

    def _text_of(self, data: bytes) -> str | None:  # noqa: ARG002
        return None  # events that differ in less than the outline allows are rare here

    def _parts(self, data: bytes) -> tuple[str | None, Any]:
        """Return an event's text, and what else of it has to be looked at in each event."""
        chunk: Any = self._read(data, {}, self._carries) or {}
        choice = (chunk.get("choices") or [{}])[0]
        delta = choice.get("delta") or {}
        for name in ("usage", "created"):
            chunk.pop(name, None)
        (choice.get("message") or {}).pop("content", None)  # it repeats what the delta adds
        return delta.pop("content", None), chunk

    def _catch_up(self) -> None:
        """Note what the last event said besides its text."""
        if self._unread:
            data, self._unread = self._unread, b""
            self._note(self._read(data, self._notes, self._carries))

    def _note(self, chunk: Any) -> None:
        super()._note(chunk)
        sources = chunk.get("search_results") or self._sources
        links = chunk.get("citations") or self._links
        if sources != self._sources or links != self._links:
            found, bare = _read(sources, links, self._notes)
            self._found, self._bare = found or self._found, bare or self._bare
            self._sources, self._links = sources, links

    def _delta(self, choice: WireChoice) -> Choice:
        delta = to_choice(choice, choice.get("delta"))
        whole = choice.get("message")
        if whole and choice.get("delta") is None:
            delta.text = self._longer(whole.get("content") or "")
        self._later.append(delta.text)
        return delta

    def _longer(self, text: str) -> str:
        if self._later:
            self._known += "".join(self._later)
            self._later.clear()
        known = self._known
        if text and not text.startswith(known):
            raise MalformedResponseError("a cumulative message does not extend the text before it")
        return text[len(known) :]

    def _citations(self) -> _Cited:
        return self._found or self._bare

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        self._catch_up()
        return super().rest()


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    body = {**params, "messages": _turns(as_turns(prompt))}
    return {**body, "stream": True} if stream else body


def _turns(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Bring turns into the order that the service demands: systems first, then alternating.

    Raises:
        InvalidParameterError: the conversation does not begin and end with the user.
    """
    ordered = sorted(messages, key=lambda m: m.role != "system")
    turns = [
        {"role": role, "content": _joined([_said(m) for m in run])}
        for role, run in groupby(ordered, key=_role)
    ]
    spoken = [turn["role"] for turn in turns if turn["role"] != "system"]
    if not spoken or "assistant" in (spoken[0], spoken[-1]):
        raise InvalidParameterError(
            "Perplexity takes conversations that begin (after system messages) and end with "
            "the user: drop assistant messages at either end, and ask something"
        )
    return turns


def _said(message: Message) -> str | Sequence[Part]:
    """Return the content of a turn; what the assistant only thought is not sent back."""
    content = parts_of(message, PERPLEXITY.title, _PARTS)
    if message.role != "assistant" or not isinstance(content, str):
        return content
    splitter = ThinkSplitter()
    return splitter.feed(content)[1] + splitter.close()[1]


def _role(message: Message) -> str:
    if message.role == "tool" or message.tool_calls:
        raise InvalidParameterError("Perplexity takes no tool calls or tool results")
    return message.role


def _joined(contents: Sequence[str | Sequence[Part]]) -> Any:
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(str(content) for content in contents)
    parts: list[Part] = []
    for content in contents:
        parts.extend([{"type": "text", "text": content}] if isinstance(content, str) else content)
    return parts


_CONTEXTS = {
    "sonar": 127_072,
    "sonar-pro": 200_000,
    "sonar-reasoning": 127_072,
    "sonar-reasoning-pro": 127_072,
    "sonar-deep-research": 127_072,
    "r1-1776": 127_072,
}

CHAT = Endpoint(
    backend=PERPLEXITY,
    path="/chat/completions",
    params=PerplexityParams,
    encode=_encode,
    decode=lambda body: decode_whole(_SHAPE, body),
    decoder=_Decoder,
    required=("model",),
    cites=True,
    thinks=True,
    parts=_PARTS,
    formats=_FORMATS,
    contexts=_CONTEXTS,
)
