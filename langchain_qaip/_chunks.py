"""From the increments of a stream to LangChain's chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk

from langchain_qaip._cut_calls import spoiling
from langchain_qaip._messages import late_facts, to_call, to_chunk, to_tools_used, to_usage
from qaip_core import Choice, Completion, ToolCall
from qaip_core.twins import twins
from qaip_core.types import Increment, ServerTool, join_tool_calls

__all__ = ["ChatChunks"]


class ChatChunks:
    """Turns the increments of one stream into chunks; each fact stands on one of them.

    Parameters:
        provider: the ``model_provider``.
        name_of: returns the model's name for the first increment.
    """

    def __init__(self, provider: str, name_of: Callable[[Completion], str]) -> None:
        self._called: list[ToolCall] = []
        self._name_of = name_of
        self._facts: dict[str, Any] = {"model_provider": provider}
        self._started = False
        self._replaced = False

    def of(self, increment: Increment) -> Sequence[ChatGenerationChunk]:
        """Return the chunks of an increment: none, one, or several."""
        if isinstance(increment, str):
            return (self._text(increment),)
        return self._of(increment)

    def _of(self, increment: Completion) -> Sequence[ChatGenerationChunk]:
        choice = increment.choice
        ready = [] if self._started else [self._first(increment)]
        if increment.server_tools:  # before the text: blocks stand in the order of their chunks
            ready.append(self._used(increment.server_tools))
            increment = replace(increment, server_tools=())
        if increment.replaces:
            self._replaced = True
            ready.append(self._replacement(choice.text))
            choice.text = ""
        if choice.reasoning:  # never on one chunk with text: LangChain would split the text
            ready.append(self._chunk(Choice(reasoning=choice.reasoning)))
            choice.reasoning = ""
        if choice.tool_calls:
            self._called.extend(choice.tool_calls)
        if choice.text or choice.tool_calls or choice.logprobs is not None:
            ready.append(self._chunk(choice))
        if increment.last:
            ready += self._spoiled()
            ready.append(self._closing(increment, choice))
        return ready

    def _first(self, increment: Completion) -> ChatGenerationChunk:
        """Return the opening chunk: whatever names the answer, and no text."""
        self._name = self._name_of(increment)
        facts = {**self._facts, "model_name": self._name}
        message = AIMessageChunk(content="", id=increment.id, response_metadata=facts)
        self._started = True
        self._id = increment.id
        plain = AIMessageChunk(content="", id=increment.id)
        self._message, self._chunk_of = twins(plain), twins(ChatGenerationChunk(message=plain))
        return ChatGenerationChunk(message=message)

    def _text(self, text: str) -> ChatGenerationChunk:
        facts = self._facts.copy()
        said = {"content": text, "response_metadata": facts, "additional_kwargs": {}}
        return self._chunk_of({"text": text, "message": self._message(said)})

    def _replacement(self, text: str) -> ChatGenerationChunk:
        """Return a chunk that says what all text so far is to be replaced by."""
        more = {"replacements": [text]}
        facts = dict(self._facts)
        message = AIMessageChunk(
            content="", id=self._id, additional_kwargs=more, response_metadata=facts
        )
        return ChatGenerationChunk(message=message)

    def _used(self, tools: Sequence[ServerTool]) -> ChatGenerationChunk:
        """Return a chunk that says what the service did, and holds no text."""
        more, facts = to_tools_used(tools), dict(self._facts)
        message = AIMessageChunk(
            content="", id=self._id, additional_kwargs=more, response_metadata=facts
        )
        return ChatGenerationChunk(message=message)

    def _chunk(self, choice: Choice) -> ChatGenerationChunk:
        message = to_chunk(choice, dict(self._facts), self._id)
        info = {"logprobs": choice.logprobs} if choice.logprobs is not None else None
        return ChatGenerationChunk(message=message, generation_info=info)

    def _closing(self, increment: Completion, choice: Choice) -> ChatGenerationChunk:
        if self._replaced:
            increment = increment.without_spans()
        more, late = late_facts(increment, choice)
        if increment.model and increment.model != self._name:  # told too late for `model_name`
            late["resolved_model"] = increment.model
        message = AIMessageChunk(
            content="",
            id=self._id,
            additional_kwargs=more,
            response_metadata={**self._facts, **late},
            usage_metadata=to_usage(increment.usage),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)

    def _spoiled(self) -> list[ChatGenerationChunk]:
        """Return fragments that make invalid what is no call, as it is in a whole answer.

        LangChain guesses the end of arguments that were cut; an agent would run the guess.
        """
        calls = join_tool_calls(self._called)
        broken = [call for call in calls if to_call(call)["type"] == "invalid_tool_call"]
        return [self._spoil(call, tail) for call in broken if (tail := spoiling(call.arguments))]

    def _spoil(self, call: ToolCall, tail: str) -> ChatGenerationChunk:
        chunk = self._chunk(Choice(tool_calls=(ToolCall(arguments=tail, index=call.index),)))
        chunk.message.additional_kwargs["cut_calls"] = [{"id": call.id, "tail": tail}]
        return chunk
