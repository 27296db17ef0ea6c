"""What the command says when something fails, and the code that it ends with."""

from __future__ import annotations

import sys

from qaip_core.errors import ConfigurationError, ServiceError
from qaip_core.rendering.harmless import one_line

__all__ = ["message_of", "told"]


def told(error: Exception) -> int | None:
    """Say on standard error what failed.

    Returns:
        The exit code; None for what is a fault of the program, of which nothing was said.
    """
    if isinstance(error, ServiceError):
        print(f"qaip: {message_of(error)}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("qaip"):
        said = one_line(str(error))
        hint = "" if "pip install" in said else ": pip install 'qaip-integrations[all]'"
        print(f"qaip: {said}{hint}", file=sys.stderr)
        return 2
    if isinstance(error, OSError):
        parts = [error.strerror, error.filename] if error.strerror else [str(error)]
        print(f"qaip: {one_line(': '.join(str(p) for p in parts if p))}", file=sys.stderr)
        return 2
    return None


def message_of(error: ServiceError) -> str:
    """Return an error's message as one line, and how to read more of it."""
    name = type(error).__name__
    section = name if error.anchor == name.lower() else error.anchor
    pointer = "" if section == "ConfigurationError" else f"more: qaip explain {section}"
    return one_line(error.told(pointer))
