"""Tool calls that were cut, which LangChain would complete by guessing.

In a stream LangChain closes whatever is open in the arguments of a call and takes the result for
what the model meant. A last fragment that fits nowhere makes such a call invalid, as it is in a
whole answer; it is taken off again before the call goes back to a service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.messages import InvalidToolCall
from langchain_core.utils.json import parse_partial_json

__all__ = ["spoiling", "unspoiled"]

# After one of these no guess is left, whatever the arguments were cut in.
_TAILS = ("]", "}", '"]', '"}', '""]', '\\""]')


def spoiling(arguments: str) -> str | None:
    """Return an end that makes LangChain see that arguments are no JSON object."""
    return next((tail for tail in ("", *_TAILS) if not _guessable(arguments + tail)), None)


def unspoiled(call: InvalidToolCall, cut: Sequence[Mapping[str, Any]]) -> str:
    """Return arguments as the model wrote them.

    Parameters:
        cut: what the message notes of the calls that were given an end.
    """
    arguments = call["args"] or ""
    tail = next((note["tail"] for note in cut if note["id"] == call["id"]), "")
    return arguments.removesuffix(tail)


def _guessable(arguments: str) -> bool:
    try:
        return isinstance(parse_partial_json(arguments), dict)
    except ValueError:
        return False
