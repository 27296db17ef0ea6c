"""Five answering services, emulated offline from a folder of the user's own documents.

Everything is loaded when it is first used: a pytest plugin lives here too, which must not cost the
import of a server in every test run.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .extras import missing

if TYPE_CHECKING:
    from .documents import Chunk, Document
    from .faults import (
        Corrupt,
        Disconnect,
        Drip,
        ErrorEvent,
        Fault,
        Faults,
        OnlyPings,
        Page,
        Stall,
        Status,
        Truncate,
    )
    from .journal import Cited, Record, Said
    from .judging import Finding, Judge, Limits, Verdict
    from .physics import Physics
    from .protocols import (
        DifySwitches,
        FireworksSwitches,
        PAISSwitches,
        PerplexitySwitches,
        QaipSwitches,
    )
    from .sandbox import Sandbox
    from .writer import Writer

__all__ = [
    "Chunk",
    "Cited",
    "Corrupt",
    "DifySwitches",
    "Disconnect",
    "Document",
    "Drip",
    "ErrorEvent",
    "Fault",
    "Faults",
    "Finding",
    "FireworksSwitches",
    "Judge",
    "Limits",
    "OnlyPings",
    "PAISSwitches",
    "Page",
    "PerplexitySwitches",
    "Physics",
    "QaipSwitches",
    "Record",
    "Said",
    "Sandbox",
    "Stall",
    "Status",
    "Truncate",
    "Verdict",
    "Writer",
]

_HOMES = {
    "documents": "Chunk Document",
    "faults": "Corrupt Disconnect Drip ErrorEvent Fault Faults OnlyPings Page Stall Status"
    " Truncate",
    "journal": "Cited Record Said",
    "judging": "Finding Judge Limits Verdict",
    "physics": "Physics",
    "protocols": "DifySwitches FireworksSwitches PAISSwitches PerplexitySwitches QaipSwitches",
    "sandbox": "Sandbox",
    "writer": "Writer",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = import_module(f"{__name__}.{_HOME_OF[name]}")
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("qaip"):
            raise
        raise ModuleNotFoundError(missing(error.name or "a package"), name=error.name) from error
    globals()[name] = found = getattr(home, name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
