"""What a reader returns, and how it refuses."""

from dataclasses import dataclass

from qaip_sandbox.chunking import Passage

__all__ = ["Content", "Unreadable", "decoded", "web_address"]

_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


class Unreadable(Exception):  # noqa: N818 - it is told, not raised, to users
    """A file that cannot be read; its message says why, and what helps."""


@dataclass(frozen=True, slots=True)
class Content:
    """The text of a file.

    `title` and `url` are those that the file gives itself, or "". `passages` is None where the
    text is to be cut by its headings and paragraphs.
    """

    text: str
    title: str = ""
    url: str = ""
    passages: tuple[Passage, ...] | None = None


def decoded(data: bytes) -> str:
    """Return `data` as text with LF line ends.

    Bytes that are not UTF-8 become U+FFFD, unless nothing beyond ASCII is UTF-8: then the text is
    one of the old Western kind, Windows-1252.

    Raises:
        Unreadable: the data is not text.
    """
    encoding = _MARKS.get(data[:2], "utf-8-sig")
    if encoding == "utf-8-sig" and b"\0" in data:
        raise Unreadable("binary content")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, errors="replace")
        if encoding == "utf-8-sig" and text.replace("\ufffd", "").isascii():
            text = data.decode("cp1252", errors="replace")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def web_address(text: str) -> str:
    """Return `text` if it is an http address, else ""."""
    bare = text.strip().strip("\"'")
    fine = bare.startswith(("http://", "https://")) and bare.isprintable() and " " not in bare
    return bare if fine else ""
