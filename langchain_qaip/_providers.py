"""Lets ``init_chat_model`` know this package's classes."""

from __future__ import annotations

from typing import Any

from langchain_qaip._translator import provider
from qaip_core.errors import ConfigurationError

__all__ = ["register_providers"]

_MODULE = "langchain_qaip"


def _make(cls: type[Any], **kwargs: Any) -> Any:
    if "agent_id" in cls.endpoint.required:
        kwargs.setdefault("agent_id", kwargs.pop("model", None))
    return cls(**kwargs)


def register_providers() -> None:
    """Make ``init_chat_model("qaip-perplexity:sonar")`` and the like work.

    The names are those of ``model_provider``: "qaip", "qaip-fireworks", "qaip-pais",
    "qaip-pais-agent", "qaip-perplexity", "qaip-perplexity-agent", "qaip-dify",
    "qaip-dify-conversation". Qaip and Dify choose the model themselves: what stands behind the
    colon is ignored; for "qaip-pais-agent" it is the agent's id. LangChain has no public way to
    add providers; this one is checked for every version that the package supports, and does
    nothing until it is called.

    Raises:
        ImportError: the ``langchain`` package is not installed.
        ConfigurationError: this version of ``langchain`` keeps its providers elsewhere.
    """
    from langchain.chat_models import base

    table = getattr(base, "_BUILTIN_PROVIDERS", None)
    if not isinstance(table, dict):
        raise ConfigurationError(
            "this version of langchain keeps its providers elsewhere: make the object yourself"
        )
    import langchain_qaip as ours

    for name in ours.__all__:
        if not name.startswith("Chat"):
            continue
        endpoint = getattr(ours, name).endpoint
        known = "-".join(filter(None, (provider(endpoint.backend.name), endpoint.kind)))
        for spelling in (known, known.replace("-", "_")):  # LangChain looks for either
            table.setdefault(spelling, (_MODULE, name, _make))
