"""`CitedAnswer`: an answer with its sources, which shows itself wherever it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from qaip_core.rendering.numbering import numbered
from qaip_core.rendering.sources import Source

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

__all__ = ["CitedAnswer"]


@dataclass(frozen=True)
class CitedAnswer:
    """An answer with its sources, to be looked at.

    ``print`` shows it as plain text, rich in a terminal as Markdown with links, a notebook as
    HTML. What services and sources say is foreign text: it is shown, and can do nothing else.

    Parameters:
        text: the answer, usually Markdown.
        citations: its sources, as `qaip_core.types.Citation.as_dict` writes them.
    """

    text: str
    citations: Sequence[Mapping[str, Any]] = field(default=())

    @cached_property
    def _numbered(self) -> tuple[str, tuple[Source, ...], dict[int, int]]:
        return numbered(self.text, self.citations)

    @property
    def marked_text(self) -> str:
        """The answer with a marker ``[n]`` wherever it cites, without control characters."""
        return self._numbered[0]

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources as they are shown, each once, by their numbers."""
        return self._numbered[1]

    @property
    def renumbered(self) -> Mapping[int, int]:
        """The numbers in `text` that `marked_text` has changed: two of them were one source."""
        return self._numbered[2]

    def __str__(self) -> str:
        from qaip_core.rendering.plain import as_text

        return as_text(self)

    def markdown(self) -> str:
        """Return the answer as Markdown with footnotes."""
        from qaip_core.rendering.footnotes import as_markdown

        return as_markdown(self)

    def html(self) -> str:
        """Return the answer as a piece of HTML with its own style, and no script."""
        from qaip_core.rendering.page import as_html

        return as_html(self)

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 -- IPython's
        printer.text(str(self))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from qaip_core.rendering.terminal import as_rich

        yield from as_rich(self)
