"""VMware Private AI Services: models, cited agents and knowledge bases on a site's own gateway.

Completions and chat, with which this package began, are here; what came later is in modules of
its own, which are imported when they are used.
"""

from qaip_core.backends.pais._service import PAIS
from qaip_core.backends.pais.completions import CHAT, TEXT, PaisParams

__all__ = ["CHAT", "PAIS", "TEXT", "PaisParams"]
