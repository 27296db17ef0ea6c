"""From the core's answers, whole and growing, to LlamaIndex's responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, Generic, Protocol, TypeVar

from llama_index.core.base.llms.types import (
    CitationBlock,
    ContentBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms import ChatMessage, ChatResponse, CompletionResponse, MessageRole
from pydantic_core import from_json

from llama_index_qaip._logprobs import to_logprobs
from qaip_core import Choice, Citation, Completion, ToolCall
from qaip_core.twins import twins
from qaip_core.types import Increment, join_logprobs, join_tool_calls

__all__ = ["ChatShape", "Growth", "Shape", "TextShape", "is_whole"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Response = TypeVar("Response", ChatResponse, CompletionResponse)
_EMPTY = Choice()


def is_whole(response: ChatResponse) -> bool:
    """Tell a whole answer, or the last response of a stream, from one that is still growing."""
    return response.delta is None or "citations" in response.additional_kwargs


class Shape(Protocol[R_co]):
    """The form that answers take."""

    def grown(self, text: str, so_far: Choice) -> R_co:
        """Return what `piece` does, where only text is new, as it most often is."""
        ...

    def piece(self, delta: Choice, so_far: Choice) -> R_co:
        """Return what a stream shows of an answer that is still growing.

        Parameters:
            delta: what is new.
            so_far: all of it, what is new included.
        """
        ...

    def whole(self, answer: Completion, delta: Choice | None = None) -> R_co:
        """Return a whole answer; ``delta`` is its last piece, where it was streamed."""
        ...


class ChatShape(Shape[ChatResponse]):
    """Answers as messages.

    The message's own ``additional_kwargs`` stay empty: LlamaIndex writes them into prompts. They
    hold signatures of tool calls, where the service wants these back.

    Parameters:
        citation_blocks: whether a message holds a block for each citation.
    """

    def __init__(self, *, citation_blocks: bool) -> None:
        self._citation_blocks = citation_blocks

    def grown(self, text: str, so_far: Choice) -> ChatResponse:
        blocks = _text_blocks(so_far)
        if so_far.tool_calls:
            blocks.extend(_call_block(c, c.arguments) for c in so_far.tool_calls)
        message = _said()({"blocks": blocks, "additional_kwargs": {}})
        return ChatResponse(message=message, delta=text)

    def piece(self, delta: Choice, so_far: Choice) -> ChatResponse:
        return _noted(self.grown(delta.text, so_far), delta)

    def whole(self, answer: Completion, delta: Choice | None = None) -> ChatResponse:
        choice = answer.choice
        blocks = [*_text_blocks(choice), *map(_tool_call, choice.tool_calls)]
        if self._citation_blocks:
            blocks.extend(map(_citation, answer.citations))
        signed = {c.id: c.signature for c in choice.tool_calls if c.id and c.signature}
        kept: Any = {"additional_kwargs": {"thought_signatures": signed}} if signed else {}
        return ChatResponse(
            message=ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks, **kept),
            delta=delta and delta.text,
            raw=answer.raw,
            additional_kwargs={**_facts(answer), **_thinking(delta)},
            logprobs=to_logprobs(choice.logprobs),
        )


class TextShape(Shape[CompletionResponse]):
    """Answers as text; reasoning is in ``additional_kwargs["thinking"]``."""

    def grown(self, text: str, so_far: Choice) -> CompletionResponse:
        return CompletionResponse(text=so_far.text, delta=text)

    def piece(self, delta: Choice, so_far: Choice) -> CompletionResponse:
        return _noted(self.grown(delta.text, so_far), delta)

    def whole(self, answer: Completion, delta: Choice | None = None) -> CompletionResponse:
        choice = answer.choice
        whole_thinking = {"thinking": choice.reasoning} if choice.reasoning else {}
        return CompletionResponse(
            text=choice.text,
            delta=delta and delta.text,
            raw=answer.raw,
            additional_kwargs={**_facts(answer), **whole_thinking, **_thinking(delta)},
            logprobs=to_logprobs(choice.logprobs),
        )


class Growth(Generic[R]):
    """Turns the increments of one stream into responses, each of which holds all before it.

    Parameters:
        shape: the form of the responses.
    """

    def __init__(self, shape: Shape[R]) -> None:
        self._shape = shape
        self._head: Completion | None = None
        self._so_far = Choice()
        self._logprobs: list[Any] = []  # joined once: each time, they would all be copied

    def add(self, increment: Increment) -> R:
        """Return the response of the next increment; the last one is the whole answer."""
        if isinstance(increment, str):
            self._so_far.text += increment
            return self._shape.grown(increment, self._so_far)
        return self._add(increment)

    def _add(self, increment: Completion) -> R:
        delta = _first(increment.choices)
        so_far = self._so_far
        if self._head is None:
            self._head = replace(increment, choices=[])
        if increment.replaces:
            so_far.text = ""
        so_far.text += delta.text
        so_far.reasoning += delta.reasoning
        if delta.tool_calls:
            so_far.tool_calls = join_tool_calls((*so_far.tool_calls, *delta.tool_calls))
        if delta.logprobs is not None:
            self._logprobs.append(delta.logprobs)
        if not increment.last:
            return self._shape.piece(delta, so_far)
        so_far.finish_reason = delta.finish_reason
        so_far.logprobs = join_logprobs(self._logprobs)
        answer = replace(self._head + increment, choices=[so_far])
        return self._shape.whole(answer, delta)


def _first(choices: list[Choice]) -> Choice:
    """Return the first choice; with n > 1 an increment may belong to another one."""
    for choice in choices:
        if choice.index == 0:
            return choice
    return _EMPTY


@cache
def _said() -> Callable[[dict[str, Any]], ChatMessage]:
    """Return what makes messages; the constructor tries a block as each kind that there is."""
    return twins(ChatMessage(role=MessageRole.ASSISTANT, blocks=[]))


def _text_blocks(choice: Choice) -> list[ContentBlock]:
    text = TextBlock(text=choice.text)
    return [ThinkingBlock(content=choice.reasoning), text] if choice.reasoning else [text]


def _noted(response: Response, delta: Choice) -> Response:
    """Add what few increments have; to validate its absence each time costs a tenth of all."""
    if delta.reasoning:
        response.additional_kwargs = _thinking(delta)
    if delta.logprobs is not None:
        response.logprobs = to_logprobs(delta.logprobs)
    return response


def _thinking(delta: Choice | None) -> dict[str, Any]:
    return {"thinking_delta": delta.reasoning} if delta and delta.reasoning else {}


def _facts(answer: Completion) -> dict[str, Any]:
    known = {
        "id": answer.id,
        "model": answer.model,
        "created": answer.created,
        "finish_reason": answer.finish_reason,
    }
    usage = answer.usage
    return {
        **answer.metadata,
        **({**usage.as_counts(), **usage.details()} if usage else {}),
        **{k: v for k, v in known.items() if v is not None},
        **(
            {"server_tools": [t.as_dict() for t in answer.server_tools]}
            if answer.server_tools
            else {}
        ),
        "citations": [citation.as_dict() for citation in answer.citations],
    }


def _citation(citation: Citation) -> CitationBlock:
    place: dict[str, int] = {}
    if citation.spans:
        place.update(start_index=citation.spans[0].start, end_index=citation.spans[0].end)
    if citation.page_number is not None:
        place["page_number"] = citation.page_number
    return CitationBlock(
        cited_content=TextBlock(text=citation.text or ""),
        source=citation.url or citation.title or citation.id,
        title=citation.title or citation.url or citation.id,
        additional_location_info=place,
    )


def _tool_call(call: ToolCall) -> ToolCallBlock:
    """Return a call with its arguments decoded; as they are, if they are no JSON object."""
    try:
        arguments = from_json(call.arguments or "{}")
    except ValueError:
        arguments = call.arguments
    return _call_block(call, arguments if isinstance(arguments, dict) else call.arguments)


def _call_block(call: ToolCall, arguments: dict[str, Any] | str) -> ToolCallBlock:
    """Return a call; LlamaIndex needs an id for it, engines may leave it out."""
    name = call.id or f"call_{call.index}"
    return ToolCallBlock(tool_call_id=name, tool_name=call.name, tool_kwargs=arguments)
