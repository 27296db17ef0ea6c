"""What a model of Perplexity's does before it answers: it thinks, searches, reads, in steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qaip_core.backend import Wire
from qaip_core.reading import Notes, Reader, finite, noted
from qaip_core.types import Completion

__all__ = ["Thoughts", "with_steps"]


class _Step(Wire, extra="allow"):
    thought: str | None = None


class _Said(Wire):
    reasoning_steps: list[_Step | None] | None = None


class _Choice(Wire):
    delta: _Said | None = None
    message: _Said | None = None


class _Thinking(Wire):
    choices: list[_Choice | None] | None = None


_READER: Reader[_Thinking] = Reader(_Thinking)


class Thoughts:
    """Collects the steps of one answer."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []

    def read(self, data: bytes, notes: Notes) -> str:
        """Return what an event adds to the reasoning.

        Parameters:
            data: the event's JSON.
            notes: takes the paths of what is left out.
        """
        choice = _first(_READER.event(data, notes))
        if choice is None:
            return ""
        if choice.delta is not None and choice.delta.reasoning_steps is not None:
            return self._add(choice.delta.reasoning_steps)
        whole = choice.message.reasoning_steps if choice.message else None
        return self._add((whole or [])[len(self.steps) :])  # it repeats what deltas added

    def whole(self, body: Any, notes: Notes) -> str:
        """Return the reasoning of a whole answer."""
        choice = _first(_READER.body(body, notes))
        said = choice.message if choice else None
        return self._add((said.reasoning_steps or []) if said else [])

    def _add(self, steps: Sequence[_Step | None]) -> str:
        known = [step for step in steps if step is not None]
        begun = any(step.get("thought") for step in self.steps)
        self.steps += [finite(step.model_dump(exclude_none=True)) for step in known]
        thoughts = [step.thought for step in known if step.thought]
        return ("\n" if begun and thoughts else "") + "\n".join(thoughts)


def _first(read: _Thinking | None) -> _Choice | None:
    return read.choices[0] if read and read.choices else None


def with_steps(answer: Completion, body: Any) -> Completion:
    """Return a whole answer with what was thought before it."""
    thoughts, notes = Thoughts(), dict.fromkeys(answer.metadata.get("malformed", ()))
    answer.choices[0].reasoning += thoughts.whole(body, notes)
    if thoughts.steps:
        answer.metadata["reasoning_steps"] = thoughts.steps
    answer.metadata = noted(answer.metadata, notes)
    return answer
