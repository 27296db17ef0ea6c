"""What came of one check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Check", "State"]

State: TypeAlias = Literal["ok", "warn", "fail", "-"]
"""How it stands; "-" is what is not there, and need not be."""


@dataclass(frozen=True, slots=True)
class Check:
    """One row of what `qaip doctor` prints; never holds a key.

    Parameters:
        what: what was looked at.
        state: how it stands.
        found: what was found.
        advice: what to do; empty where there is nothing to be done.
    """

    what: str
    state: State
    found: str
    advice: str = ""
