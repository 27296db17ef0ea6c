"""Qaip: answers from indexed documents, with their sources.

Completions, with which this package began, are here; what came later is in modules of its own,
which are imported when they are used.
"""

from qaip_core.backends.qaip._service import QAIP, FileType, SourceType
from qaip_core.backends.qaip.completions import COMPLETIONS
from qaip_core.backends.qaip.params import QaipParams

__all__ = ["COMPLETIONS", "QAIP", "FileType", "QaipParams", "SourceType"]
