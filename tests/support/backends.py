"""The operations that the wire fixtures name, as endpoints of the core."""

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from qaip_core import Connection, Settings
from qaip_core.backend import Action, Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import chat as dify_chat
from qaip_core.backends.dify import workflow as dify_workflow
from qaip_core.backends.pais import agent as pais_agent
from qaip_core.backends.perplexity import agent as perplexity_agent

__all__ = ["ENDPOINTS", "KEY", "NEEDED", "settings"]

KEY = "test-key-5f1d0c"

ENDPOINTS: Mapping[tuple[str, str], Endpoint] = {
    ("qaip", "completions"): qaip.COMPLETIONS,
    ("fireworks", "completions"): fireworks.TEXT,
    ("fireworks", "chat"): fireworks.CHAT,
    ("pais", "completions"): pais.TEXT,
    ("pais", "chat"): pais.CHAT,
    ("pais", "agent-chat"): pais_agent.AGENT_CHAT,
    ("pais", "agent-completions"): pais_agent.AGENT_TEXT,
    ("perplexity", "chat"): perplexity.CHAT,
    ("perplexity", "agent"): perplexity_agent.AGENT,
    ("dify", "completion-messages"): dify.COMPLETION,
    ("dify", "chat-messages"): dify_chat.CHAT,
    ("dify", "workflows"): dify_workflow.RUN,
}

NEEDED: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("fireworks", "completions"): {"model": "m"},
    ("fireworks", "chat"): {"model": "m"},
    ("pais", "completions"): {"model": "m"},
    ("pais", "chat"): {"model": "m"},
    ("pais", "agent-chat"): {"agent_id": "a"},
    ("pais", "agent-completions"): {"agent_id": "a"},
    ("perplexity", "chat"): {"model": "sonar"},
    ("perplexity", "agent"): {"model": "perplexity/sonar", "web_search": False},
}
"""What an operation does not do without: parameters, by their Python names."""


def settings(action: Action, url: str, **fields: Any) -> Settings:
    """Return settings that reach a local server, without retries unless asked for."""
    fields = {"max_retries": 0, "timeout": 30, "stream_idle_timeout": 30, **fields}
    return Connection(api_key=SecretStr(KEY), base_url=url, **fields).settings(action.backend)
