"""LangChain classes for services that answer with sources.

Qaip, Fireworks, VMware Private AI Services, Perplexity and Dify: chat models, text LLMs and
retrievers that return cited Documents.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

try:
    import langchain_core as _langchain_core  # noqa: F401
except ModuleNotFoundError as error:  # pragma: no cover -- needs an environment without it
    raise ImportError(
        'langchain_qaip needs langchain-core: pip install "qaip-integrations[langchain]"'
    ) from error

from langchain_qaip._messages import documents
from langchain_qaip._providers import register_providers
from langchain_qaip._translator import register as _register

if TYPE_CHECKING:
    from langchain_qaip._cited import (
        ashow,
        cited,
        load_ipython_extension,
        show,
        unload_ipython_extension,
    )
    from langchain_qaip.chat_models import (
        ChatDify,
        ChatFireworks,
        ChatPAIS,
        ChatPerplexity,
        ChatQaip,
    )
    from langchain_qaip.dify import ChatDifyConversation, DifyDatasetRetriever, DifyWorkflow
    from langchain_qaip.fireworks import FireworksEmbeddings, FireworksRerank
    from langchain_qaip.llms import PAISLLM, DifyLLM, FireworksLLM, PerplexityLLM, QaipLLM
    from langchain_qaip.pais import ChatPAISAgent, PAISAgentLLM, PAISEmbeddings, PAISSearchRetriever
    from langchain_qaip.perplexity import ChatPerplexityAgent, PerplexitySearchRetriever
    from langchain_qaip.qaip import QaipExtractor, QAIPRetriever, QaipSearchRetriever
    from langchain_qaip.retrievers import CitationRetriever
    from langchain_qaip.tools import PerplexitySearchTool

__all__ = [
    "PAISLLM",
    "ChatDify",
    "ChatDifyConversation",
    "ChatFireworks",
    "ChatPAIS",
    "ChatPAISAgent",
    "ChatPerplexity",
    "ChatPerplexityAgent",
    "ChatQaip",
    "CitationRetriever",
    "DifyDatasetRetriever",
    "DifyLLM",
    "DifyWorkflow",
    "FireworksEmbeddings",
    "FireworksLLM",
    "FireworksRerank",
    "PAISAgentLLM",
    "PAISEmbeddings",
    "PAISSearchRetriever",
    "PerplexityLLM",
    "PerplexitySearchRetriever",
    "PerplexitySearchTool",
    "QAIPRetriever",
    "QaipExtractor",
    "QaipLLM",
    "QaipSearchRetriever",
    "ashow",
    "cited",
    "documents",
    "load_ipython_extension",
    "register_providers",
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
    "chat_models": ("ChatDify", "ChatFireworks", "ChatPAIS", "ChatPerplexity", "ChatQaip"),
    "llms": ("PAISLLM", "DifyLLM", "FireworksLLM", "PerplexityLLM", "QaipLLM"),
    "retrievers": ("CitationRetriever",),
    "qaip": ("QAIPRetriever", "QaipExtractor", "QaipSearchRetriever"),
    "fireworks": ("FireworksEmbeddings", "FireworksRerank"),
    "pais": ("ChatPAISAgent", "PAISAgentLLM", "PAISEmbeddings", "PAISSearchRetriever"),
    "perplexity": ("ChatPerplexityAgent", "PerplexitySearchRetriever"),
    "tools": ("PerplexitySearchTool",),
    "dify": ("ChatDifyConversation", "DifyDatasetRetriever", "DifyWorkflow"),
}

_register()


def __getattr__(name: str) -> Any:
    """Import a module at its first use: LangChain's bases of these load some 30 others."""
    for module, names in _LATER.items():
        if name == module or name in names:
            found = import_module(f"{__name__}.{module}")
            return found if name == module else getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
