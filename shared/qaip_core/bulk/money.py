"""What services say that an answer costs, each in its own words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

__all__ = ["money"]

_SUMS = ("total_cost", "total_price")


def money(metadata: Mapping[str, Any]) -> float | None:
    """Return what an answer costs, in the currency of its service.

    Parameters:
        metadata: what the service says beside the text, as `Completion.metadata` and both
            frameworks keep it. Perplexity's is in its ``cost``, Dify's in its ``price``; others'
            may be a ``cost`` beside the token counts.

    Returns:
        At least 0; None where nothing is said that is a sum of money. Currencies are not told
        apart: one service bills in one.
    """
    counts = metadata.get("token_usage") or metadata.get("usage")
    beside = counts.get("cost") if isinstance(counts, Mapping) else None
    for said in (metadata.get("cost"), metadata.get("price"), beside):
        if (found := _sum(said)) is not None:
            return found
    return None


def _sum(said: Any) -> float | None:
    if isinstance(said, Mapping):
        said = next((said[name] for name in _SUMS if name in said), None)
    if isinstance(said, bool) or not isinstance(said, int | float | str):
        return None
    try:
        found = float(said)  # Dify writes decimals as text
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found >= 0 else None
