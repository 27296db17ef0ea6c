"""Dify: apps that answer with the sources of their knowledge bases.

Completion apps, with which this package began, are here; what came later is in modules of its
own, which are imported when they are used.
"""

from qaip_core.backends.dify._service import DIFY
from qaip_core.backends.dify.completion import COMPLETION, DifyFile, DifyParams

__all__ = ["COMPLETION", "DIFY", "DifyFile", "DifyParams"]
