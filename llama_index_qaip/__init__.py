"""LlamaIndex classes for services that answer with sources.

Five LLMs (`Qaip`, `Fireworks`, `PAIS`, `Perplexity`, `Dify`); where the service cites,
``llm.as_query_engine()`` gives answer and sources in one call, ``llm.as_retriever()`` the
sources alone.
"""

try:
    import llama_index.core as _core  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("llama_index", "llama_index.core"):
        raise
    raise ImportError(
        'llama-index-core is missing: pip install "qaip-integrations[llama-index]"'
    ) from error

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._citing import CitingLLM
from llama_index_qaip.errors import ServiceError
from llama_index_qaip.llms import PAIS, Dify, Fireworks, Perplexity, Qaip
from llama_index_qaip.query_engines import CitedQueryEngine
from llama_index_qaip.retrievers import CitationRetriever

__all__ = [
    "PAIS",
    "CitationRetriever",
    "CitedQueryEngine",
    "CitingLLM",
    "Dify",
    "Fireworks",
    "Perplexity",
    "Qaip",
    "ServiceError",
    "ServiceLLM",
]
