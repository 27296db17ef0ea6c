"""What is kept of each row: what was answered, what it took, or why there is no answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

__all__ = ["Answered", "Asker", "Heard", "Key", "Record", "State", "Taken", "noting", "taken"]

Key: TypeAlias = str
"""What a row is known by, in every run over the same dataset."""

State: TypeAlias = Literal["asked", "answered", "failed"]
"""How far a row has come; what is not known in the ledger has not been asked."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one row.

    Parameters:
        answer: the text; JSON where a chain returns data.
        citations: the sources, as `Citation.as_dict` has them.
        usage: token counts of all calls of the row together: ``input_tokens``,
            ``output_tokens``, ``total_tokens`` and, where reported, ``cached_tokens`` and
            ``reasoning_tokens``; None where the service reports none.
        cost: what the service says that it charges for the row, in its currency; None where it
            says nothing.
        model: the model that answered.
        finish_reason: why the answer ended.
    """

    answer: str
    citations: Sequence[Mapping[str, Any]] = ()
    usage: Mapping[str, int] | None = None
    cost: float | None = None
    model: str | None = None
    finish_reason: str | None = None


class Heard(Protocol):
    """What the calls of one row say that they take, as `Answered` has it."""

    @property
    def usage(self) -> Mapping[str, int] | None:
        """The token counts of all calls together."""
        ...

    @property
    def cost(self) -> float | None:
        """What all calls cost together."""
        ...


class Taken(NamedTuple):
    """What a row has taken that failed in the end, as when an answer could not be parsed."""

    usage: Mapping[str, int] | None = None
    cost: float | None = None


@contextmanager
def noting(heard: Heard) -> Iterator[None]:
    """Let an error tell what was paid before it.

    Parameters:
        heard: what the row's calls have said.
    """
    try:
        yield
    except Exception as error:
        error.__dict__["_qaip_taken"] = Taken(heard.usage, heard.cost)
        raise


def taken(error: BaseException) -> Taken:
    """Return what was paid before an error, as far as it is known."""
    found: Taken = error.__dict__.get("_qaip_taken", Taken())
    return found


class Asker(Protocol):
    """Asks a model or a chain of a framework. It travels to the workers as a pickle."""

    async def ask(self, question: Any) -> Answered:
        """Return the answer to one row.

        Parameters:
            question: the value of the question's column; a dict of values by their names where
                there are several columns.

        Raises:
            Exception: whatever the model raises.
        """
        ...

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        ...

    def describe(self) -> str:
        """Return what answers depend on, in words: its classes, services and models.

        A run goes on only with the same; parameters may change.
        """
        ...


@dataclass(slots=True, kw_only=True)
class Record:
    """One row of the ledger, once it has been asked.

    Parameters:
        key: what the row is known by.
        state: how far it has come.
        answer, citations, usage, cost, model, finish_reason: see `Answered`.
        latency: seconds from the first request to the answer, or to giving up, with the waits
            between attempts.
        requests: how many HTTP requests the row took.
        ended_at: Unix seconds; 0 while it is asked.
        error_type: the name of the error's class, such as "RateLimitError".
        error_message: what happened and what to do about it; never a key.
        error_status: the HTTP status.
        error_code: the service's own code.
        error_request_id: the service's id of the request, for its support.
        error_retryable: whether the same row may succeed later.
        partial_answer: the text that had arrived before the error.
        is_unsettled: whether the service may have answered, and billed, a row that failed.
    """

    key: Key
    state: State
    answer: str | None = None
    citations: Sequence[Mapping[str, Any]] = ()
    usage: Mapping[str, int] | None = None
    cost: float | None = None
    model: str | None = None
    finish_reason: str | None = None
    latency: float | None = None
    requests: int = 0
    ended_at: float = 0.0
    error_type: str | None = None
    error_message: str | None = None
    error_status: int | None = None
    error_code: str | None = None
    error_request_id: str | None = None
    error_retryable: bool | None = None
    partial_answer: str | None = None
    is_unsettled: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    @property
    def tokens(self) -> int:
        """The tokens that it took, as far as they are known."""
        return (self.usage or {}).get("total_tokens", 0)
