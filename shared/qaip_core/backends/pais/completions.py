"""VMware Private AI Services: text completions and chat on a site's own gateway.

Vendor page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field

from qaip_core.backend import Params, Stops
from qaip_core.backends._openai import Shape, StreamOptions, WireChunk, chat, completions
from qaip_core.backends._prompts import turn
from qaip_core.backends.pais._service import PAIS

__all__ = ["CHAT", "TEXT", "PaisParams"]

_SHAPE = Shape(WireChunk, PAIS.rules)


class PaisParams(Params):
    """Parameters of completions and chat completions.

    Parameters:
        model: the id of a model endpoint of the site.
        temperature: 0 to 2; the site's default where it is not given.
        n: answers to one prompt, at least 1.
        stop: sequences at which the answer ends.
        max_tokens: tokens of the answer, at least 1. Engines cut at 16 where it is not given.
        seed: for repeatable answers, as far as the engine supports it.
        stream_options: what a stream carries; usage is asked for unless this is given.
    """

    model: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stop: Stops = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    stream_options: StreamOptions | None = None


TEXT = completions(PAIS, _SHAPE, PaisParams)
CHAT = chat(PAIS, _SHAPE, PaisParams, partial(turn, service=PAIS.title))
