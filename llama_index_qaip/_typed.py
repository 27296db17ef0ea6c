"""LlamaIndex's decorators, typed: its own hide from type checkers what a method takes and gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index_instrumentation import get_dispatcher

__all__ = ["chat_call", "completion_call", "dispatcher", "span"]

F = TypeVar("F", bound=Callable[..., Any])
dispatcher = get_dispatcher("llama_index_qaip")


def chat_call(method: F) -> F:
    """Decorate one of the four methods that take messages."""
    return cast("F", _sighted(llm_chat_callback()(method)))


def completion_call(method: F) -> F:
    """Decorate one of the four methods that take a text."""
    return cast("F", _sighted(llm_completion_callback()(method)))


def span(method: F) -> F:
    """Decorate a method that is a span of its own."""
    return cast("F", _sighted(dispatcher.span(method)))


def _sighted(decorated: Any) -> Any:
    """Keep the signature of a method, which LlamaIndex makes anew for every call of it."""
    method: Any = getattr(decorated, "__wrapped__", decorated)
    if isinstance(method, FunctionType):
        method.__signature__ = inspect.signature(method)  # type: ignore[attr-defined]
    return decorated
