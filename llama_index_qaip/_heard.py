"""`Heard`: what the LLMs of an engine say that its response no longer holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any, TypeAlias

from llama_index.core.base.llms.types import ChatResponse, CompletionResponse
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMCompletionEndEvent
from llama_index_instrumentation import get_dispatcher

from llama_index_qaip._cited import cited
from qaip_core.bulk.money import money
from qaip_core.bulk.plain import unplaced

__all__ = ["Heard", "hearing"]

_Said: TypeAlias = ChatResponse | CompletionResponse
_COUNTS: Mapping[str, Sequence[str]] = {
    "input_tokens": ("prompt_tokens", "input_tokens", "prompt_token_count"),
    "output_tokens": ("completion_tokens", "output_tokens", "candidates_token_count"),
    "total_tokens": ("total_tokens", "total_token_count"),
    "cached_tokens": ("cached_tokens",),
    "reasoning_tokens": ("reasoning_tokens",),
}
"""Token counts, by the names that services have for them."""


class Heard:
    """The answers that one row has taken."""

    def __init__(self) -> None:
        self._answers: list[_Said] = []
        self._known: set[int] = set()

    def add(self, answer: _Said) -> None:
        """Keep an answer; of a model that is built on another, both tell of the same one."""
        same = id(answer if answer.raw is None else answer.raw)
        if same not in self._known:
            self._known.add(same)
            self._answers.append(answer)

    @property
    def usage(self) -> dict[str, int] | None:
        """The token counts of all calls together; None where nobody counts."""
        total: dict[str, int] = {}
        for answer in self._answers:
            for name, count in _usage(answer).items():
                total[name] = total.get(name, 0) + count
        return total or None

    @property
    def cost(self) -> float | None:
        """What all calls cost together; None where nobody says."""
        said = (money({**_fields(a.raw), **a.additional_kwargs}) for a in self._answers)
        costs = [cost for cost in said if cost is not None]
        return sum(costs) if costs else None

    def fact(self, name: str) -> str | None:
        """Return what the last call says of itself that says it."""
        for answer in reversed(self._answers):
            found = answer.additional_kwargs.get(name) or _fields(answer.raw).get(name)
            if isinstance(found, str):
                return found
        return None

    def citations(self, text: str) -> Sequence[Mapping[str, Any]]:
        """Return the sources of the last answer that cites.

        Parameters:
            text: that of the engine's response.
        """
        for answer in reversed(self._answers):
            said = cited(answer)
            if said.citations:
                return said.citations if said.text == text else unplaced(said.citations)
        return ()


def _fields(raw: Any) -> Mapping[str, Any]:
    """Return what a service has sent; some packages keep their client's objects."""
    if isinstance(raw, Mapping):
        return raw
    return getattr(raw, "__dict__", {})


def _usage(answer: _Said) -> dict[str, int]:
    sent = _fields(answer.raw)
    counts = _fields(sent.get("usage") or sent.get("usage_metadata"))
    counts = {**counts, **answer.additional_kwargs}
    found: dict[str, int] = {}
    for name, theirs in _COUNTS.items():
        known = (counts.get(their) for their in theirs)
        number = next((n for n in known if isinstance(n, int)), None)
        if number is not None:
            found[name] = number
    if "input_tokens" in found and "output_tokens" in found:
        found.setdefault("total_tokens", found["input_tokens"] + found["output_tokens"])
    return found


_row: ContextVar[Heard | None] = ContextVar("the row that is asked", default=None)


class _Ear(BaseEventHandler):
    """Tells each answer to the row that it is for."""

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:  # noqa: ARG002 -- LlamaIndex's
        """Keep an answer; all other events pass."""
        heard = _row.get()
        if heard is None or not isinstance(event, LLMChatEndEvent | LLMCompletionEndEvent):
            return
        if event.response is not None:
            heard.add(event.response)


_ear, _lock, _listeners = _Ear(), Lock(), [0]
_all = get_dispatcher()


@contextmanager
def hearing() -> Iterator[Heard]:
    """Hear what models say in this context, and the tasks that are started in it."""
    heard = Heard()
    _count(1)
    token = _row.set(heard)
    try:
        yield heard
    finally:
        _row.reset(token)
        _count(-1)


def _count(more: int) -> None:
    """Listen while anybody does: while nobody does, streams are cheaper."""
    with _lock:
        before, _listeners[0] = _listeners[0], _listeners[0] + more
        if not before:
            _all.add_event_handler(_ear)
        elif not _listeners[0]:
            _all.event_handlers.remove(_ear)
