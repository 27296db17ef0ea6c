"""Answers that are Markdown as HTML.

Needs markdown-it-py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from markdown_it.token import Token

from qaip_core.rendering.parsing import MARKER, changed, parsed, parser

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["to_html"]

_OUTSIDE = {"target": "_blank", "rel": "noopener noreferrer nofollow"}


def to_html(text: str, marks: Mapping[int, str]) -> str:
    """Return Markdown as HTML.

    Parameters:
        text: clean Markdown.
        marks: what stands for the marker ``[n]``, as HTML.
    """

    def written(token: Token) -> Iterable[Token]:
        if token.type == MARKER:  # the parser itself makes no such tokens: it knows no HTML
            return [Token("html_inline", "", 0, content=marks[token.meta["number"]])]
        if token.type == "link_open":
            token.attrs = {"href": token.attrs["href"], **_OUTSIDE}
        return [token]

    tokens = changed(parsed(text, marks.keys()), written)
    return str(parser().renderer.render(tokens, parser().options, {}))
