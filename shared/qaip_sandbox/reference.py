"""The reference of all switches and faults, as a page of Markdown."""

import json
from collections.abc import Iterator

from pydantic import BaseModel

from .faults import KINDS
from .page.fields import fields, summary_of
from .physics import Physics
from .protocols import SERVICES

__all__ = ["reference"]

_BOUNDS = {"minimum": "at least", "above": "above", "maximum": "at most", "below": "below"}


def reference() -> str:
    """Return the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Switches and faults"
    yield ""
    yield (
        "What the [sandbox](sandbox.md) can be made to do. This page is printed by"
        " `qaip-sandbox switches --markdown`."
    )
    for service in SERVICES:
        yield from _section(f"{service.name}", service.switches)
    yield from _section("Time", Physics)
    yield from ("", "## Faults", "", "How they are injected: [Testing](testing.md).")
    for name, kind in KINDS.items():
        yield from _section(f"`{name}`", kind, level=3, but=("kind",))


def _section(
    title: str, model: type[BaseModel], *, level: int = 2, but: tuple[str, ...] = ()
) -> Iterator[str]:
    yield from ("", f"{'#' * level} {title}", "", summary_of(model), "")
    yield from ("| Name | Values | Default | |", "|---|---|---|---|")
    for field in fields(model):
        if field["name"] not in but:
            default = json.dumps(field["default"], ensure_ascii=False).strip('"') or '""'
            cells = (f"`{field['name']}`", _values(field), f"`{default}`", field["help"])
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(field: dict[str, object]) -> str:
    choices = field["choices"]
    if isinstance(choices, list) and choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds = [f"{words} {field[name]}" for name, words in _BOUNDS.items() if name in field]
    return " ".join([str(field["kind"]), *bounds])
