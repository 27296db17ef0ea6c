"""Web pages, as the Markdown of what they say."""

import codecs
import re

from ._content import Content, Unreadable, decoded, web_address

__all__ = ["read_html"]

_CHARSET = re.compile(rb"<meta[^>]{1,200}charset=[\"']?([\w-]{1,40})", re.IGNORECASE)
_CHARSETS = frozenset(
    [
        "ascii",
        "utf-8",
        "shift_jis",
        "euc_jp",
        "iso2022_jp",
        "cp932",
        "gb2312",
        "gbk",
        "gb18030",
        "big5",
        "big5hkscs",
        "cp950",
        "euc_kr",
        "cp949",
        "koi8-r",
        "koi8-u",
        "cp866",
        "cp874",
        "tis-620",
        "mac-roman",
        "mac-cyrillic",
        "iso8859-1",
        "iso8859-2",
        "iso8859-3",
        "iso8859-4",
        "iso8859-5",
        "iso8859-6",
        "iso8859-7",
        "iso8859-8",
        "iso8859-9",
        "iso8859-10",
        "iso8859-11",
        "iso8859-13",
        "iso8859-14",
        "iso8859-15",
        "iso8859-16",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
        "cp1258",
    ]
)
_TOO_DEEP = "depth_limit_exceeded"
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
    if any(str(warning.kind) == _TOO_DEEP for warning in page.warnings):
        raise Unreadable("a page whose elements are nested too deep to be read")
    facts = page.metadata.document
    return Content(
        decoded((page.content or "").encode()),
        (facts.title or "").strip(),
        web_address(facts.canonical_url or ""),
    )


def _text(data: bytes) -> str:
    named = _CHARSET.search(data, 0, 2048)
    charset = _known(named[1].decode()) if named and b"\0" not in data else ""
    try:
        return data.decode(charset) if charset else decoded(data)
    except UnicodeDecodeError:
        return decoded(data)


def _known(charset: str) -> str:
    """Return Python's name of a charset of web pages, or "": not all of its codecs are such."""
    try:
        name = codecs.lookup(charset).name
    except LookupError:
        return ""
    return name if name in _CHARSETS else ""
