"""One module for each service; `BACKENDS` lists them."""

from qaip_core.backends.dify import DIFY
from qaip_core.backends.fireworks import FIREWORKS
from qaip_core.backends.pais import PAIS
from qaip_core.backends.perplexity import PERPLEXITY
from qaip_core.backends.qaip import QAIP

__all__ = ["BACKENDS"]

BACKENDS = (QAIP, FIREWORKS, PAIS, PERPLEXITY, DIFY)
