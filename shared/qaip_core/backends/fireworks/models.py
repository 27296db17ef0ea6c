"""The list of the models that Fireworks serves.

Vendor page: https://docs.fireworks.ai/api-reference/introduction
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qaip_core.backend import Wire
from qaip_core.backends.fireworks._service import FIREWORKS
from qaip_core.errors import NotFoundError
from qaip_core.operation import Operation
from qaip_core.reading import Reader, finite
from qaip_core.types import ModelInfo

__all__ = ["MODELS", "listed"]


class _Model(Wire, extra="allow"):
    id: str | None = None
    created: int | None = None
    owned_by: str | None = None
    context_length: int | None = None


class _Models(Wire):
    data: list[_Model | None]


_LIST: Reader[_Models] = Reader(_Models, ("", "data"))


def _models(body: Any) -> list[ModelInfo]:
    return [
        ModelInfo(m.id, m.created, m.owned_by, m.context_length, finite(m.model_extra or {}))
        for m in _LIST.body(body, {}).data
        if m is not None and m.id is not None  # one without a name is of no use
    ]


def listed(models: Sequence[ModelInfo], name: str | None) -> ModelInfo:
    """Return what the service's list says of one model.

    Raises:
        NotFoundError: the list does not hold it.
    """
    for model in models:
        if model.id == name:
            return model
    told = f"the service lists no model {name!r}: list_models() tells which there are"
    raise NotFoundError(told, service=FIREWORKS.name)


MODELS = Operation(backend=FIREWORKS, path="/models", decode=_models)
