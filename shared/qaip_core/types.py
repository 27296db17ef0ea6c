"""The vocabulary that every service's wire format is translated into.

A whole answer and the increments of a streamed one are of the same type, `Completion`:
the increments of a stream add up to the whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypeGuard

__all__ = [
    "UNMARKED",
    "Choice",
    "Citation",
    "Completion",
    "Increment",
    "Message",
    "ModelInfo",
    "Part",
    "Prompt",
    "Role",
    "ServerTool",
    "Span",
    "ToolCall",
    "Usage",
    "add_up",
    "join_logprobs",
    "join_tool_calls",
    "source_id",
]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
Part: TypeAlias = Mapping[str, Any]
"""A content part in the chat-completions form, such as ``{"type": "text", "text": "..."}``."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model asks for; while streaming, a fragment of one.

    Parameters:
        name: the function's name; empty on later fragments.
        arguments: JSON text; fragments concatenate.
        id: the call's id; None on later fragments.
        index: which of the calls a fragment belongs to.
        signature: what some models want back with the call; opaque.
    """

    name: str = ""
    arguments: str = ""
    id: str | None = None
    index: int = 0
    signature: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A tool that the service itself used on the way to its answer, such as a search.

    Parameters:
        id: tells it from others; ours where the service gives none.
        name: the tool, by the name under which the service is given it.
        arguments: what it was asked, as far as the service says.
        output: what came of it, as sent.
    """

    id: str
    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: Any = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "id": self.id,
            "name": self.name,
            "arguments": dict(self.arguments),
            "output": self.output,
        }


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Parameters:
        role: who speaks.
        content: text, or parts where the service takes them.
        tool_calls: calls that an assistant turn made.
        tool_call_id: the call that a tool turn answers.
        reasoning: the assistant's reasoning, replayed where the service takes it.
    """

    role: Role
    content: str | Sequence[Part]
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


Prompt: TypeAlias = str | Sequence[Message]


@dataclass(frozen=True, slots=True)
class Span:
    """Where a citation's marker stands in the answer: ``text[start:end]``."""

    start: int
    end: int


UNMARKED = -1
"""The marker of a source that no marker in the answer can name."""


