"""The version of this distribution."""

from __future__ import annotations

from functools import cache
from importlib import metadata

__all__ = ["DISTRIBUTION", "version"]

DISTRIBUTION = "qaip-integrations"


@cache
def version() -> str:
    """Return the installed version; "0" in a source tree that is not installed."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "0"
