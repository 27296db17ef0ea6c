"""Dify: completion (text generator) apps, with the sources of their knowledge bases.

Vendor page: https://docs.dify.ai/api-reference/completion/create-completion-message
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import Field

from qaip_core.backend import Endpoint
from qaip_core.backends.dify._answers import Decoder, decode
from qaip_core.backends.dify._files import PARTS, DifyFile
from qaip_core.backends.dify._params import (
    DifyAppParams,
    cancel,
    errands,
    must_stream,
    shared,
    written,
)
from qaip_core.backends.dify._service import DIFY
from qaip_core.types import Prompt

__all__ = ["COMPLETION", "DifyFile", "DifyParams"]


class DifyParams(DifyAppParams):
    """Parameters of a completion app; model and sampling are set in the app itself.

    Parameters:
        variables: the app's variables, besides the one that takes the prompt; ``inputs`` on the
            wire, which is taken too (but LangChain's ``batch`` has an argument of that name).
        input_key: the variable that takes the prompt; "query" where it is not given.

    The others are those of `DifyAppParams`: turn_template, prompt_template, user, files,
    max_file_mb, response_mode, stop_on_close, check_inputs.
    """

    input_key: Annotated[str, Field(min_length=1)] | None = None


def _encode(prompt: Prompt, params: dict[str, Any], stream: bool) -> dict[str, Any]:
    query, files = written(prompt, params)
    inputs = {**params.get("inputs", {}), params.get("input_key", "query"): query}
    return {"inputs": inputs, **shared(params, files, stream=stream)}


COMPLETION = Endpoint(
    backend=DIFY,
    path="/completion-messages",
    params=DifyParams,
    encode=_encode,
    decode=decode,
    decoder=Decoder,
    cites=True,
    markers=False,  # the text is the app's model's; a [1] in it may mean anything
    chat=False,
    parts=PARTS,
    model="dify",
    must_stream=must_stream,
    errands=partial(errands, ("completion",)),
    cancel=partial(cancel, "/completion-messages"),
)
