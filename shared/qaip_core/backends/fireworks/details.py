"""What an answer says of itself for those who ask: token ids, and the model's raw output.

Both stand in the choices, the ids of a chat's prompt beside them. In the metadata of an answer
they have the same names; where a request has several answers, each is a mapping from the number
of the choice to what is said of it.

Vendor page: https://docs.fireworks.ai/api-reference/post-chatcompletions
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from qaip_core.backend import Wire
from qaip_core.backends._openai import ChunkDecoder, Shape
from qaip_core.framing import Event
from qaip_core.reading import Count, Notes, Reader, finite, noted
from qaip_core.types import Completion, Increment

__all__ = ["DetailedDecoder", "with_details"]


class _Choice(Wire):
    index: int | None = None
    prompt_token_ids: list[Count] | None = None
    token_ids: list[Count] | None = None
    raw_output: dict[str, Any] | None = None


class _Chunk(Wire):
    choices: list[_Choice] | None = None
    prompt_token_ids: list[Count] | None = None


_READER: Reader[_Chunk] = Reader(_Chunk)


class _Details:
    """Collects the details of one answer."""

    def __init__(self) -> None:
        self._prompt: list[int] | None = None
        self._prompts: dict[int, list[int]] = {}
        self._ids: dict[int, list[int]] = {}
        self._raw: dict[int, dict[str, Any]] = {}

    def add(self, chunk: _Chunk) -> None:
        """Take what a chunk, or a whole answer, says."""
        self._prompt = self._prompt or chunk.prompt_token_ids
        for place, choice in enumerate(chunk.choices or ()):
            index = place if choice.index is None else choice.index
            if choice.prompt_token_ids:
                self._prompts[index] = choice.prompt_token_ids
            if choice.token_ids:
                self._ids.setdefault(index, []).extend(choice.token_ids)
            if choice.raw_output:
                self._raw[index] = finite(choice.raw_output)

    def facts(self) -> dict[str, Any]:
        """Return all of it, as metadata."""
        known: dict[str, Any] = {
            "prompt_token_ids": self._prompt or _only(self._prompts),
            "token_ids": _only(self._ids),
            "raw_output": _only(self._raw),
        }
        return {name: value for name, value in known.items() if value}


def _only(by_index: Mapping[int, Any]) -> Any:
    if len(by_index) == 1:
        return next(iter(by_index.values()))
    return {str(index): said for index, said in by_index.items()}


def with_details(answer: Completion, body: Any) -> Completion:
    """Return a whole answer with the details that its body holds."""
    notes: Notes = {}
    details = _Details()
    details.add(_READER.body(body, notes))
    metadata = noted({**answer.metadata, **details.facts()}, notes)
    return replace(answer, metadata=metadata)


class DetailedDecoder(ChunkDecoder):
    """Decodes a stream, and keeps the details of its chunks.

    Every chunk is read twice, which only those pay who ask for details.
    """

    def __init__(self, params: Mapping[str, Any], shape: Shape) -> None:
        super().__init__(params, shape)
        self._details = _Details()
        self._unread: Notes = {}

    def feed(self, event: Event) -> Increment | None:
        """Return what an event adds to the answer."""
        increment = super().feed(event)
        if not self.ended:
            chunk = _READER.event(event.data, self._unread)
            if chunk is not None:
                self._details.add(chunk)
        return increment

    def rest(self) -> Completion:
        """Return what is known besides the text."""
        known = super().rest()
        said = {**known.metadata, **self._details.facts()}
        return replace(known, metadata=noted(said, self._unread))
