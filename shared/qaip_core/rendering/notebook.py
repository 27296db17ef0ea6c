"""Lets a notebook show the frameworks' own objects as cited answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qaip_core.rendering.answer import CitedAnswer

__all__ = ["register", "unregister"]

_HTML = "text/html"


def register(shell: Any, kinds: Iterable[type], cited: Callable[[Any], CitedAnswer]) -> None:
    """Show objects as HTML wherever they cite; those that do not are shown as before.

    Parameters:
        shell: IPython's.
        kinds: the objects' types; their subclasses are included.
        cited: returns an object's answer.
    """

    def shown(value: Any) -> str | None:
        answer = cited(value)
        return answer.html() if answer.sources else None

    for kind in kinds:
        shell.display_formatter.formatters[_HTML].for_type(kind, shown)


def unregister(shell: Any, kinds: Iterable[type]) -> None:
    """Show objects as before."""
    for kind in kinds:
        shell.display_formatter.formatters[_HTML].pop(kind, None)
