"""Fireworks AI: chat completions, text completions, the list of models.

What came later is in modules of its own, which are imported when they are used.
"""

from qaip_core.backends.fireworks._service import FIREWORKS
from qaip_core.backends.fireworks.completions import CHAT, TEXT
from qaip_core.backends.fireworks.models import MODELS, listed
from qaip_core.backends.fireworks.params import (
    FireworksChatParams,
    FireworksParams,
    FireworksTextParams,
)

__all__ = [
    "CHAT",
    "FIREWORKS",
    "MODELS",
    "TEXT",
    "FireworksChatParams",
    "FireworksParams",
    "FireworksTextParams",
    "listed",
]
