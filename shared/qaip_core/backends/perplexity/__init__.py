"""Perplexity: answers from the web, with sources.

Chat completions, with which this package began, are here; what came later is in modules of its
own, which are imported when they are used.
"""

from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.backends.perplexity.chat import CHAT, PerplexityParams

__all__ = ["CHAT", "PERPLEXITY", "PerplexityParams"]
