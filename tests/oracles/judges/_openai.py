"""The openai package pointed at a service, and what its answers say."""

import os
from typing import Any

from ._judge import Said

__all__ = ["arguments", "client", "joined", "whole"]


def arguments(base: str, key: str, path: str = "") -> dict[str, Any]:
    """Return how a strict client is made whose address and key stand in the environment."""
    address, token = os.environ[base] + path, os.environ[key]
    strict = {"max_retries": 0, "_strict_response_validation": True}
    return {"base_url": address, "api_key": token, **strict}


def client(**more: Any) -> Any:
    """Return a client."""
    from openai import OpenAI

    return OpenAI(**more)


def whole(answer: Any, sources: Any = ()) -> Said:
    """Return what a chat completion says."""
    assert answer.choices[0].finish_reason == "stop"
    return Said([answer.choices[0].message.content], sources, answer.usage.total_tokens)


def joined(parts: list[Any]) -> Said:
    """Return what the chunks of a chat completion say."""
    choices = [choice for part in parts for choice in part.choices]
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    usages = [part.usage.total_tokens for part in parts if part.usage]
    return Said([choice.delta.content or "" for choice in choices], tokens=(usages or [None])[-1])
