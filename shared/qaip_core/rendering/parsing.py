"""Answers as Markdown tokens, in which markers are tokens of their own.

Needs markdown-it-py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

__all__ = ["MARKER", "changed", "is_harmless", "last_block", "parsed", "parser"]

MARKER = "marker"
"""The type of a marker's token; its ``meta["number"]`` is n."""

_MARKER = re.compile(r"\[(\d{1,4})\](?!\()")
_LINK = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_SCHEME = re.compile(r"(?!https?:|mailto:)[^/?#]*:", re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(?:https?://|www\.)", re.IGNORECASE)
_NUMBERS = "numbers"
_LONGEST = 2048
"""Of a link: an answer may use one definition a thousand times."""


@cache
def parser() -> MarkdownIt:
    """Return a parser that knows markers, and neither HTML nor links other than to the web."""
    made = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    made.validateLink = _is_safe  # type: ignore[method-assign]  # it has no option for it
    made.inline.ruler.before("link", MARKER, _marker)
    return made


def parsed(text: str, numbers: Collection[int]) -> list[Token]:
    """Return the tokens of an answer. Links say where they lead, and images are links.

    A link's text may name another site than its own; to load an image tells its site who reads.

    Parameters:
        text: clean Markdown, as `CitedAnswer.marked_text`.
        numbers: those that are markers; other ``[n]`` stay text.
    """
    tokens = parser().parse(text, {_NUMBERS: numbers})
    for token in tokens:
        if token.children:
            token.children = [*_honest(token.children)]
    return tokens


def changed(tokens: Iterable[Token], change: Callable[[Token], Iterable[Token]]) -> list[Token]:
    """Return tokens, and those within them, each as what takes its place."""
    new: list[Token] = []
    for token in tokens:
        if token.children:
            token.children = changed(token.children, change)
        new.extend(change(token))
    return new


def _honest(tokens: Iterable[Token]) -> Iterator[Token]:
    """Yield tokens of a line, behind each link its site, and in place of images links."""
    link, said = "", ""
    for token in tokens:
        if token.type == "link_open":
            link, said = str(token.attrs["href"]), ""
            yield token
        elif token.type == "link_close":
            yield token
            yield from _site(link, said)
            link = ""
        elif token.type == "image" and not link:
            target, name = str(token.attrs["src"]), _text(token)
            yield from (Token("link_open", "a", 1, attrs={"href": target}), name)
            yield Token("link_close", "a", -1)
            yield from _site(target, name.content)
        else:  # a link in a link is none
            shown = _text(token) if link and token.type == "image" else token
            said += shown.content
            yield shown


def _text(token: Token) -> Token:
    return Token("text", "", 0, content=token.content or "image")


def _site(link: str, said: str) -> Iterator[Token]:
    site = _host(link) or link
    if site != _host(said.strip()):
        yield Token("text", "", 0, content=f" ({site})")


def _host(address: str) -> str | None:
    address = address.removeprefix("mailto:")
    with suppress(ValueError):
        return urlsplit(address if "//" in address else f"//{address}").hostname
    return None


def last_block(text: str) -> int:
    """Return where the last block begins that stands on its own, such as a paragraph."""
    blocks = [token.map[0] for token in _blocks().parse(text) if not token.level and token.map]
    line = max(blocks, default=0)
    return sum(len(ended) for ended in text.splitlines(keepends=True)[:line])


@cache
def _blocks() -> MarkdownIt:
    """Return a parser that does not look into paragraphs, which is most of the work."""
    made = MarkdownIt("commonmark").enable("table")
    made.core.ruler.enableOnly(["normalize", "block"])
    return made


def is_harmless(text: str) -> bool:
    """Tell whether a reader that allows everything finds no HTML, image or odd link in Markdown.

    A link is odd if it leads elsewhere than to the web, or to another site than its text says.
    """
    pending = _permissive().parse(text)
    while pending:
        token = pending.pop()
        pending.extend(token.children or ())
        if token.type in ("html_block", "html_inline", "image"):
            return False
        if token.type == "link_open" and _SCHEME.match(str(token.attrs["href"])):
            return False
        if token.children and _misleads(token.children):
            return False
    return True


def _misleads(tokens: Iterable[Token]) -> bool:
    """Tell whether a link's text is an address of another site than the link's."""
    link, said = "", ""
    for token in tokens:
        if token.type == "link_open":
            link, said = str(token.attrs["href"]), ""
        elif token.type == "link_close":
            if _ADDRESS.match(said) and _host(link) != _host(said.strip()):
                return True
        else:
            said += token.content
    return False


@cache
def _permissive() -> MarkdownIt:
    made = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    made.validateLink = bool  # type: ignore[method-assign, assignment]
    return made


def _is_safe(url: str) -> bool:
    return len(url) <= _LONGEST and _LINK.match(url) is not None


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
