"""Office files, as the Markdown that MarkItDown makes of them."""

import io
import zipfile
from collections.abc import Callable

from qaip_sandbox.extras import missing

from ._content import Content, Unreadable

__all__ = ["read_office"]

_UNPACKED = 200_000_000  # bytes
_TIMES, _ALWAYS = 100, 2_000_000  # text packs to a tenth; a bomb to a thousandth
_CONVERTERS = {".docx": "DocxConverter", ".pptx": "PptxConverter", ".xlsx": "XlsxConverter"}


def read_office(suffix: str) -> Callable[[bytes], Content]:
    """Return the reader of office files that end with `suffix`: `.docx`, `.pptx` or `.xlsx`.

    The reader raises `Unreadable` where MarkItDown is not installed or the file is broken.
    """

    def read(data: bytes) -> Content:
        try:
            from markitdown import (  # pyright: ignore[reportMissingImports]  # of an extra
                MissingDependencyException,
                StreamInfo,
                converters,
            )
        except ImportError as error:
            raise Unreadable(missing("markitdown", "sandbox-office")) from error
        file = io.BytesIO(data)
        if not zipfile.is_zipfile(file):
            raise Unreadable(f"a broken {suffix} file, or one with a password")
        _bound(file, len(data))
        # One converter, not MarkItDown's choice of them: that would read a broken file as text.
        converter = getattr(converters, _CONVERTERS[suffix])()
        try:
            found = converter.convert(file, StreamInfo(extension=suffix))
        except MissingDependencyException as error:
            raise Unreadable(missing("markitdown", "sandbox-office")) from error
        except Exception as error:  # a broken file breaks its parsers in many ways
            raise Unreadable(f"a broken {suffix} file: {type(error).__name__}: {error}") from error
        return Content(found.markdown, (found.title or "").strip())

    return read


def _bound(file: io.BytesIO, size: int) -> None:
    """Refuse a file whose parts take far more room than it does itself.

    Raises:
        Unreadable: it is such a file, or a broken one.
    """
    try:
        unpacked = sum(part.file_size for part in zipfile.ZipFile(file).infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise Unreadable(f"a broken file: {error}") from error
    allowed = min(_UNPACKED, size * _TIMES + _ALWAYS)
    if unpacked > allowed:
        raise Unreadable(f"unpacks to {unpacked:,} bytes, more than {allowed:,}")
