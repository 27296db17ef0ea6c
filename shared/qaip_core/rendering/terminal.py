"""Answers in a terminal, by rich."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from qaip_core.rendering.parsing import MARKER, changed, parsed
from qaip_core.rendering.sources import Source

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["Prose", "as_rich", "listed"]

_EXCERPT = 180
_WIDTH = 100
_ANY = range(10_000)
_THEME = Theme({"markdown.link_url": "cyan", "markdown.code": "bold cyan"})


class Prose(Markdown):
    """Markdown whose markers lead to their sources.

    Parameters:
        text: clean Markdown.
        links: for each marker's number where it leads, empty if nowhere; None while the sources
            are not known.
    """

    def __init__(self, text: str, links: Mapping[int, str] | None = None) -> None:
        super().__init__("", code_theme="ansi_dark")
        tokens = parsed(text, _ANY if links is None else links)
        self.parsed = changed(tokens, lambda token: _known(token, links or {}))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options.update(width=min(options.max_width, _WIDTH))
        with console.use_theme(_THEME):
            shown = list(super().__rich_console__(console, narrow))
        yield from shown


def _known(token: Token, links: Mapping[int, str]) -> Iterable[Token]:
    """Return what rich knows in place of a token."""
    if token.type != MARKER:
        return [token]
    link = Token("link_open", "a", 1, attrs={"href": links.get(token.meta["number"], "")})
    text = Token("text", "", 0, content=token.content)
    return [link, text, Token("link_close", "a", -1)]


def as_rich(answer: CitedAnswer) -> Iterator[RenderableType]:
    """Yield the answer, and its sources below it."""
    if answer.marked_text:
        yield Prose(answer.marked_text, {s.number: s.url or "" for s in answer.sources if s.named})
    if answer.marked_text and answer.sources:
        yield Text()
    if answer.sources:
        yield listed(answer.sources)


def listed(sources: Sequence[Source]) -> RenderableType:
    """Return the sources with title, page, date, site and passage."""
    some = any(source.named for source in sources)
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(max_width=_WIDTH - 5, overflow="fold")
    for source in sources:
        number = Text(f"[{source.number}]", style="cyan")
        table.add_row(number, _about(source), style="dim" if some and not source.named else "")
    return table


def _about(source: Source) -> RenderableType:
    link = f"link {source.url}" if source.url else ""
    head = Text(source.title, style=f"bold {link}")
    said = " · ".join(filter(None, (source.page and f"p. {source.page}", source.date)))
    lines = [Text.assemble(head, (f"  {said}" if said else "", "dim"))]
    if source.url:
        lines.append(Text(source.url, style=f"cyan {link}", no_wrap=True, overflow="ellipsis"))
    if excerpt := source.excerpt(_EXCERPT):
        lines.append(Text(excerpt, style="dim"))
    return Group(*lines)
