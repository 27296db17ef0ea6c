"""Tests that state what LlamaIndex expects of LLMs, retrievers, query engines and the like.

For classes of anybody: subclass `LLMContract`, `RetrieverContract`, `QueryEngineContract`,
`EmbeddingContract` or `RerankContract` in a test module, say how to make yours and how its service
writes. It needs pytest.
"""

import pytest

_PARTS = (
    "_answers",
    "_bench",
    "_errors",
    "_events",
    "_leaving",
    "_objects",
    "_prompts",
    "_sent",
    "_sources",
    "_streams",
    "_structured",
    "_tools",
    "retrievers",
    "query_engines",
    "embeddings",
    "postprocessors",
)
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in _PARTS))

from llama_index_qaip.testing._bench import KEY, Bench  # noqa: E402 -- after the rewriting is set
from llama_index_qaip.testing._contract import Contract, good_practice, needs  # noqa: E402
from llama_index_qaip.testing._dialect import Dialect  # noqa: E402
from llama_index_qaip.testing._loopback import Loopback  # noqa: E402
from llama_index_qaip.testing._openai import OpenAIDialect  # noqa: E402
from llama_index_qaip.testing._script import (  # noqa: E402
    SOURCES,
    Answer,
    Call,
    Refusal,
    Request,
    Service,
    Source,
)
from llama_index_qaip.testing.embeddings import (  # noqa: E402
    EmbeddingContract,
    EmbeddingDialect,
    vector_of,
)
from llama_index_qaip.testing.llms import LLMContract  # noqa: E402
from llama_index_qaip.testing.postprocessors import (  # noqa: E402
    RerankContract,
    RerankDialect,
    score_of,
)
from llama_index_qaip.testing.query_engines import QueryEngineContract  # noqa: E402
from llama_index_qaip.testing.retrievers import RetrieverContract  # noqa: E402

__all__ = [
    "KEY",
    "SOURCES",
    "Answer",
    "Bench",
    "Call",
    "Contract",
    "Dialect",
    "EmbeddingContract",
    "EmbeddingDialect",
    "LLMContract",
    "Loopback",
    "OpenAIDialect",
    "QueryEngineContract",
    "Refusal",
    "Request",
    "RerankContract",
    "RerankDialect",
    "RetrieverContract",
    "Service",
    "Source",
    "good_practice",
    "needs",
    "score_of",
    "vector_of",
]
