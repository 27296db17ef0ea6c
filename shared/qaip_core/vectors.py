"""What embeddings and rankings are: vectors of texts, and the order of documents. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qaip_core.types import Usage

__all__ = ["Embedded", "Ranked", "Reranked", "joined"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some texts.

    Parameters:
        vectors: one for each text, in the order of the texts.
        model: the model that made them, where the service names it.
        usage: None where the service reports none.
    """

    vectors: list[list[float]] = field(repr=False)
    model: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document of a ranking.

    Parameters:
        index: its place, from 0, among the documents that were sent.
        score: how well it fits the query, as the service says; its scale is the model's.
    """

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Reranked:
    """The order of some documents.

    Parameters:
        places: those of the documents, best first.
        model: the model that has put them in order, where the service names it.
        usage: None where the service reports none.
    """

    places: tuple[Ranked, ...]
    model: str | None = None
    usage: Usage | None = None


def joined(batches: Sequence[Embedded]) -> Embedded:
    """Return the vectors of several requests as one; token counts are added up."""
    spent = [batch.usage for batch in batches if batch.usage is not None]
    return Embedded(
        [vector for batch in batches for vector in batch.vectors],
        next((batch.model for batch in batches if batch.model), None),
        _sum(spent) if spent else None,
    )


def _sum(spent: Iterable[Usage]) -> Usage:
    counts = [(usage.input_tokens, usage.output_tokens, usage.total_tokens) for usage in spent]
    inputs, outputs, total = map(sum, zip(*counts, strict=True))
    return Usage(inputs, outputs, total)
