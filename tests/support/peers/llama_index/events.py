"""Rows about what LlamaIndex is told while a model answers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from llama_index.core.callbacks import CallbackManager, CBEventType, LlamaDebugHandler

from support.fault_server import FaultServer
from support.peers.asking import holds
from support.peers.breaks import begun, interrupted, sent
from support.peers.check import Check, Group
from support.peers.llama_index.asking import (
    CHATS,
    COMPLETES,
    STREAM,
    STREAM_COMPLETE,
    Way,
    known,
    lanes,
    over,
    recorded,
)
from support.peers.replies import Answer
from support.peers.subject import Subject

__all__ = ["GROUP"]


def _kind(way: Way) -> str:
    return "LLMCompletion" if way.plain else "LLMChat"


def _once(subject: Subject, server: FaultServer, way: Way) -> None:
    """One start, one end; of callbacks too."""
    server.replies(way.served(subject))
    debug = LlamaDebugHandler(print_trace_on_end=False)
    with recorded() as events:
        way.ask(subject.chat_model(server, callback_manager=CallbackManager([debug])))
    found = Counter(event.class_name() for event in events)
    kind = _kind(way)
    assert found[f"{kind}StartEvent"] == found[f"{kind}EndEvent"] == 1, found
    others = [name for name in found if name.startswith("LLM") and not name.startswith(kind)]
    assert not others, f"and {others}"
    pairs = debug.get_event_pairs(CBEventType.LLM)
    assert [len(pair) for pair in pairs] == [2], pairs


def _steps(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    with recorded() as events:
        responses = way.all(subject.chat_model(server))
    name = f"{_kind(way)}InProgressEvent"
    found = sum(event.class_name() == name for event in events)
    assert found == len(responses) >= len(Answer().pieces), found


def _end(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    with recorded() as events:
        way.ask(subject.chat_model(server))
    (last,) = [e for e in events if e.class_name() == f"{_kind(way)}EndEvent"]
    assert way.said_by(last.response) == Answer().text
    assert holds(known(last.response), "stop"), "it holds no finish_reason"


def _excepted(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(sent(subject, *begun(subject), end="cut"))
    model = subject.chat_model(server)
    with recorded() as events:
        interrupted(way, model)
    names = [event.class_name() for event in events]
    assert names.count("ExceptionEvent") == 1, names
    assert "LLMChatEndEvent" not in names, "it ended, too"


def _written(subject: Subject, server: FaultServer, way: Way) -> None:
    """As exporters write them."""
    server.replies(way.served(subject))
    with recorded() as events:
        way.ask(subject.chat_model(server))
    assert [event.model_dump_json() for event in events]


def _limiter() -> Any:
    from llama_index.core.rate_limiter import TokenBucketRateLimiter

    class Counting(TokenBucketRateLimiter):
        count: int = 0

        def acquire(self, num_tokens: int = 0) -> None:
            self.count += 1

        async def async_acquire(self, num_tokens: int = 0) -> None:
            self.count += 1

    return Counting(requests_per_minute=6000)


def _limited(subject: Subject, server: FaultServer, way: Way) -> None:
    server.replies(way.served(subject))
    model = subject.chat_model(server)
    model.rate_limiter = _limiter()
    way.ask(model)
    assert model.rate_limiter.count == 1, model.rate_limiter.count


_PERPLEXITY = frozenset({"perplexity"})

GROUP = Group(
    "Events",
    (
        Check("events", "One start and one end event", over(_once, *CHATS, *COMPLETES)),
        Check(
            "progress",
            "A progress event for each response",
            over(_steps, STREAM, STREAM_COMPLETE),
        ),
        Check(
            "end_event",
            "The end event of a stream holds text and `finish_reason`",
            over(_end, STREAM, STREAM_COMPLETE),
            defect_of=_PERPLEXITY,
        ),
        Check("exception", "An exception event if a stream breaks", lanes(_excepted)),
        Check("events_json", "Events survive JSON", over(_written)),
        Check("rate_limiter", "`rate_limiter` is asked once", over(_limited, *CHATS, *COMPLETES)),
    ),
)
