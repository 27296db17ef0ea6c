"""Answers as Markdown with footnotes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from qaip_core.rendering.sources import Source

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["as_markdown"]

_EXCERPT = 200
_CODE = re.compile(
    r"(^ {0,3}(?:```|~~~).*?(?:^ {0,3}(?:```|~~~)[ \t]*$|\Z)|`+[^`]*`+)", re.MULTILINE | re.DOTALL
)
_MARKER = re.compile(r"\[(\d{1,4})\](?!\()")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&^$])")
_OF_LINKS = re.compile(r"([\\\[\]<>!&])")
_OF_HTML = re.compile(r"<(?!https?://[^\s<>]*>)|!(?=\[)")


def as_markdown(answer: CitedAnswer) -> str:
    """Return the answer with a footnote ``[^n]`` for each source.

    HTML and images in it are escaped. Where a reader that allows everything would still find
    some, or a link to anything but the web, all links of the answer are.
    """
    named = {source.number for source in answer.sources if source.named}
    notes = "\n\n".join(
        filter(None, (_unnamed(answer.sources), "\n".join(map(_note, answer.sources))))
    )
    text = _outside_code(answer.marked_text, lambda piece: _OF_HTML.sub(r"\\\g<0>", piece), named)
    whole = "\n\n".join(filter(None, (text, notes)))
    if not answer.marked_text or _is_harmless(whole):
        return whole
    text = _noted(answer.marked_text, lambda piece: _OF_LINKS.sub(r"\\\1", piece), named)
    return "\n\n".join(filter(None, (text, notes)))


def _outside_code(text: str, escape: Callable[[str], str], named: Collection[int]) -> str:
    pieces = _CODE.split(text)
    pieces[::2] = [_noted(piece, escape, named) for piece in pieces[::2]]
    return "".join(pieces)


def _noted(text: str, escape: Callable[[str], str], named: Collection[int]) -> str:
    """Return text with footnotes for markers, and all else escaped."""
    pieces, done = [], 0
    for marker in _MARKER.finditer(text):
        if int(marker[1]) in named:
            no_note = "\\" * text.startswith(":", marker.end())
            pieces += [escape(text[done : marker.start()]), f"[^{marker[1]}]{no_note}"]
            done = marker.end()
    return "".join([*pieces, escape(text[done:])])


def _is_harmless(text: str) -> bool:
    if not find_spec("markdown_it"):
        return False
    from qaip_core.rendering.parsing import is_harmless

    return is_harmless(text)


def _unnamed(sources: Sequence[Source]) -> str:
    """Return a line that names the sources which the answer does not: others are not shown."""
    others = [f"[^{source.number}]" for source in sources if not source.named]
    more = "More sources" if len(others) < len(sources) else "Sources"
    return f"{more}: {' '.join(others)}" if others else ""


def _note(source: Source) -> str:
    """Return a footnote; its first word is no address, for readers that know no footnotes."""
    title = _escaped(source.title)
    linked = f"[{title}](<{source.url}>)" if source.url else f"*{title}*"
    facts = ", ".join((linked, *map(_escaped, source.facts)))
    excerpt = _escaped(source.excerpt(_EXCERPT))
    return f"[^{source.number}]: {facts}" + (f": {excerpt}" if excerpt else "")


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
