"""VMware Private AI Services: text completions and chat on a site's own gateway.

Vendor page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from qaip_core.backend import Params, Stops
from qaip_core.backends._openai import Shape, StreamOptions, WireChunk, chat, completions
from qaip_core.backends._prompts import turn
from qaip_core.backends.pais._service import PAIS

__all__ = ["CHAT", "TEXT", "PaisParams", "Sampling"]

_SHAPE = Shape(WireChunk, PAIS.rules)


class Sampling(Params):
    """How an answer is made, by a model or by an agent; see `PaisParams`."""

    model: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stop: Stops = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    seed: int | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    response_format: dict[str, Any] | None = None
    stream_options: StreamOptions | None = None


class PaisParams(Sampling):
    """Parameters of completions and chat completions.

    Parameters:
        model: the id of a model endpoint of the site.
        temperature: how freely tokens are drawn, 0 (the likeliest) to 2; the site's default where
            it is not given.
        n: answers to one prompt, at least 1.
        stop: sequences at which the answer ends.
        max_tokens: tokens of the answer, at least 1. Most engines cut text completions at 16
            where it is not given.
        seed: for repeatable answers, as far as the engine supports it.
        stream_options: what a stream carries; usage is asked for unless this is given.
        max_completion_tokens: tokens of the answer, at least 1; the later name of ``max_tokens``.
        top_p: only the likeliest tokens that sum up to this probability, 0 to 1.
        top_k: only so many of the likeliest tokens, at least 1.
        presence_penalty: against tokens that stand in the text at all, -2 to 2.
        frequency_penalty: against tokens by how often they stand in it, -2 to 2.
        response_format: the format of the answer, as the OpenAI API writes it.

    The last six came with release 9.1.1; what an older site does with them is not documented.
    """


TEXT = completions(PAIS, _SHAPE, PaisParams)
CHAT = chat(PAIS, _SHAPE, PaisParams, partial(turn, service=PAIS.title))
