"""PDF files, page by page."""

import io

from ._content import Content, Unreadable

__all__ = ["read_pdf"]

_MISSING = "PDF needs an extra: pip install 'qaip-integrations[sandbox-pdf]'"


def read_pdf(data: bytes) -> Content:
    """Read the text of a PDF; form feeds part its pages.

    Raises:
        Unreadable: pypdf is not installed; or the file is broken, encrypted or has no text.
    """
    try:
        from pypdf import PdfReader
    except ImportError as error:
        raise Unreadable(_MISSING) from error
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("encrypted: save it without a password")
        pages = [page.extract_text() for page in reader.pages]
        title = str((reader.metadata and reader.metadata.title) or "").strip()
    except Unreadable:
        raise
    except Exception as error:  # a broken file breaks pypdf in many ways
        raise Unreadable(f"a broken PDF: {type(error).__name__}: {error}") from error
    if not any(page.strip() for page in pages):
        raise Unreadable("a PDF without text: scanned pages need text recognition (OCR) first")
    return Content("\f".join(page.replace("\f", "\n") for page in pages), title)
