"""PDF files, page by page."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

from qaip_sandbox.extras import missing

from ._content import Content, Unreadable

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

__all__ = ["read_pdf"]

_PAGE, _FILE = 5_000_000, 40_000_000  # bytes of instructions, or characters
# pypdf writes of each oddity in a file into its log, without the file's name. Where a program has
# no log, Python would print that.
logging.getLogger("pypdf").addHandler(logging.NullHandler())


def read_pdf(data: bytes) -> Content:
    """Read the text of a PDF; form feeds part its pages.

    Raises:
        Unreadable: pypdf is not installed; or the file is broken, encrypted or has no text.
    """
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise Unreadable(missing("pypdf", "sandbox-pdf")) from error
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted: save it without a password")
        pages = _texts(reader)
        title = str((reader.metadata and reader.metadata.title) or "").strip()
    except Unreadable:
        raise
    except Exception as error:  # a broken file breaks pypdf in many ways
        raise Unreadable(f"a broken PDF: {str(error) or type(error).__name__}") from error
    if not any(page.strip() for page in pages):
        raise Unreadable("a PDF without text: scanned pages need text recognition (OCR) first")
    return Content("\f".join(page.replace("\f", "\n") for page in pages), title)


def _texts(reader: PdfReader) -> list[str]:
    """Return the text of each page.

    Raises:
        Unreadable: a page, or all of them together, would take long: a small file may unpack to
            a large one.
    """
    texts: list[str] = []
    total = 0
    for number, page in enumerate(reader.pages, 1):
        size = _size(page)
        text = page.extract_text() if size <= _PAGE else ""
        size = max(size, len(text))
        total += size
        if size > _PAGE or total > _FILE:
            raise Unreadable(f"page {number} unpacks to too much: {size:,}, in all {total:,} bytes")
        texts.append(text)
    return texts


def _size(page: PageObject) -> int:
    contents = page.get_contents()
    return 0 if contents is None else len(contents.get_data())
