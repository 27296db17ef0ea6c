"""What has arrived of one answer: shapes the increments and keeps what an error must hand over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qaip_core.citations import resolve_markers
from qaip_core.reasoning import ThinkSplitter
from qaip_core.stop import StopCutter
from qaip_core.types import Choice, Citation, Completion, Increment, ToolCall, join_tool_calls

__all__ = ["Answer"]


class _Thread:
    """The growing text of one choice."""

    __slots__ = ("calls", "cutter", "finish_reason", "reasoning", "splitter", "text")

    def __init__(self, stops: Sequence[str], *, thinks: bool) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.finish_reason: str | None = None
        self.calls: list[ToolCall] = []
        self.splitter = ThinkSplitter() if thinks else None
        self.cutter = StopCutter(stops) if stops else None

    @property
    def is_plain(self) -> bool:
        """Whether text is shown as it comes."""
        return self.splitter is None and self.cutter is None

    def shape(self, choice: Choice) -> Choice:
        if self.splitter is not None and choice.text:
            reasoning, choice.text = self.splitter.feed(choice.text)
            choice.reasoning += reasoning
            if self.splitter.passive:
                self.splitter = None
        if self.cutter is not None and choice.text:
            choice.text = self.cutter.feed(choice.text)
        return choice

    def rest(self) -> tuple[str, str]:
        """Return the reasoning and the text that were held back."""
        reasoning, text = self.splitter.close() if self.splitter else ("", "")
        if self.cutter is not None:
            text = self.cutter.feed(text) + self.cutter.close()
        return reasoning, text

    @property
    def stopped(self) -> bool:
        return self.cutter is not None and self.cutter.stopped


class Answer:
    """Adds up the increments of one answer.

    Parameters:
        stops: stop sequences to cut at on this side.
        thinks: whether a leading ``<think>`` is split off as reasoning.
        cites: whether ``[n]`` markers are resolved to spans.
        bare: whether plain text may be handed out as such.
    """

    def __init__(
        self,
        stops: Sequence[str] = (),
        *,
        thinks: bool = False,
        cites: bool = False,
        bare: bool = False,
    ) -> None:
        self._bare = bare
        self._stops = stops
        self._thinks = thinks
        self._cites = cites
        self._threads: dict[int, _Thread] = {}
        self._plain: _Thread | None = None  # the first choice's, once nothing is to be done to it
        self._head: Completion | None = None
        self.replaced = False  # text that was shown has been taken back

    def add(self, increment: Increment) -> Increment:
        """Take an increment and return it as it may be shown."""
        if isinstance(increment, str):
            if self._plain is not None:
                self._plain.text.append(increment)
                return increment if self._bare else Completion([Choice(increment)])
            increment = Completion([Choice(increment)])
        return self._add(increment)

    def _add(self, increment: Completion) -> Completion:
        if self._head is None:
            self._head = increment
        if increment.replaces:
            self.replaced = True
            self._threads.clear()
            self._plain = None
        for choice in increment.choices:
            thread = self._threads.get(choice.index)
            if thread is None:
                thread = _Thread(self._stops, thinks=self._thinks)
                self._threads[choice.index] = thread
            if thread.splitter is not None or thread.cutter is not None:
                thread.shape(choice)
            if choice.text:
                thread.text.append(choice.text)
            if choice.reasoning:
                thread.reasoning.append(choice.reasoning)
            if choice.tool_calls:
                thread.calls.extend(choice.tool_calls)
            if choice.finish_reason:
                thread.finish_reason = choice.finish_reason
            if choice.index == 0 and thread.is_plain:
                self._plain = thread
        return increment

    def close(self, final: Completion) -> Completion:
        """Take the closing increment and return it with all that is due at the end."""
        final = self._add(final)
        for index, thread in self._threads.items():
            reasoning, text = thread.rest()
            reason = "stop" if thread.stopped else None
            if reasoning or text or reason:
                late = Completion([Choice(text, index, reasoning, reason)])
                thread.text.append(text)
                thread.reasoning.append(reasoning)
                final = replace(final + late, last=final.last, replaces=final.replaces)
        head = self._head or final
        final.id = head.id or final.id
        final.model = head.model or final.model
        final.created = head.created or final.created
        final.citations = self._resolved(final.citations)
        final.last = True
        return final

    @property
    def cut(self) -> bool:
        """Whether the service has ended it at a limit of tokens."""
        return any(t.finish_reason == "length" and not t.stopped for t in self._threads.values())

    def partial(self, rest: Completion) -> Completion:
        """Return the sum of what has arrived, for the error that interrupts it.

        Parameters:
            rest: what the decoder knows besides the text.
        """
        choices = []
        reasons = {c.index: c.finish_reason for c in rest.choices}
        for index, thread in sorted(self._threads.items()):
            reasoning, text = thread.rest()
            choice = Choice(
                "".join((*thread.text, text)),
                index,
                "".join((*thread.reasoning, reasoning)),
                thread.finish_reason or reasons.get(index),
                join_tool_calls(thread.calls),
            )
            choices.append(choice)
        head = self._head or Completion([])
        citations = self._resolved(rest.citations, choices[0].text if choices else "")
        return replace(head + rest, choices=choices, citations=citations)

    def _resolved(
        self, citations: tuple[Citation, ...], text: str | None = None
    ) -> tuple[Citation, ...]:
        if not self._cites or not citations or not self._threads:
            return citations
        if text is None:
            text = "".join(self._threads[min(self._threads)].text)
        return resolve_markers(text, citations)
