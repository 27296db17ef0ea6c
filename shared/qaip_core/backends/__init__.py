"""One module for each service, imported at its first use; `BACKENDS` lists what they declare."""

from importlib import import_module
from typing import Any

from qaip_core.backend import Backend

__all__ = ["BACKENDS", "SERVICES"]

SERVICES = ("qaip", "fireworks", "pais", "perplexity", "dify")
"""The services, by the names of their modules."""

BACKENDS: tuple[Backend, ...]


def __getattr__(name: str) -> Any:
    if name != "BACKENDS":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    modules = [(service, import_module(f"{__name__}.{service}")) for service in SERVICES]
    return tuple(getattr(module, service.upper()) for service, module in modules)
