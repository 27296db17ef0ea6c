"""Embeddings of texts.

Vendor page: https://developer.broadcom.com/xapis/vmware-private-ai-services-api/latest/
"""

from __future__ import annotations

from qaip_core.backend import Params
from qaip_core.backends._embeddings import Texts, embeddings
from qaip_core.backends.pais._service import PAIS

__all__ = ["EMBEDDINGS", "PaisEmbeddingParams"]


class PaisEmbeddingParams(Params):
    """Parameters of embeddings, but for the texts. The service documents no others.

    Parameters:
        model: the id of a model endpoint of the type EMBEDDINGS.
    """

    model: str | None = None


class _Embedded(PaisEmbeddingParams):
    input: Texts | None = None


EMBEDDINGS = embeddings(PAIS, _Embedded)
