"""The models of PAIS, and embeddings by the one of them that embeds."""

from typing import Literal

from starlette.responses import Response

from qaip_sandbox._wire import Json
from qaip_sandbox.service import Call
from qaip_sandbox.text import pieces
from qaip_sandbox.vectors import embed

from .engines import ENGINES
from .errors import refused
from .hurdles import check_model, check_ready
from .listing import said
from .request import Embeddings as Wanted
from .request import parse
from .switches import PAISSwitches

__all__ = ["COMPLETIONS", "EMBEDDINGS", "embeddings", "models"]

COMPLETIONS, EMBEDDINGS = "sandbox-extractive", "sandbox-embeddings"
_DIMENSIONS = 384


async def models(call: Call) -> Response:
    """Answer with the two models."""
    engine = ENGINES[call.switched(PAISSwitches).engine].model_engine
    created = max((document.modified for document in call.library.documents), default=0)
    listed = [
        _model(COMPLETIONS, "COMPLETIONS", engine, created),
        _model(EMBEDDINGS, "EMBEDDINGS", "INFINITY", created),
    ]
    return said({"object": "list", "data": listed})


def _model(
    name: str, kind: Literal["COMPLETIONS", "EMBEDDINGS"], engine: str, created: int
) -> Json:
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": "",
        "model_type": kind,
        "model_engine": engine,
    }


async def embeddings(call: Call) -> Response:
    """Answer with a vector for each text; those of like texts are alike."""
    request = parse(Wanted, call)
    check_model(call, request.model)
    if request.model == COMPLETIONS:
        raise refused(call, 400, "Invalid model endpoint specified or model endpoint not ready.")
    check_ready(call)
    texts = [request.input] if isinstance(request.input, str) else request.input
    vectors = [
        {"object": "embedding", "index": place, "embedding": embed(text, _DIMENSIONS)}
        for place, text in enumerate(texts)
    ]
    tokens = sum(len(pieces(text)) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    await call.pace.wait(1)
    return said({"object": "list", "data": vectors, "model": request.model, "usage": usage})
