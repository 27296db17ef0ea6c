"""From the increments of a stream to LangChain's v3 events, without the detour over chunks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_qaip._messages import (
    late_facts,
    to_call,
    to_signatures,
    to_tools_used,
    to_usage,
)
from langchain_qaip._translator import server_blocks
from qaip_core import Choice, Completion, ToolCall
from qaip_core.types import Increment, ServerTool, join_logprobs

__all__ = ["Event", "Events"]

Event = dict[str, Any]

_TEXT, _REASONING = "text", "reasoning"


@dataclass(slots=True)
class _Block:
    """One content block, as far as it has arrived."""

    index: int
    pieces: list[str]
    call: ToolCall | None = None


class Events:
    """Turns the increments of one stream into events; a block is finished when the stream is.

    Parameters:
        provider: the ``model_provider``.
        name_of: returns the model's name for the first increment.
    """

    def __init__(self, provider: str, name_of: Callable[[Completion], str]) -> None:
        self._provider = provider
        self._name_of = name_of
        self._blocks: dict[Hashable, _Block] = {}
        self._started = False
        self._replaced: list[str] = []
        self._logprobs: list[Any] = []
        self._used: list[ServerTool] = []

    def shown(self, increment: Increment) -> str:
        """Return the text that an increment adds, as far as it may be shown as it comes."""
        if isinstance(increment, str):
            return increment
        return "" if increment.replaces else increment.text

    def of(self, increment: Increment) -> list[Event]:
        """Return the events of an increment."""
        if isinstance(increment, str):
            return self._piece(_TEXT, increment)
        return self._of(increment)

    def _of(self, increment: Completion) -> list[Event]:
        choice = increment.choice
        events = [] if self._started else [self._start(increment)]
        if increment.replaces:
            self._replaced.append(choice.text)
            choice.text = ""
        if increment.server_tools:
            events += self._use(increment.server_tools)
            increment = replace(increment, server_tools=())
        if choice.reasoning:
            events += self._piece(_REASONING, choice.reasoning)
        if choice.text:
            events += self._piece(_TEXT, choice.text)
        for call in choice.tool_calls:
            events += self._call(call)
        if choice.logprobs is not None:
            self._logprobs.append(choice.logprobs)
        if increment.last:
            events += self._finish(increment, choice)
        return events

    def _start(self, increment: Completion) -> Event:
        self._started = True
        self._name = self._name_of(increment)
        names = {"provider": self._provider, "model": self._name}
        return {
            "event": "message-start",
            "role": "ai",
            "id": increment.id or "",
            "metadata": names,
        }

    def _piece(self, kind: str, text: str) -> list[Event]:
        """Return what a piece of text or reasoning adds; both are named as their block is."""
        block = self._blocks.get(kind)
        events = []
        if block is None:
            block = self._blocks[kind] = _Block(self._next, [])
            events.append(_started(block, {"type": kind, kind: ""}))
        block.pieces.append(text)
        return [*events, _delta(block, {"type": f"{kind}-delta", kind: text})]

    @property
    def _next(self) -> int:
        """The number of the next block."""
        return len(self._blocks) + 2 * len(self._used)

    def _use(self, tools: Sequence[ServerTool]) -> list[Event]:
        """Return the blocks of tools that the service used: they are whole as they come."""
        events = []
        for number, content in enumerate(
            server_blocks([tool.as_dict() for tool in tools]), self._next
        ):
            block = _Block(number, [])
            events += [_started(block, content), _ended(block, dict(content))]
        self._used.extend(tools)
        return events

    def _call(self, call: ToolCall) -> list[Event]:
        block = self._blocks.get(call.index)
        events = []
        if block is None:
            block = self._blocks[call.index] = _Block(self._next, [], call)
            head = {"type": "tool_call_chunk", "id": call.id, "name": call.name, "args": ""}
            events.append(_started(block, {**head, "index": call.index}))
        if call.arguments:
            block.pieces.append(call.arguments)
            events.append(_delta(block, {"type": "tool-call-delta", "args": call.arguments}))
        return events

    def _finish(self, increment: Completion, choice: Choice) -> list[Event]:
        if self._replaced:
            increment = increment.without_spans()
        more, facts = late_facts(increment, choice)
        if increment.model and increment.model != self._name:
            facts["resolved_model"] = increment.model
        if self._logprobs:
            facts["logprobs"] = join_logprobs(self._logprobs)
        events = []
        if "annotations" in more and _TEXT not in self._blocks:
            self._blocks[_TEXT] = empty = _Block(self._next, [])
            events.append(_started(empty, {"type": _TEXT, _TEXT: ""}))
        for kind, block in self._blocks.items():
            content = self._content(kind, block, more)
            events.append(_ended(block, content))
        if _REASONING in self._blocks:
            more["reasoning_content"] = "".join(self._blocks[_REASONING].pieces)
        if self._replaced:
            more["replacements"] = self._replaced
        called = [block.call for block in self._blocks.values() if block.call]
        more.update({**to_tools_used(self._used), **to_signatures(called)})
        return [*events, _finished(facts, more, to_usage(increment.usage))]

    def _content(self, kind: Hashable, block: _Block, more: dict[str, Any]) -> Any:
        said = "".join(block.pieces)
        if block.call is not None:
            return to_call(replace(block.call, arguments=said))
        content: dict[str, Any] = {"type": kind, str(kind): said}
        if kind == _TEXT and "annotations" in more:
            content["annotations"] = [dict(note) for note in more["annotations"]]
        return content


def _started(block: _Block, content: Event) -> Event:
    return {"event": "content-block-start", "index": block.index, "content": content}


def _delta(block: _Block, delta: Event) -> Event:
    return {"event": "content-block-delta", "index": block.index, "delta": delta}


def _ended(block: _Block, content: Any) -> Event:
    return {"event": "content-block-finish", "index": block.index, "content": content}


def _finished(facts: dict[str, Any], more: dict[str, Any], usage: Any) -> Event:
    event: Event = {"event": "message-finish", "metadata": facts}
    if usage is not None:
        event["usage"] = usage
    if more:
        event["additional_kwargs"] = more
    return event
