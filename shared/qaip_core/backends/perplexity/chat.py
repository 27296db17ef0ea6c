"""Perplexity: chat completions with web search, and their sources.

Vendor page: https://docs.perplexity.ai/api-reference/chat-completions-post
The vendor ended this call on 2026-09-27; gateways may still serve it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from qaip_core.backend import Endpoint, Wire
from qaip_core.backends._openai import (
    ChunkDecoder,
    Shape,
    WireChoice,
    WireChunk,
    decode_whole,
    to_choice,
)
from qaip_core.backends._prompts import as_turns, parts_of
from qaip_core.backends.perplexity._service import PERPLEXITY, Result
from qaip_core.backends.perplexity.chat_params import FORMATS, PerplexityParams
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

if TYPE_CHECKING:  # few answers tell of steps
    from qaip_core.backends.perplexity._thoughts import Thoughts

__all__ = ["CHAT", "PerplexityParams"]


_STEPS = b'"reasoning_steps"'
_PARTS = frozenset({"image_url", "file_url", "pdf_url", "video_url"})


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
        self._thoughts: Thoughts | None = None

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        data = event.data
        text = self._outline.text(data) if event.name != "error" else None
        if text is not None:  # the sources are what they were, and of all counts the last stand
            self._unread = data
            self._later.append(text)
            return text
        self._catch_up()
        thinks = _STEPS in data
        speaks = thinks and bool(self._known or any(self._later))
        increment = super().feed(event)
        if thinks and (thought := self._thought(data)):
            return increment if speaks or increment is None else _after(thought, increment)
        if isinstance(increment, str):
            self._outline.learn(data)
        return increment

    def _thought(self, data: bytes) -> str:
        """Return what an event adds to the reasoning, which stands before the text."""
        from qaip_core.backends.perplexity._thoughts import Thoughts

        self._thoughts = self._thoughts or Thoughts()
        return self._thoughts.read(data, self._notes)

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
        known = super().rest()
        if self._thoughts and self._thoughts.steps:
            known.metadata["reasoning_steps"] = self._thoughts.steps
        return known


def _after(thought: str, increment: Increment) -> Completion:
    """Return an increment with what was thought before it."""
    if isinstance(increment, str):
        return Completion([Choice(increment, reasoning=thought)])
    increment.choices[0].reasoning += thought
    return increment


def _decode(body: Any) -> Completion:
    """Return a whole answer."""
    answer = decode_whole(_SHAPE, body)
    if not any("reasoning_steps" in (choice.get("message") or ()) for choice in body["choices"]):
        return answer
    from qaip_core.backends.perplexity._thoughts import with_steps

    return with_steps(answer, body)


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
    decode=_decode,
    decoder=_Decoder,
    required=("model",),
    cites=True,
    thinks=True,
    parts=_PARTS,
    formats=FORMATS,
    contexts=_CONTEXTS,
)
