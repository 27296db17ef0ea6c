"""Between LangChain's messages and the core's vocabulary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_qaip._content import reasoning_of, to_content
from langchain_qaip._cut_calls import unspoiled
from langchain_qaip.errors import InvalidParameterError
from qaip_core import Choice, Citation, Completion, Message, ToolCall, Usage
from qaip_core.citations import distinct
from qaip_core.types import Role, ServerTool

__all__ = [
    "documents",
    "late_facts",
    "to_annotations",
    "to_call",
    "to_chunk",
    "to_documents",
    "to_message",
    "to_signatures",
    "to_tools_used",
    "to_turns",
    "to_usage",
]

# Chunks are of these classes too, but their ``type`` is another.
_KINDS: Sequence[tuple[type[BaseMessage], Role]] = (
    (SystemMessage, "system"),
    (HumanMessage, "user"),
    (AIMessage, "assistant"),
    (ToolMessage, "tool"),
)
_NAMED: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "tool": "tool",
}


def to_turns(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return messages as turns.

    Raises:
        InvalidParameterError: a message is of a kind that no service takes.
    """
    return [_turn(message) for message in messages]


def _turn(message: BaseMessage) -> Message:
    return Message(
        _role(message),
        to_content(message),
        tool_calls=_tool_calls(message) if isinstance(message, AIMessage) else (),
        tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else None,
        reasoning=reasoning_of(message),
    )


def _role(message: BaseMessage) -> Role:
    for kind, role in _KINDS:
        if isinstance(message, kind):
            return role
    named = _NAMED.get(getattr(message, "role", ""))
    if named is None:
        said = getattr(message, "role", None)
        what = f"of role {said!r}" if said else f"of type {message.type!r}"
        raise InvalidParameterError(f"a message {what} cannot be sent: no service takes it")
    return named


def _tool_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    """Return the calls of a turn; also those that were no JSON, since a result answers each."""
    calls = [(c["name"], json.dumps(c["args"], default=str), c["id"]) for c in message.tool_calls]
    cut = message.additional_kwargs.get("cut_calls", ())
    wrong = message.invalid_tool_calls
    calls += [(c["name"] or "", unspoiled(c, cut), c["id"]) for c in wrong]
    signed: Mapping[str | None, str] = message.additional_kwargs.get("thought_signatures") or {}
    return tuple(ToolCall(*call, index, signed.get(call[2])) for index, call in enumerate(calls))


def to_message(answer: Completion, choice: Choice, provider: str, model: str) -> AIMessage:
    """Return one choice of a whole answer as a message."""
    calls: dict[str, Any] = {}
    if choice.tool_calls:  # two empty lists would be looked at, one by one
        read = [to_call(call) for call in choice.tool_calls]
        calls["tool_calls"] = [call for call in read if call["type"] == "tool_call"]
        calls["invalid_tool_calls"] = [c for c in read if c["type"] == "invalid_tool_call"]
    more, facts = late_facts(answer, choice)
    if choice.reasoning:
        more["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        more.update(to_signatures(choice.tool_calls))
    return AIMessage(
        content=choice.text,
        id=answer.id,
        additional_kwargs=more,
        response_metadata={"model_provider": provider, "model_name": model, **facts},
        usage_metadata=to_usage(answer.usage),
        **calls,
    )


def to_call(call: ToolCall) -> Any:
    """Return a tool call; an invalid one if its arguments are no JSON object."""
    try:
        arguments = json.loads(call.arguments or "{}", strict=False)  # raw line breaks are common
        if not isinstance(arguments, dict):
            raise ValueError("the arguments are no JSON object")
        return tool_call(name=call.name, args=arguments, id=call.id)
    except ValueError as error:
        return invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=str(error))


