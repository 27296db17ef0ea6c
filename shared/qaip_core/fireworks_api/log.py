"""The logger ``"fireworks"``: one DEBUG line for each request and for each failure.

Lines hold the address, the model and the error; never the key, a prompt or an answer.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import TextIO

__all__ = ["logger", "set_console_log_level"]

logger = logging.getLogger("fireworks")

_LEVELS = ("CRITICAL", "FATAL", "ERROR", "WARN", "WARNING", "INFO", "DEBUG")


@cache
def _console() -> tuple[logging.StreamHandler[TextIO], int]:
    """Return the console's handler, and the level that the logger had before there was one."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    return handler, before


def set_console_log_level(level: str) -> None:
    """Show log lines of this level and above on the console (``sys.stderr``).

    Parameters:
        level: CRITICAL, FATAL, ERROR, WARN, WARNING, INFO or DEBUG.

    Raises:
        ValueError: it is none of these.
    """
    if level not in _LEVELS:
        raise ValueError(f"unrecognized log level {level}. Supported values are {list(_LEVELS)}")
    number = logging.getLevelNamesMapping()[level]
    handler, before = _console()
    handler.setStream(sys.stderr)  # which may have been replaced since
    handler.setLevel(number)
    # A logger that is set to tell more keeps doing so: its other handlers may want it.
    logger.setLevel(min(before, number) if before else number)
