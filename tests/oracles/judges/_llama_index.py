"""What LlamaIndex's messages and answers say."""

from typing import Any

from ._judge import QUESTION, Said

__all__ = ["joined", "messages", "whole"]


def messages(question: str = QUESTION) -> Any:
    """Return a conversation that asks a question."""
    from llama_index.core.llms import ChatMessage

    return [ChatMessage(role="user", content=question)]


def _sources(answer: Any) -> list[str]:
    return list(answer.raw["citations"]) if isinstance(answer.raw, dict) else []


def _tokens(answer: Any) -> int | None:
    usage = answer.raw["usage"] if isinstance(answer.raw, dict) else answer.raw.usage
    return (usage["total_tokens"] if isinstance(usage, dict) else usage.total_tokens) or None


def whole(answer: Any, text: str) -> Said:
    """Return what an answer says."""
    return Said([text], _sources(answer), _tokens(answer))


def joined(parts: list[Any]) -> Said:
    """Return what the parts of a stream say."""
    return Said([part.delta or "" for part in parts], _sources(parts[-1]))
