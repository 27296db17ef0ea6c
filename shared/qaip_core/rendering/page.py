"""Answers as HTML: escaped, without scripts, with a style of their own.

Every piece has ids of its own, so that a page can hold many. Where the style is taken away, as
some sites do with notebooks, it is still readable: markers are links with a title.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

from qaip_core.rendering.sources import Source

if TYPE_CHECKING:
    from qaip_core.rendering.answer import CitedAnswer

__all__ = ["as_html", "growing"]

_ON_CARD = 320
_IN_LIST = 110
# Notebooks look for formulas in HTML, and a formula can hold a link that runs code.
_CLASSES = "qaip-cited mathjax_ignore tex2jax_ignore"
_OUTSIDE = 'target="_blank" rel="noopener noreferrer nofollow"'
_MARKER = re.compile(r"\[(\d{1,4})\](?!\()")


def as_html(answer: CitedAnswer) -> str:
    """Return an answer as one ``div``: markers show their source and lead to it."""
    name = f"qaip-{secrets.token_hex(4)}"
    marks = {s.number: _mark(s, name) for s in answer.sources if s.named}
    text = _text(answer.marked_text, marks)
    some = bool(marks)
    items = "".join(_item(source, name, dim=some and not source.named) for source in answer.sources)
    return _framed(text + (items and f'<ol class="qaip-sources" aria-label="Sources">{items}</ol>'))


def growing(text: str, why: str = "") -> str:
    """Return an answer that has not ended.

    Parameters:
        text: as far as it is known, clean.
        why: what to say of its end, if it will not come.
    """
    marks = {int(n): _pill(n) for n in set(_MARKER.findall(text))}
    said = why and f'<p class="qaip-why">{escape(why)}</p>'
    return _framed(_text(text, marks) + said)


def _framed(inner: str) -> str:
    return f'<div class="{_CLASSES}"><style>{_style()}</style>{inner}</div>'


@cache
def _style() -> str:
    return files("qaip_core.rendering").joinpath("answer.css").read_text("utf-8")


def _text(text: str, marks: Mapping[int, str]) -> str:
    """Return the answer; as it is written, where there is nothing that reads Markdown."""
    if not text:
        return ""
    if find_spec("markdown_it"):
        from qaip_core.rendering.markup import to_html

        return f'<div class="qaip-text" dir="auto">{to_html(text, marks)}</div>'
    plain = _MARKER.sub(lambda mark: marks.get(int(mark[1]), mark[0]), escape(text))
    return f'<div class="qaip-text qaip-plain" dir="auto">{plain}</div>'


def _pill(number: int | str, title: str = "") -> str:
    titled = title and f' title="{title}"'
    return f'<sup class="qaip-pill"{titled}><i>[</i>{number}<i>]</i></sup>'


def _mark(source: Source, name: str) -> str:
    """Return a marker; what its card says stands in attributes, so that it is never copied."""
    title, facts = escape(source.title), escape(" · ".join(source.facts))
    excerpt = escape(source.excerpt(_ON_CARD))
    pill = _pill(source.number, f"{title}&#10;{excerpt}")
    said = "".join(f'<span data-qaip="{text}"></span>' for text in (title, facts, excerpt))
    return (
        f'<span class="qaip-mark"><a href="#{name}-{source.number}"'
        f' aria-label="Source {source.number}: {title}">{pill}</a>'
        f'<span class="qaip-card" aria-hidden="true">{said}</span></span>'
    )


def _item(source: Source, name: str, *, dim: bool) -> str:
    facts = escape(" · ".join(source.facts))
    said = facts and f' <span class="qaip-facts">{facts}</span>'
    kind = ' class="qaip-unnamed"' if dim else ""
    return (
        f'<li id="{name}-{source.number}" value="{source.number}"{kind}>'
        f"{_title(source)}{said}{_passage(source)}</li>"
    )


def _title(source: Source) -> str:
    title = f"<bdi>{escape(source.title)}</bdi>"
    if not source.url:
        return f'<span class="qaip-title">{title}</span>'
    return f'<a class="qaip-title" href="{escape(source.url)}" {_OUTSIDE}>{title}</a>'


def _passage(source: Source) -> str:
    short = escape(source.excerpt(_IN_LIST))
    if not short:
        return ""
    whole = f'<blockquote dir="auto">{escape(source.text)}</blockquote>'
    return f'<details><summary dir="auto">{short}</summary>{whole}</details>'
