"""The list of the models that Perplexity's agent runs, with their prices.

Vendor page: https://docs.perplexity.ai/api-reference/models-get
"""

from __future__ import annotations

from typing import Any

from qaip_core.backend import Wire
from qaip_core.backends.perplexity._service import PERPLEXITY
from qaip_core.operation import Operation
from qaip_core.reading import Reader, finite
from qaip_core.types import ModelInfo

__all__ = ["MODELS"]


class _Model(Wire, extra="allow"):
    id: str | None = None
    created: int | None = None
    owned_by: str | None = None


class _Models(Wire):
    data: list[_Model | None]


_LIST: Reader[_Models] = Reader(_Models, ("", "data"))


def _models(body: Any) -> list[ModelInfo]:
    return [
        ModelInfo(m.id, m.created or None, m.owned_by, None, finite(m.model_extra or {}))
        for m in _LIST.body(body, {}).data
        if m is not None and m.id is not None  # one without a name is of no use
    ]


MODELS: Operation[list[ModelInfo]] = Operation(PERPLEXITY, "/v1/models", _models)
