"""What the clients ask, in the form that most of them share."""

from typing import Any

from ._judge import ANSWER, QUESTION

__all__ = [
    "CHAT",
    "EMBEDDER",
    "EXTRACTIVE",
    "FORECAST",
    "FORM",
    "PASSAGES",
    "RERANKER",
    "SCHEMA",
    "TOOLS",
]

EMBEDDER = "nomic-ai/nomic-embed-text-v1.5"
RERANKER = "fireworks/qwen3-reranker-8b"
PASSAGES = ["The ferry leaves at noon.", ANSWER]
EXTRACTIVE = "accounts/sandbox/models/extractive"
CHAT: Any = [{"role": "user", "content": QUESTION}]
FORECAST: Any = [{"role": "user", "content": "What is the weather in Merrøw?"}]
TOOLS: Any = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather of a town.",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string"}},
                "required": ["town"],
            },
        },
    }
]
SCHEMA: Any = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "Answer", "schema": SCHEMA}}
