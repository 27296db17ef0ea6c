"""`Plan`: what limits a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What limits a run.

    Parameters:
        concurrency: rows that are asked at the same time, in all workers together, from 1.
        workers: how many share them.
        rates: requests a second, by the names of services, or "" for each service; above 0.
        budget_tokens: tokens, input and output, that all runs together may take.
        budget_cost: the same in money.
        retry_failed: whether rows that failed in earlier runs are asked again; or the types of
            errors that are.
        stop_after: failures in a row after which the run stops, since the service is not well.
        longest_pause: seconds that a service may ask to wait; beyond them the run stops.
    """

    concurrency: int = 32
    workers: int = 1
    rates: Mapping[str, float] = field(default_factory=dict)
    budget_tokens: int | None = None
    budget_cost: float | None = None
    retry_failed: bool | frozenset[str] = False
    stop_after: int = 100
    longest_pause: float = 900.0

    def rate(self, service: str) -> float | None:
        """Return the requests a second that a service may be sent; None for no limit."""
        return self.rates.get(service, self.rates.get(""))
