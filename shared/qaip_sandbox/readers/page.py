"""Web pages, as the Markdown of what they say."""

import re

from ._content import Content, Unreadable, decoded, web_address

__all__ = ["read_html"]

_CHARSET = re.compile(rb"<meta[^>]{1,200}charset=[\"']?([\w-]{1,40})", re.IGNORECASE)
_INLINE = ["a", "abbr", "b", "em", "font", "i", "img", "span", "strong", "u"]
_NOT_SAID = ["aside", "footer", "nav", "[aria-hidden=true]"]


def read_html(data: bytes) -> Content:
    """Read a page without its scripts, styles and navigation, and without links and emphasis.

    Its title and its canonical address are its own.

    Raises:
        Unreadable: the data is not text, or nothing can be read in it.
    """
    from html_to_markdown import ConversionError, ConversionOptions, convert

    options = ConversionOptions(
        strip_tags=_INLINE,
        exclude_selectors=_NOT_SAID,
        skip_images=True,
        compact_tables=True,
        autolinks=False,
    )
    try:
        page = convert(_text(data), options)
    except ConversionError as error:
        raise Unreadable(f"not a page that can be read: {error}") from error
    facts = page.metadata.document
    return Content(
        decoded((page.content or "").encode()),
        (facts.title or "").strip(),
        web_address(facts.canonical_url or ""),
    )


def _text(data: bytes) -> str:
    named = _CHARSET.search(data, 0, 2048)
    try:
        return data.decode(named[1].decode()) if named else decoded(data)
    except (LookupError, UnicodeDecodeError):
        return decoded(data)
