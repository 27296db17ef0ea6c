"""The emulated services, one module each."""

from qaip_sandbox.service import Service

from .dify import DIFY
from .fireworks import FIREWORKS
from .pais import PAIS
from .perplexity import PERPLEXITY
from .qaip import QAIP

__all__ = ["SERVICES"]

SERVICES: tuple[Service, ...] = (QAIP, FIREWORKS, PAIS, PERPLEXITY, DIFY)
