"""Five answering services, emulated offline from a folder of the user's own documents."""

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
from .physics import Physics
from .protocols import (
    DifySwitches,
    FireworksSwitches,
    PAISSwitches,
    PerplexitySwitches,
    QaipSwitches,
)
from .sandbox import Sandbox

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
    "FireworksSwitches",
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
]
