"""LlamaIndex classes for services that answer with sources.

Five LLMs (`Qaip`, `Fireworks`, `PAIS`, `Perplexity`, `Dify`); where the service cites,
``llm.as_query_engine()`` gives answer and sources in one call, ``llm.as_retriever()`` the
sources alone.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from llama_index_qaip._cited import (
        ashow,
        cited,
        load_ipython_extension,
        show,
        unload_ipython_extension,
    )
    from llama_index_qaip.dify import DifyConversation, DifyDatasetRetriever, DifyWorkflow
    from llama_index_qaip.fireworks import FireworksEmbedding, FireworksRerank
    from llama_index_qaip.pais import PAISAgent, PAISEmbedding, PAISSearchRetriever
    from llama_index_qaip.perplexity import PerplexityAgent, PerplexitySearchRetriever
    from llama_index_qaip.qaip import QaipExtractor, QaipSearchRetriever

__all__ = [
    "PAIS",
    "CitationRetriever",
    "CitedQueryEngine",
    "CitingLLM",
    "Dify",
    "DifyConversation",
    "DifyDatasetRetriever",
    "DifyWorkflow",
    "Fireworks",
    "FireworksEmbedding",
    "FireworksRerank",
    "PAISAgent",
    "PAISEmbedding",
    "PAISSearchRetriever",
    "Perplexity",
    "PerplexityAgent",
    "PerplexitySearchRetriever",
    "Qaip",
    "QaipExtractor",
    "QaipSearchRetriever",
    "ServiceError",
    "ServiceLLM",
    "ashow",
    "cited",
    "load_ipython_extension",
    "show",
    "unload_ipython_extension",
]

_LATER: Mapping[str, tuple[str, ...]] = {
    "_cited": (
        "ashow",
        "cited",
        "load_ipython_extension",
        "show",
        "unload_ipython_extension",
    ),
    "qaip": ("QaipExtractor", "QaipSearchRetriever"),
    "fireworks": ("FireworksEmbedding", "FireworksRerank"),
    "pais": ("PAISAgent", "PAISEmbedding", "PAISSearchRetriever"),
    "perplexity": ("PerplexityAgent", "PerplexitySearchRetriever"),
    "dify": ("DifyConversation", "DifyDatasetRetriever", "DifyWorkflow"),
}


def __getattr__(name: str) -> Any:
    """Import a module at its first use: most applications use one service."""
    for module, names in _LATER.items():
        if name == module or name in names:
            found = import_module(f"{__name__}.{module}")
            return found if name == module else getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
