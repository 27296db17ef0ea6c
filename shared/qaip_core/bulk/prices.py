"""`Prices`: what tokens cost, where the service counts them but names no price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qaip_core.errors import InvalidParameterError

__all__ = ["Prices"]

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a service charges, in any one currency.

    Parameters:
        input: for a million tokens of input, from 0.
        output: for a million tokens of output, from 0.
        row: for each row besides, such as the fee of a search, from 0.

    Raises:
        InvalidParameterError: a price is below 0.
    """

    input: float = 0.0
    output: float = 0.0
    row: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) >= 0:
                raise InvalidParameterError(f"the price {name}={getattr(self, name)!r} is below 0")

    def of(self, usage: Mapping[str, int] | None) -> float | None:
        """Return what a row costs; None where that takes tokens that nobody has counted.

        Parameters:
            usage: its ``input_tokens`` and ``output_tokens``.
        """
        if usage is None:
            return None if self.input or self.output else self.row
        tokens = usage.get("input_tokens", 0) * self.input
        tokens += usage.get("output_tokens", 0) * self.output
        return tokens / _MILLION + self.row