def source_id(url: str | None, text: str | None, page_number: int | None) -> str:
    """Return a stable id for a source that has none on the wire."""
    key = "\x1f".join((url or "", text or "", str(page_number or "")))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Citation:
    """A source that the service gives for its answer.

    Parameters:
        id: the wire's stable chunk id, else a hash of url, text and page.
        url: where the source can be read; None if the service gives none.
        title: its title or file name.
        text: the passage that was used, as sent.
        page_number: from 1; None if the source has no pages.
        date: publication date, as sent.
        score: the service's own relevance; None where it gives none. Never computed here.
        rank: place in the service's list, from 1; a source that cannot be read leaves a gap.
        marker: n of the ``[n]`` (or ``[web:n]``) that names it, where the service numbers its
            sources by itself; None for its rank, `UNMARKED` if no marker can name it.
        spans: where such markers in the answer stand.
        metadata: everything else that the service says of it.
    """

    id: str
    url: str | None = None
    title: str | None = None
    text: str | None = None
    page_number: int | None = None
    date: str | None = None
    score: float | None = None
    rank: int | None = None
    marker: int | None = None
    spans: tuple[Span, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what is known of the source, without text, id and spans, Nones left out.

        This is the metadata of a LangChain Document and of a LlamaIndex node alike.
        """
        known = {
            "source": self.url or self.title,
            "url": self.url,
            "title": self.title,
            "page_number": self.page_number,
            "date": self.date,
            "score": self.score,
            "rank": self.rank,
            "marker": None if self.marker == UNMARKED else self.marker,
        }
        ours = {k: v for k, v in known.items() if v is not None}
        return {**{k: v for k, v in self.metadata.items() if v is not None}, **ours}

    def as_dict(self) -> dict[str, Any]:
        """Return the citation as plain data: facts, id, text, and spans as pairs."""
        return {
            **self.facts(),
            "id": self.id,
            "text": self.text or "",
            "spans": [[span.start, span.end] for span in self.spans],
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one request.

    Parameters:
        input_tokens: tokens of the prompt.
        output_tokens: tokens of the answer, reasoning included.
        total_tokens: as sent, else the sum.
        cached_tokens: the part of the input read from a cache.
        reasoning_tokens: the part of the output spent on reasoning.
        counts: other whole numbers that the service reports, by its names.
        cache_written_tokens: the part of the input written to a cache.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    cache_written_tokens: int | None = None

    def as_counts(self) -> dict[str, int]:
        """Return the counts under the names that token counters of both frameworks read."""
        return {
            **self.counts,
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.total_tokens,
        }

    def details(self) -> dict[str, int]:
        """Return what is known of the parts that input and output are made of."""
        parts = {
            "cached_tokens": self.cached_tokens,
            "cache_written_tokens": self.cache_written_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }
        return {name: count for name, count in parts.items() if count is not None}


@dataclass(slots=True)
class Choice:
    """One of the answers to a request (``n`` of them where the service offers it)."""

    text: str = ""
    index: int = 0
    reasoning: str = ""
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Any = None

    def __add__(self, later: Choice) -> Choice:
        return Choice(
            text=self.text + later.text,
            index=self.index,
            reasoning=self.reasoning + later.reasoning,
            finish_reason=later.finish_reason or self.finish_reason,
            tool_calls=join_tool_calls((*self.tool_calls, *later.tool_calls)),
            logprobs=join_logprobs((self.logprobs, later.logprobs)),
        )


@dataclass(slots=True)
class Completion:
    """An answer, or the increment of one that a stream event brings.

    Parameters:
        choices: usually one.
        id: the service's id of the answer.
        model: the model that answered, where the service names it.
        created: Unix seconds.
        usage: None where the service reports none.
        citations: the answer's sources, complete, in the service's order.
        metadata: what else the service says (cost, images, ids, headers), by its names;
            ``malformed`` lists the paths of what could not be read, such as
            ``search_results.2``, and is absent if there is nothing.
        raw: the body of a whole answer, the closing event of a streamed one; null stands for
            NaN and infinity, and ``usage`` holds what can be read of it.
        last: True on a whole answer and on the last increment of a stream.
        replaces: the service takes back all text so far; this increment begins anew.
        server_tools: the tools that the service used; an increment holds those that are new.
    """

    choices: list[Choice]
    id: str | None = None
    model: str | None = None
    created: int | None = None
    usage: Usage | None = None
    citations: tuple[Citation, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    raw: dict[str, Any] | None = None
    last: bool = False
    replaces: bool = False
    server_tools: tuple[ServerTool, ...] = ()

    @property
    def choice(self) -> Choice:
        """The first choice (that with the lowest index); an empty one if there is none."""
        if len(self.choices) == 1:
            return self.choices[0]
        return min(self.choices, key=lambda c: c.index) if self.choices else Choice()

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choice.text

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended."""
        return self.choice.finish_reason

    def without_spans(self) -> Completion:
        """Return a copy whose citations have no offsets, since they fit no text that was shown."""
        return replace(self, citations=tuple(replace(c, spans=()) for c in self.citations))

    def __add__(self, later: Completion) -> Completion:
        """Return the sum of two neighbouring increments."""
        by_index = {} if later.replaces else {c.index: c for c in self.choices}
        for choice in later.choices:
            known = by_index.get(choice.index)
            by_index[choice.index] = known + choice if known else choice
        return replace(
            later,
            choices=list(by_index.values()),
            id=self.id or later.id,
            model=self.model or later.model,
            created=self.created or later.created,
            usage=later.usage or self.usage,
            citations=later.citations or self.citations,
            metadata={**self.metadata, **later.metadata},
            raw=later.raw or self.raw,
            replaces=self.replaces or later.replaces,
            server_tools=(*self.server_tools, *later.server_tools),
        )


Increment: TypeAlias = Completion | str
"""What a stream brings; text of the only choice, and nothing else, may be bare."""


def add_up(increments: Iterable[Increment]) -> Completion:
    """Return the sum of the increments of one stream, at a cost linear in its length."""
    listed = list(increments)
    if len(listed) == 1 and _is_sum(listed[0]):  # as whole answers are
        return listed[0]
    pieces: dict[int, list[Choice]] = {}
    total = Completion([])
    for increment in listed:
        if isinstance(increment, str):
            pieces.setdefault(0, []).append(Choice(increment))
            continue
        if increment.replaces:
            pieces.clear()
        for choice in increment.choices:
            pieces.setdefault(choice.index, []).append(choice)
        total = total + replace(increment, choices=[])
    return replace(total, choices=[_joined(choices) for choices in pieces.values()])


def _is_sum(increment: Increment) -> TypeGuard[Completion]:
    """Tell whether there is nothing in an increment to be joined."""
    return (
        not isinstance(increment, str)
        and bool(increment.raw)
        and len(increment.choices) == 1
        and len(increment.choices[0].tool_calls) < 2
    )


def _joined(pieces: Sequence[Choice]) -> Choice:
    reasons = [piece.finish_reason for piece in pieces if piece.finish_reason]
    return Choice(
        text="".join([piece.text for piece in pieces]),
        index=pieces[0].index,
        reasoning="".join([piece.reasoning for piece in pieces]),
        finish_reason=reasons[-1] if reasons else None,
        tool_calls=join_tool_calls(call for piece in pieces for call in piece.tool_calls),
        logprobs=join_logprobs(piece.logprobs for piece in pieces),
    )


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a service offers.

    Parameters:
        id: the name to pass as ``model``.
        created: Unix seconds, where known.
        owned_by: the account that owns it.
        context_length: tokens, where known.
        metadata: everything else that the service says of it.
    """

    id: str
    created: int | None = None
    owned_by: str | None = None
    context_length: int | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def join_tool_calls(fragments: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    """Join the fragments of tool calls by their index, in linear time."""
    calls: dict[int, list[ToolCall]] = {}
    for fragment in fragments:
        calls.setdefault(fragment.index, []).append(fragment)
    return tuple(
        ToolCall(
            name=next((piece.name for piece in pieces if piece.name), ""),
            arguments="".join([piece.arguments for piece in pieces]),
            id=next((piece.id for piece in pieces if piece.id), pieces[-1].id),
            index=index,
            signature=next((piece.signature for piece in pieces if piece.signature), None),
        )
        for index, pieces in calls.items()
    )


def join_logprobs(pieces: Iterable[Any]) -> Any:
    """Join the per-token lists that both log-probability formats are made of, in linear time."""
    total: Any = None
    for piece in pieces:
        if piece is None:
            continue
        if not isinstance(total, dict) or not isinstance(piece, dict):
            total = _own_lists(piece)
            continue
        for key, value in _own_lists(piece).items():
            known = total.get(key)
            if isinstance(known, list) and isinstance(value, list):
                known += value
            elif value is not None or key not in total:
                total[key] = value
    return total


def _own_lists(piece: Any) -> Any:
    if not isinstance(piece, dict):
        return piece
    return {k: list(v) if isinstance(v, list) else v for k, v in piece.items()}
