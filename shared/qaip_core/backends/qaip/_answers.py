"""What Qaip writes of an answer: whole, as a line of a stream, or as an AG-UI event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

from qaip_core.backend import Wire
from qaip_core.backends.qaip._service import QAIP, Content
from qaip_core.errors import ServerReportedError
from qaip_core.reading import Notes, Reader, ranked
from qaip_core.report import stream_error
from qaip_core.types import Citation, source_id

__all__ = [
    "CONTENTS",
    "IDS",
    "ON_CHOICE",
    "READER",
    "RESULT",
    "RUN",
    "Said",
    "SaidChoice",
    "Sources",
    "content_of",
    "facts_of",
    "first_of",
    "is_error",
    "reported",
    "with_web",
]


class _Message(TypedDict, total=False):
    content: str | None


class SaidChoice(TypedDict, total=False):
    index: int | None
    message: _Message | None
    delta: _Message | None
    text: str | None
    finish_reason: str | None
    citations: list[Content | None] | None
    web_citations: list[Any] | None
    web_search_queries: list[Any] | None
    search_suggestion: str | None


class Said(TypedDict, total=False):
    """A whole answer, a line of a streamed one, or an AG-UI event."""

    created: Any
    choices: list[SaidChoice] | None
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


class _WebPage(Wire):
    title: str | None = None
    url: str | None = None


class _WebPages(Wire):
    web_citations: list[_WebPage | None] | None = None


IDS: Mapping[str, str] = {
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


class _Result(TypedDict, total=False):
    """The completion that a run's end repeats; it accompanies the events, so all may be null."""

    created: Any
    choices: list[SaidChoice | None] | None
    citations: list[Content | None] | None
    retrieved: list[Any] | None
    redacted_input: dict[str, Any] | None


_CARRIES = frozenset(
    {
        "", "type", "choices", "choices.*", "choices.*.text", "choices.*.finish_reason",
        "choices.*.delta", "choices.*.delta.content",
        "choices.*.message", "choices.*.message.content",
    }
)  # fmt: skip
_ON_ANSWER = (*IDS, "retrieved", "redacted_input")
ON_CHOICE = ("web_citations", "web_search_queries", "search_suggestion")


def is_error(body: Mapping[str, Any]) -> bool:
    if body.get("error") or body.get("type") == "RUN_ERROR":
        return True
    is_other = body.get("choices") is not None or body.get("type") is not None
    return not is_other and any(body.get(name) for name in ("code", "message", "detail"))


def reported(body: Mapping[str, Any]) -> ServerReportedError:
    error = stream_error(body, QAIP.rules)
    error.is_retryable = error.is_retryable and body.get("type") != "RUN_ERROR"
    named = body.get("request_id") or body.get("requestId")
    error.request_id = named if isinstance(named, str) else None
    return error


READER: Reader[Said] = Reader(
    Said,
    _CARRIES,
    lambda body: reported(body) if isinstance(body, dict) and is_error(body) else None,
)
CONTENTS: Reader[_Contents] = Reader(_Contents)
RUN: Reader[Mapping[str, Any]] = Reader(_Run)
RESULT: Reader[_Result] = Reader(_Result)
_WEB: Reader[_WebPages] = Reader(_WebPages)


def facts_of(answer: Said) -> dict[str, Any]:
    choices = answer.get("choices")
    first: Mapping[str, Any] = choices[0] if choices else {}
    pairs = [(n, answer.get(n)) for n in _ON_ANSWER] + [(n, first.get(n)) for n in ON_CHOICE]
    return {name: value for name, value in pairs if value is not None}


def with_web(
    citations: tuple[Citation, ...], facts: Mapping[str, Any], notes: Notes, at: str = ""
) -> tuple[Citation, ...]:
    """Return the sources with the web pages that grounding has used after them."""
    if not (listed := facts.get("web_citations")):
        return citations
    pages = _WEB.body({"web_citations": listed}, notes, at).web_citations
    found = ranked(pages, notes, f"{at}web_citations")
    known = max((c.rank or 0 for c in citations), default=0)
    return *citations, *(
        Citation(
            id=source_id(page.url, None, None),
            url=page.url,
            title=page.title,
            rank=known + place,
            metadata={"grounding": True},
        )
        for place, page in found
        if page.url or page.title
    )


def content_of(choice: SaidChoice) -> tuple[str, bool]:
    """Return a choice's text, and whether it is a piece for certain."""
    if (delta := choice.get("delta")) is not None:
        return delta.get("content") or "", True
    if (message := choice.get("message")) is not None:
        return message.get("content") or "", False
    return choice.get("text") or "", False


def first_of(choices: Sequence[SaidChoice]) -> tuple[int, SaidChoice]:
    """Return the choice of the lowest index, and its place."""
    return min(enumerate(choices), key=lambda pair: pair[1].get("index") or 0)


class Sources:
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
