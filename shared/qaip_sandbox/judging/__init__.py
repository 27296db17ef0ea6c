"""The verdict on a client: what it did with the answers and the faults that it was given."""

from .judge import Judge, JudgedCall
from .limits import Limits
from .verdict import Finding, Verdict

__all__ = ["Finding", "Judge", "JudgedCall", "Limits", "Verdict"]
