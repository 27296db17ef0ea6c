"""From chat completions, which Perplexity has ended, to its Agent API: parameters for parameters.

Vendor page: https://docs.perplexity.ai/docs/agent-api/migrate-from-sonar/overview
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qaip_core.backends.perplexity._classes import in_place_of

__all__ = ["as_agent"]

_SAME = ("max_tokens", "temperature", "top_p", "reasoning_effort", "language_preference")
_FILTERS = (
    "search_domain_filter",
    "search_recency_filter",
    "search_after_date_filter",
    "search_before_date_filter",
    "last_updated_after_filter",
    "last_updated_before_filter",
)
_FORMATS = ("text", "json_schema")
_OPTIONS = ("search_context_size", "user_location")
_FEWEST = 16
"""Tokens of an answer: the agent takes no smaller limit."""


def as_agent(chat: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the agent's parameters for those of a chat, and the names that have no equivalent.

    Parameters:
        chat: the parameters that are set.
    """
    left = {name: value for name, value in chat.items() if value is not None}
    agent: dict[str, Any] = dict(in_place_of(left.pop("model", None)))
    same = [name for name in _SAME if name != "max_tokens" or left.get(name, _FEWEST) >= _FEWEST]
    agent |= _taken(left, same)
    if left.get("response_format", {}).get("type") in _FORMATS:
        agent |= _taken(left, ["response_format"])
    if left.pop("disable_search", False):
        agent |= {"model": "perplexity/sonar", "web_search": False}  # which then searches nothing
        agent.pop("effort", None)
    elif search := _search(left):
        agent["web_search"] = search
    return agent, sorted(left)


def _search(left: dict[str, Any]) -> dict[str, Any]:
    """Return what the agent's search is told, and take it from what is left."""
    options = dict(left.pop("web_search_options", {}))
    search = _taken(options, _OPTIONS)
    if options.get("search_type") == "fast":
        search["search_type"] = options.pop("search_type")
    left |= {f"web_search_options.{name}": value for name, value in options.items()}
    filters = _taken(left, _FILTERS)
    return {**search, **({"filters": filters} if filters else {})}


def _taken(left: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: left.pop(name) for name in names if name in left}