def late_facts(answer: Completion, choice: Choice) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a message says of the whole answer: additional_kwargs, response_metadata.

    In a stream both stand on the last chunk only, since LangChain adds chunks up key by key.
    """
    facts: dict[str, Any] = dict(answer.metadata)
    if choice.finish_reason:
        facts["finish_reason"] = choice.finish_reason
    if answer.created is not None:
        facts["created"] = answer.created
    if answer.usage is not None:
        facts["token_usage"] = answer.usage.as_counts()
    more: dict[str, Any] = {}
    if answer.citations:
        more["annotations"] = to_annotations(answer.citations)
        more["citations"] = [citation.as_dict() for citation in answer.citations]
    return {**more, **to_tools_used(answer.server_tools)}, facts


def to_tools_used(tools: Sequence[ServerTool]) -> dict[str, Any]:
    """Return what a message keeps of the tools that the service itself used."""
    return {"server_tools": [tool.as_dict() for tool in tools]} if tools else {}


def to_signatures(calls: Sequence[ToolCall]) -> dict[str, Any]:
    """Return what a message keeps of calls that have to go back with a signature."""
    signed = {call.id: call.signature for call in calls if call.id and call.signature}
    return {"thought_signatures": signed} if signed else {}


def to_chunk(choice: Choice, facts: dict[str, Any], message_id: str | None) -> AIMessageChunk:
    """Return an increment of an answer; text and reasoning never stand on one chunk."""
    fragments = [
        tool_call_chunk(name=c.name or None, args=c.arguments, id=c.id, index=c.index)
        for c in choice.tool_calls
    ]
    thought = {"reasoning_content": choice.reasoning} if choice.reasoning else {}
    return AIMessageChunk(
        content=choice.text,
        id=message_id,
        response_metadata=facts,
        additional_kwargs={**thought, **to_signatures(choice.tool_calls)},
        tool_call_chunks=fragments,
    )


def to_annotations(citations: Sequence[Citation]) -> list[dict[str, Any]]:
    """Return LangChain's citation annotations: one for each marker, or one for the source."""
    return [
        {
            "type": "citation",
            "id": citation.id,
            **({"url": citation.url} if citation.url else {}),
            **({"title": citation.title} if citation.title else {}),
            **({"cited_text": citation.text} if citation.text else {}),
            **place,
            "extras": citation.facts(),
        }
        for citation in citations
        for place in (
            [{"start_index": s.start, "end_index": s.end} for s in citation.spans] or [{}]
        )
    ]


def documents(message: BaseMessage) -> list[Document]:
    """Return the sources of an answer as Documents, in the service's order.

    Parameters:
        message: an answer of one of this package's chat models, or any message whose content
            holds LangChain's citation annotations.

    Returns:
        One Document for each source: its id is that of the citation, its text the passage that
        the service quotes, its metadata url, title, page_number, date, score and rank, each
        where the service gives it.
    """
    if not isinstance(message, BaseMessage):
        raise InvalidParameterError(f"documents() takes one message, not {type(message).__name__}")
    kept = message.additional_kwargs.get("citations") or ()
    ours = [c for c in kept if isinstance(c, Mapping) and "id" in c]  # other packages keep links
    return _distinct(ours or _annotated(message))


def to_documents(found: Iterable[Citation]) -> list[Document]:
    """Return what a search found as Documents; a source that is listed twice is one."""
    return _distinct(citation.as_dict() for citation in found)


def _distinct(citations: Iterable[Mapping[str, Any]]) -> list[Document]:
    return [
        Document(
            id=citation["id"],
            page_content=citation["text"],
            metadata={k: v for k, v in citation.items() if k not in ("id", "text", "spans")},
        )
        for citation in distinct(citations)
    ]


def _annotated(message: BaseMessage) -> Iterator[dict[str, Any]]:
    """Yield what the annotations say of the sources, for a message that kept only its content."""
    for block in message.content_blocks:
        for note in cast("Any", block).get("annotations") or ():
            if note.get("type") == "citation":
                named = {k: note[k] for k in ("url", "title") if note.get(k)}
                text = note.get("cited_text") or ""
                facts = {**(note.get("extras") or {}), **named}
                yield {**facts, "id": note.get("id"), "text": text}


def to_usage(usage: Usage | None) -> UsageMetadata | None:
    """Return the token counts; None where the service reports none."""
    if usage is None:
        return None
    counts = UsageMetadata(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
    )
    details = InputTokenDetails()
    if usage.cached_tokens is not None:
        details["cache_read"] = usage.cached_tokens
    if usage.cache_written_tokens is not None:
        details["cache_creation"] = usage.cache_written_tokens
    if details:
        counts["input_token_details"] = details
    if usage.reasoning_tokens is not None:
        counts["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return counts
