"""Listeners: what LlamaIndex's two systems of callbacks are told."""

# ruff: noqa: ARG002 -- the signatures are LlamaIndex's

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llama_index.core.callbacks import CBEventType, EventPayload
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span import SimpleSpan
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index_instrumentation import get_dispatcher

__all__ = ["Handler", "Limiter", "Recording", "recording"]


class _Events(BaseEventHandler):
    seen: list[Any]

    def handle(self, event: Any, **_: Any) -> None:
        self.seen.append(event)


class _Spans(BaseSpanHandler[SimpleSpan]):
    def __init__(self) -> None:
        super().__init__({}, [], [], {})  # its own defaults are shared by all

    def new_span(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        parent_span_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **_: Any,
    ) -> SimpleSpan:
        return SimpleSpan(id_=id_, parent_id=parent_span_id)

    def prepare_to_exit_span(
        self, id_: str, bound_args: Any, instance: Any = None, result: Any = None, **_: Any
    ) -> SimpleSpan:
        return self.open_spans[id_]

    def prepare_to_drop_span(
        self, id_: str, bound_args: Any, instance: Any = None, err: Any = None, **_: Any
    ) -> SimpleSpan:
        self.dropped_spans.append(self.open_spans[id_])
        return self.open_spans[id_]


class Recording:
    """The events and spans of a while, in order."""

    def __init__(self) -> None:
        self._events = _Events(seen=[])
        self._spans = _Spans()

    @property
    def events(self) -> list[Any]:
        """All events."""
        return self._events.seen

    @property
    def open_spans(self) -> list[str]:
        """Spans that were neither exited nor dropped."""
        return list(self._spans.open_spans)

    @property
    def dropped(self) -> int:
        """The number of spans that ended with an error."""
        return len(self._spans.dropped_spans)

    def named(self, *endings: str) -> list[str]:
        """Return the class names of the events that end so, in order."""
        return [name for event in self.events if (name := event.class_name()).endswith(endings)]

    def of(self, name: str) -> list[Any]:
        """Return the events of a class."""
        return [event for event in self.events if event.class_name() == name]


@contextmanager
def recording() -> Iterator[Recording]:
    """Record what the dispatcher is told inside the block."""
    root, record = get_dispatcher(), Recording()
    root.event_handlers.append(record._events)  # noqa: SLF001 -- one thing in two halves
    root.span_handlers.append(record._spans)  # noqa: SLF001
    try:
        yield record
    finally:
        root.event_handlers.pop()
        root.span_handlers.pop()


class Handler(BaseCallbackHandler):
    """A handler of the older system that keeps all it is told, exceptions included."""

    def __init__(self) -> None:
        super().__init__(event_starts_to_ignore=[], event_ends_to_ignore=[])
        self.starts: list[tuple[CBEventType, Any]] = []
        self.ends: list[tuple[CBEventType, Any]] = []

    def on_event_start(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        parent_id: str = "",
        **_: Any,
    ) -> str:
        """Keep a start."""
        self.starts.append((event_type, payload or {}))
        return event_id

    def on_event_end(
        self,
        event_type: CBEventType,
        payload: dict[str, Any] | None = None,
        event_id: str = "",
        **_: Any,
    ) -> None:
        """Keep an end."""
        self.ends.append((event_type, payload or {}))

    def start_trace(self, trace_id: str | None = None) -> None:
        """Take no note."""

    def end_trace(
        self, trace_id: str | None = None, trace_map: dict[str, list[str]] | None = None
    ) -> None:
        """Take no note."""

    def counts(self, kind: CBEventType) -> tuple[int, int]:
        """Return how many starts and ends of a kind there were."""
        return tuple(sum(k is kind for k, _ in all_) for all_ in (self.starts, self.ends))  # type: ignore[return-value]

    def told(self, kind: CBEventType, part: EventPayload) -> list[Any]:
        """Return a part of what ends of a kind were told, where it was told."""
        ends = [payload for k, payload in self.ends if k is kind]
        return [payload[part] for payload in ends if part in payload]

    def exceptions(self, kind: CBEventType) -> list[BaseException]:
        """Return the exceptions that ends of a kind were told of."""
        return self.told(kind, EventPayload.EXCEPTION)


class Limiter:
    """A rate limiter that counts."""

    acquired = 0

    def acquire(self, num_tokens: int = 0) -> None:
        """Count once."""
        self.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        """Count once."""
        self.acquired += 1
