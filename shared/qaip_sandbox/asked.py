"""The question in a request's body, in whichever protocol it is, before anything has read it."""

from collections.abc import Iterable

from ._wire import Json

__all__ = ["asked"]


def asked(body: Json) -> str:
    """Return what a body asks: its query, or what the user says last; "" where it asks nothing.

    Args:
        body: The parsed body, of any shape: also one that a service refuses.
    """
    if not isinstance(body, dict):
        return ""
    inputs = body.get("inputs")
    form = inputs.get("query") or [*inputs.values()] if isinstance(inputs, dict) else ""
    places = (*(body.get(name) for name in ("query", "messages", "input", "prompt")), form)
    return next(filter(None, map(_text, places)), "")


def _text(value: Json) -> str:
    """Return the text of a string, of the last message of the user, or of a list of texts."""
    if not isinstance(value, list):
        return value if isinstance(value, str) else ""
    spoken = [m.get("content") for m in value if isinstance(m, dict) and m.get("role") == "user"]
    if spoken:
        return _joined(spoken[-1] if isinstance(spoken[-1], list) else spoken[-1:])
    return _joined(value)


def _joined(parts: Iterable[Json]) -> str:
    texts = (part.get("text") if isinstance(part, dict) else part for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str) and text)
