"""What a chain or an engine is built of: named, and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from qaip_core.service import Connected

__all__ = ["aclose_all", "described"]

_LABELS = ("model_label", "model_name", "model")


async def aclose_all(value: Any, parts: Callable[[Any], Iterable[Any]]) -> None:
    """Close what our own classes in an object have open in this event loop; others go on.

    Parameters:
        value: a model, or what is built of models; dicts and lists in it are looked into.
        parts: returns what else an object of the framework is built of.
    """
    for part in _walk(value, parts):
        if isinstance(part, Connected):
            await part._leave_loop()  # noqa: SLF001 -- the core's own


def described(value: Any, parts: Callable[[Any], Iterable[Any]], kind: type[Any]) -> str:
    """Return the classes of an object's parts, and the models that they name, sorted.

    LangChain finds what a function calls in another order in each process.

    Parameters:
        value, parts: see `aclose_all`.
        kind: what is told; other parts are data.
    """
    names = (_name(part) for part in _walk(value, parts) if isinstance(part, kind))
    return ", ".join(sorted(names))


def _name(part: Any) -> str:
    labels = (getattr(part, name, None) for name in _LABELS)
    label = next((label for label in labels if label and isinstance(label, str)), None)
    return f"{type(part).__name__}({label})" if label else type(part).__name__


def _walk(value: Any, parts: Callable[[Any], Iterable[Any]]) -> Iterator[Any]:
    waiting, seen = [value], set[int]()
    while waiting:
        part = waiting.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, Mapping):
            inside: Iterable[Any] = part.values()
        elif isinstance(part, list | tuple):
            inside = part
        else:
            yield part
            inside = () if isinstance(part, Connected) else parts(part)
        waiting.extend(reversed([*inside]))
