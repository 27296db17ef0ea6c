"""What each kind of file says: a table from suffix to reader."""

from collections.abc import Callable, Mapping

from ._content import Content, Unreadable
from .office import read_office
from .page import read_html
from .pdf import read_pdf
from .tables import read_csv, read_json, read_json_lines, read_tsv
from .words import read_text

__all__ = ["READERS", "Content", "Reader", "Unreadable", "file_type"]

Reader = Callable[[bytes], Content]
"""Turns the bytes of a file into its text; raises `Unreadable` with the reason why it cannot."""

READERS: Mapping[str, Reader] = {
    ".md": read_text,
    ".markdown": read_text,
    ".txt": read_text,
    ".text": read_text,
    ".rst": read_text,
    ".html": read_html,
    ".htm": read_html,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".pdf": read_pdf,
    ".docx": read_office(".docx"),
    ".pptx": read_office(".pptx"),
    ".xlsx": read_office(".xlsx"),
}
"""The readers by suffix, in small letters."""

_NAMES = {"markdown": "md", "text": "txt", "htm": "html", "ndjson": "jsonl"}


def file_type(suffix: str) -> str:
    """Return the usual name of a suffix: `.markdown` is "md"."""
    bare = suffix.lower().lstrip(".")
    return _NAMES.get(bare, bare)
