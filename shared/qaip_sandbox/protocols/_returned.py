"""What the functions that a client has called have returned."""

from collections.abc import Sequence

from qaip_sandbox._wire import Json

from ._messages import text_of

__all__ = ["returned"]


def returned(messages: Sequence[Json]) -> list[str]:
    """Return what functions said last, if nobody has spoken since; else nothing."""
    found: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        found.insert(0, text_of(message["content"]))
    return found
