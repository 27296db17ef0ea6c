"""The answers of the canned server: bytes that are made before anyone asks for them.

A stream has a name, ``<shape>-<events>-<events per HTTP chunk>``, such as ``fireworks-2000-1``:
one event per HTTP chunk is what services send, eight is what a busy reader finds waiting. A
fourth number holds the events back until so many streams have begun. The first part names the
whole answer too.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

__all__ = ["event_bytes", "stream", "whole"]

_SENTENCE = "tea leaves are dried rolled and sorted before the first cup is poured"
_WORDS = _SENTENCE.split()
_SSE = "text/event-stream; charset=utf-8"
_ANSWER = " ".join(_WORDS * 4)
_COUNTS = {"prompt_tokens": 8, "completion_tokens": 52, "total_tokens": 60}
_SOURCES = [
    {
        "title": f"The keeping of tea, chapter {n}: {_SENTENCE}",
        "url": f"https://tea.example/books/keeping-of-tea/chapter-{n}.html",
        "date": "2026-01-02",
        "last_updated": "2026-02-03",
        "snippet": f"In chapter {n}, {_ANSWER[:180]} ...",
        "source": "web",
    }
    for n in range(1, 8)
]
_CITATIONS = [source["url"] for source in _SOURCES]

Json = dict[str, Any]


def _word(n: int) -> str:
    return f" {_WORDS[n % len(_WORDS)]}"


def _dumped(event: Json) -> bytes:
    return json.dumps(event, separators=(",", ":")).encode()


def _sse(events: Iterable[Json]) -> Iterator[bytes]:
    return (b"data: " + _dumped(event) + b"\n\n" for event in events)


def _completions(kind: str, said: Callable[[str], Json]) -> Callable[[int], Iterator[bytes]]:
    """Return what makes an OpenAI-like stream: its content, its finish, its end mark."""
    head = {"id": "cmpl-5d20", "object": kind, "created": 1760000000, "model": "m-1"}

    def events(count: int) -> Iterator[bytes]:
        for n in range(count):
            choice = {"index": 0, **said(_word(n)), "finish_reason": None}
            yield from _sse([{**head, "choices": [choice], "usage": None}])
        last = {"index": 0, **said(""), "finish_reason": "stop"}
        yield from _sse([{**head, "choices": [last], "usage": _COUNTS}])
        yield b"data: [DONE]\n\n"

    return events


def _perplexity(count: int) -> Iterator[bytes]:
    """Yield events that repeat every source, the text so far and the counts."""
    for n in range(count):
        last = n == count - 1
        text = "".join(map(_word, range(min(n + 1, count - 1))))
        cost = {"input_tokens_cost": 0, "output_tokens_cost": 0, "total_cost": 0}
        usage = {"prompt_tokens": 8, "completion_tokens": n + 1, "total_tokens": n + 9}
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "delta": {"role": "assistant", "content": "" if last else _word(n)},
            **({"finish_reason": "stop"} if last else {}),
        }
        event = {
            "id": "0b1f2c3d-answer",
            "model": "sonar",
            "created": 1780000000,
            "usage": {**usage, "search_context_size": "low", "cost": cost},
            "citations": _CITATIONS,
            "search_results": _SOURCES,
            "object": f"chat.completion.{'done' if last else 'chunk'}",
            "choices": [choice],
        }
        yield b"data: " + _dumped(event) + b"\r\n\r\n"


def _dify(count: int) -> Iterator[bytes]:
    ids = {"task_id": "t-5d20", "message_id": "m-5d20", "created_at": 1760000000}
    yield from _sse({"event": "message", **ids, "answer": _word(n)} for n in range(count))
    metadata = {"usage": _COUNTS, "retriever_resources": []}
    yield from _sse([{"event": "message_end", **ids, "metadata": metadata}])


def _qaip(count: int) -> Iterator[bytes]:
    """Yield lines, not events; the sources come with the last one."""
    for n in range(count):
        message = {"role": "assistant", "content": _word(n)}
        choice = {"index": 0, "message": message, "finish_reason": None}
        yield _dumped({"created": 1760000000, "choices": [choice]}) + b"\n"
    last = {"index": 0, "message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
    yield _dumped({"created": 1760000000, "choices": [last], "citations": []}) + b"\n"


def _whole(said: Json, **more: Any) -> Json:
    choice = {"index": 0, **said, "finish_reason": "stop"}
    head = {"id": "cmpl-5d20", "created": 1760000000, "model": "m-1"}
    return {**head, "choices": [choice], "usage": _COUNTS, **more}


_MESSAGE = {"message": {"role": "assistant", "content": _ANSWER}}
_FOUND = {"citations": _CITATIONS, "search_results": _SOURCES}
_STREAMS: dict[str, tuple[str, Callable[[int], Iterator[bytes]]]] = {
    "fireworks": (_SSE, _completions("chat.completion.chunk", lambda t: {"delta": {"content": t}})),
    "text": (_SSE, _completions("text_completion", lambda t: {"text": t})),
    "perplexity": (_SSE, _perplexity),
    "dify": (_SSE, _dify),
    "qaip": ("text/plain; charset=utf-8", _qaip),
}
_WHOLES: dict[str, Json] = {
    "fireworks": _whole(_MESSAGE, object="chat.completion"),
    "text": _whole({"text": _ANSWER}, object="text_completion"),
    "perplexity": _whole(_MESSAGE, object="chat.completion", **_FOUND),
    "dify": {
        "event": "message",
        "message_id": "m-5d20",
        "mode": "completion",
        "answer": _ANSWER,
        "metadata": {"usage": _COUNTS, "retriever_resources": []},
        "created_at": 1760000000,
    },
    "qaip": _whole(_MESSAGE, citations=[]),
}


def event_bytes(name: str) -> list[bytes]:
    """Return a stream's events."""
    shape, count, *_ = name.split("-")
    return list(_STREAMS[shape][1](int(count)))


@cache
def stream(name: str) -> bytes:
    """Return a stream as an HTTP response."""
    shape, _, size, *_ = name.split("-")
    events, step = event_bytes(name), int(size)
    groups = (b"".join(events[n : n + step]) for n in range(0, len(events), step))
    body = b"".join(b"%x\r\n%s\r\n" % (len(group), group) for group in groups)
    media_type = _STREAMS[shape][0].encode()
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n"
        % (media_type, body)
    )


@cache
def whole(name: str) -> bytes:
    """Return the whole answer of a stream's shape as an HTTP response."""
    return response(_dumped(_WHOLES[name.partition("-")[0]]))


def response(body: bytes) -> bytes:
    """Return a JSON body as an HTTP response."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body
