"""LangChain classes for services that answer with sources.

Qaip, Fireworks, VMware Private AI Services, Perplexity and Dify: chat models, text LLMs and
retrievers that return cited Documents.
"""

try:
    import langchain_core as _langchain_core  # noqa: F401
except ModuleNotFoundError as error:  # pragma: no cover -- needs an environment without it
    raise ImportError(
        'langchain_qaip needs langchain-core: pip install "qaip-integrations[langchain]"'
    ) from error

from langchain_qaip._messages import documents
from langchain_qaip._providers import register_providers
from langchain_qaip._translator import register as _register
from langchain_qaip.chat_models import (
    ChatDify,
    ChatFireworks,
    ChatPAIS,
    ChatPerplexity,
    ChatQaip,
)
from langchain_qaip.llms import PAISLLM, DifyLLM, FireworksLLM, PerplexityLLM, QaipLLM
from langchain_qaip.retrievers import CitationRetriever

__all__ = [
    "PAISLLM",
    "ChatDify",
    "ChatFireworks",
    "ChatPAIS",
    "ChatPerplexity",
    "ChatQaip",
    "CitationRetriever",
    "DifyLLM",
    "FireworksLLM",
    "PerplexityLLM",
    "QaipLLM",
    "documents",
    "register_providers",
]

_register()
