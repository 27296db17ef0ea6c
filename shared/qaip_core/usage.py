"""Token counts: what a service says it has spent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qaip_core.backend import Wire
from qaip_core.reading import Count, Notes, Reader, finite
from qaip_core.types import Usage

__all__ = ["Spent"]


class _Input(Wire, extra="allow"):
    cached_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None


class _Output(Wire, extra="allow"):
    reasoning_tokens: Count | None = None


class _Usage(Wire, extra="allow"):
    """What services call input and output, or prompt and completion."""

    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _Input | None = None
    output_tokens_details: _Output | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    total_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    prompt_tokens_details: _Input | None = None
    completion_tokens_details: _Output | None = None


_READER: Reader[_Usage] = Reader(_Usage)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one request has cost.

    Parameters:
        usage: the token counts; None if there are none.
        rest: what else stands beside them (cost, ...), as sent.
        wire: all of it that can be read, under the names of the wire.
    """

    usage: Usage | None = None
    rest: Mapping[str, Any] = field(default_factory=dict)
    wire: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: Mapping[str, Any] | None, notes: Notes, at: str = "usage") -> Spent:
        """Return what a ``usage`` says.

        Parameters:
            sent: as it is on the wire.
            notes: takes the paths of what is left out.
            at: where it stands.
        """
        if not sent:
            return cls()
        read = _READER.body(sent, notes, f"{at}.")
        others = {k: v for k, v in (read.model_extra or {}).items() if v is not None}
        counts = {k: v for k, v in others.items() if type(v) is int and v >= 0}
        usage = _usage(read, counts)
        rest = {k: v for k, v in others.items() if usage is None or k not in counts}
        return cls(usage, rest, finite(read.model_dump(exclude_none=True)))

    def on(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Return a body whose ``usage`` is what can be read of it.

        LlamaIndex's token counter takes its numbers there, and checks nothing.
        """
        rest = {k: v for k, v in raw.items() if k != "usage" or v is None}
        return {**rest, "usage": self.wire} if self.wire else rest


def _usage(read: _Usage, counts: Mapping[str, int]) -> Usage | None:
    inputs = read.input_tokens if read.prompt_tokens is None else read.prompt_tokens
    outputs = read.output_tokens if read.completion_tokens is None else read.completion_tokens
    total = read.total_tokens
    if inputs is None and outputs is None and total is None:
        return None
    cached = read.prompt_tokens_details or read.input_tokens_details
    reasoned = read.completion_tokens_details or read.output_tokens_details
    return Usage(
        inputs or 0,
        outputs or 0,
        (inputs or 0) + (outputs or 0) if total is None else total,
        _cached(cached) if cached else None,
        read.reasoning_tokens or (reasoned.reasoning_tokens if reasoned else None),
        counts,
        cached.cache_creation_input_tokens if cached else None,
    )


def _cached(read: _Input) -> int | None:
    return read.cache_read_input_tokens if read.cached_tokens is None else read.cached_tokens
