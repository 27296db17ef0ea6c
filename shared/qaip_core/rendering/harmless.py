"""What foreign text may look like where it is shown: no controls, no links that run code."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

__all__ = ["clean", "one_line", "safe_link", "shorten"]

# Controls (C0 and C1, so no terminal escapes), what reorders text, tags that nobody sees, and
# halves of characters that cannot be written. ZWJ and the like stay: scripts and emoji need them.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SCHEMES = frozenset({"http", "https"})
_LONGEST = 2048
_KEPT = "%/:?#@!$&*+,;=~-._"


def clean(text: str) -> str:
    """Return text without what would control a terminal, or show it in another order."""
    return _HARMFUL.sub("", _LINE_ENDS.sub("\n", text))


def one_line(text: str) -> str:
    """Return clean text in one line."""
    return " ".join(clean(text).split())


def shorten(text: str, length: int) -> str:
    """Return text of at most that many characters, cut between words where that is possible.

    Parameters:
        text: what to shorten.
        length: at least 4.
    """
    if len(text) <= length:
        return text
    cut = text[: length - 3]
    head, space, _ = cut.rpartition(" ")
    return f"{(head if len(head) > length // 2 and space else cut).rstrip()}..."


def safe_link(url: object) -> str | None:
    """Return a web address in a form that is safe in HTML, Markdown and a terminal's links.

    Returns:
        None unless it is an http or https address of a host, of at most 2,048 characters.
    """
    if not isinstance(url, str) or len(url) > _LONGEST:
        return None
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in _SCHEMES or not parts.hostname:
        return None
    return quote(clean(parts.geturl()), safe=_KEPT, errors="replace")
