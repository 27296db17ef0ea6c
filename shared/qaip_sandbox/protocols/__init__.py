"""The emulated services, one module each."""

from qaip_sandbox.service import Service

from .dify import DIFY, DifySwitches
from .fireworks import FIREWORKS, FireworksSwitches
from .pais import PAIS, PAISSwitches
from .perplexity import PERPLEXITY, PerplexitySwitches
from .qaip import QAIP, QaipSwitches

__all__ = [
    "SERVICES",
    "DifySwitches",
    "FireworksSwitches",
    "PAISSwitches",
    "PerplexitySwitches",
    "QaipSwitches",
]

SERVICES: tuple[Service, ...] = (QAIP, FIREWORKS, PAIS, PERPLEXITY, DIFY)
