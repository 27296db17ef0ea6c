"""Answers as Markdown tokens, in which markers are tokens of their own.

Needs markdown-it-py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

__all__ = ["MARKER", "changed", "is_harmless", "parsed", "parser"]

MARKER = "marker"
"""The type of a marker's token; its ``meta["number"]`` is n."""

_MARKER = re.compile(r"\[(\d{1,4})\](?!\()")
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_SCHEME = re.compile(r"(?!https?:|mailto:)[^/?#]*:", re.IGNORECASE)
_NUMBERS = "numbers"


@cache
def parser() -> MarkdownIt:
    """Return a parser that knows markers, and neither HTML nor links other than to the web."""
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.validateLink = _is_safe  # type: ignore[method-assign]  # it has no option for it
    made.inline.ruler.before("link", MARKER, _marker)
    return made


def parsed(text: str, numbers: Collection[int]) -> list[Token]:
    """Return the tokens of an answer. Images are links: to load one tells its site who reads.

    Parameters:
        text: clean Markdown, as `CitedAnswer.marked_text`.
        numbers: those that are markers; other ``[n]`` stay text.
    """
    return changed(parser().parse(text, {_NUMBERS: numbers}), _without_image)


def changed(tokens: Iterable[Token], change: Callable[[Token], Iterable[Token]]) -> list[Token]:
    """Return tokens, and those within them, each as what takes its place."""
    new: list[Token] = []
    for token in tokens:
        if token.children and token.type != "image":
            token.children = changed(token.children, change)
        new.extend(change(token))
    return new


def _without_image(token: Token) -> Iterable[Token]:
    if token.type != "image":
        return [token]
    link = Token("link_open", "a", 1, attrs={"href": token.attrs["src"]})
    name = Token("text", "", 0, content=token.content or "image")
    return [link, name, Token("link_close", "a", -1)]


def is_harmless(text: str) -> bool:
    """Tell whether a reader that allows everything finds no HTML, image or odd link in Markdown."""
    pending = _permissive().parse(text)
    while pending:
        token = pending.pop()
        pending.extend(token.children or ())
        if token.type in ("html_block", "html_inline", "image"):
            return False
        if token.type == "link_open" and _SCHEME.match(str(token.attrs["href"])):
            return False
    return True


@cache
def _permissive() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    made.validateLink = bool  # type: ignore[method-assign, assignment]
    return made


def _is_safe(url: str) -> bool:
    return _LINK.match(url) is not None


def _marker(state: StateInline, silent: bool) -> bool:
    found = _MARKER.match(state.src, state.pos)
    known: Any = state.env.get(_NUMBERS, ())
    if found is None or int(found[1]) not in known:
        return False
    if not silent:
        token = state.push(MARKER, "", 0)
        token.content, token.meta = found[0], {"number": int(found[1])}
    state.pos = found.end()
    return True
