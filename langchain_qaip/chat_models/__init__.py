"""Chat models of the five services, each in a module of its own.

All of them take, beside their own parameters, those of `qaip_core.connection.Connection`
(``api_key``, ``base_url``, ``timeout``, ``max_retries``, ...) and LangChain's.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from langchain_qaip.chat_models.dify import ChatDify
    from langchain_qaip.chat_models.fireworks import ChatFireworks
    from langchain_qaip.chat_models.pais import ChatPAIS
    from langchain_qaip.chat_models.perplexity import ChatPerplexity
    from langchain_qaip.chat_models.qaip import ChatQaip

__all__ = ["ChatDify", "ChatFireworks", "ChatPAIS", "ChatPerplexity", "ChatQaip"]

_OF: Mapping[str, str] = {
    "ChatDify": "dify",
    "ChatFireworks": "fireworks",
    "ChatPAIS": "pais",
    "ChatPerplexity": "perplexity",
    "ChatQaip": "qaip",
}


def __getattr__(name: str) -> Any:
    """Import a service at its first use: most applications use one of the five."""
    if name in _OF:
        return getattr(import_module(f"{__name__}.{_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
