"""The operations that the wire fixtures name, as endpoints of the core."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from qaip_core import Connection, Settings
from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip

__all__ = ["ENDPOINTS", "KEY", "NEEDED", "settings"]

KEY = "test-key-5f1d0c"

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("qaip", "completions"): qaip.COMPLETIONS,
    ("fireworks", "completions"): fireworks.TEXT,
    ("fireworks", "chat"): fireworks.CHAT,
    ("pais", "completions"): pais.TEXT,
    ("pais", "chat"): pais.CHAT,
    ("perplexity", "chat"): perplexity.CHAT,
    ("dify", "completion-messages"): dify.COMPLETION,
}

NEEDED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("fireworks", "completions"): {"model": "m"},
    ("fireworks", "chat"): {"model": "m"},
    ("pais", "completions"): {"model": "m"},
    ("pais", "chat"): {"model": "m"},
    ("perplexity", "chat"): {"model": "sonar"},
}
"""What an operation does not do without: parameters, by their Python names."""


def settings(endpoint: Endpoint, url: str, **fields: Any) -> Settings:
    """Return settings that reach a local server, without retries unless asked for."""
    fields = {"max_retries": 0, "timeout": 30, "stream_idle_timeout": 30, **fields}
    return Connection(api_key=SecretStr(KEY), base_url=url, **fields).settings(endpoint.backend)
