"""Answers in each service's dialect, as a server on loopback sends them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from support.fault_server import Reply, json_reply, sse_reply

__all__ = [
    "SOURCES",
    "Agent",
    "Answer",
    "Call",
    "ChatCompletions",
    "Completions",
    "Responses",
    "Sonar",
    "Wire",
    "refusal",
    "saying",
]

Json = dict[str, Any]

SOURCES: Sequence[Mapping[str, str]] = (
    {
        "title": "Harbour chronicle",
        "url": "https://chronicle.example/1823",
        "snippet": "The lamp was lit on the first of May 1823.",
        "date": "2024-02-01",
        "last_updated": "2025-03-04",
    },
    {
        "title": "Lights of the coast",
        "url": "https://lights.example/list",
        "snippet": "First lit in 1823, electric since 1911.",
        "date": "2023-06-30",
        "last_updated": "2025-01-02",
    },
)


@dataclass(frozen=True)
class Call:
    """A tool call of the model; ``cut`` is the number of letters that its arguments lack."""

    name: str
    args: Mapping[str, Any]
    id: str = "call_a1"
    cut: int = 0

    @property
    def arguments(self) -> str:
        whole = json.dumps(self.args)
        return whole[: len(whole) - self.cut]


@dataclass(frozen=True)
class Answer:
    """What the service shall say, in any dialect.

    usage: further counts, beside the usual three.
    more: further keys at the top of the whole body, and of the stream's last chunk (Sonar
            repeats them on all).
    """

    pieces: Sequence[str] = ("The lamp ", "was lit ", "in 1823.[1][2]")
    id: str = "answer-7c21"
    model: str = "echo-model"
    created: int = 1760000000
    finish: str | None = "stop"
    reasoning: str = ""
    calls: Sequence[Call] = ()
    prompt_tokens: int = 11
    completion_tokens: int = 7
    usage: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def counts(self) -> Json:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            **self.usage,
        }


def saying(text: str, **given: Any) -> Answer:
    """Return an answer of one piece."""
    return Answer(pieces=(text,), **given)


class Wire(Protocol):
    """How one service writes an answer."""

    newline: str

    def body(self, answer: Answer) -> Json: ...

    def events(self, answer: Answer) -> list[str]: ...


class _Written:
    newline = "\n"

    def whole(self: Any, answer: Answer | None = None) -> Reply:
        return json_reply(self.body(answer or Answer()))

    def stream(self: Any, answer: Answer | None = None, **how: Any) -> Reply:
        events = self.events(answer or Answer())
        return sse_reply(*events, **{"newline": self.newline, **how})


@dataclass(frozen=True)
class ChatCompletions(_Written):
    """Chat completions as OpenAI and Fireworks write them.

    usage: where a stream reports it: on the finish chunk, on a trailing chunk without choices,
        on both, or nowhere, as OpenAI does it if nobody asked.
    role: whether the role has a chunk of its own.
    logprobs: those of each choice.
    """

    usage: Literal["finish", "trailing", "both", "nowhere"] = "trailing"
    role: bool = True
    logprobs: Mapping[str, Any] | None = None

    def body(self, answer: Answer) -> Json:
        message: Json = {"role": "assistant", "content": answer.text}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.calls:
            message |= {"content": None, "tool_calls": [_named(c) for c in answer.calls]}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish}
        choice |= self._probable()
        head = self._head(answer, "chat.completion")
        return {**head, "choices": [choice], "usage": answer.counts, **answer.more}

    def events(self, answer: Answer) -> list[str]:
        deltas = [{"content": piece} for piece in answer.pieces]
        if answer.calls:
            deltas = [f for i, call in enumerate(answer.calls) for f in _fragments(call, i)]
        if answer.reasoning:
            half = len(answer.reasoning) // 2
            parts = (answer.reasoning[:half], answer.reasoning[half:])
            deltas = [{"reasoning_content": part} for part in parts] + deltas
        role = {"role": "assistant", "content": ""}
        deltas = [role, *deltas] if self.role else [{**role, **deltas[0]}, *deltas[1:]]
        chunks = [self.chunk(answer, delta) for delta in deltas]
        if answer.finish:
            chunks += self._ending(answer)
        return [json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * bool(answer.finish)

    def chunk(self, answer: Answer, delta: Json, index: int = 0, finish: Any = None) -> Json:
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        choice |= self._probable() if delta.get("content") else {}
        return {**self._head(answer, "chat.completion.chunk"), "choices": [choice], "usage": None}

    def _probable(self) -> Json:
        return {"logprobs": dict(self.logprobs)} if self.logprobs else {}

    def _ending(self, answer: Answer) -> list[Json]:
        last = {**self.chunk(answer, {}, finish=answer.finish), **answer.more}
        if self.usage in ("finish", "both"):
            last["usage"] = answer.counts
        trailing = {**last, "choices": [], "usage": answer.counts}
        return [last, trailing] if self.usage in ("trailing", "both") else [last]

    def _head(self, answer: Answer, kind: str) -> Json:
        return {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model}


def _named(call: Call, **more: Any) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {**more, "id": call.id, "type": "function", "function": function}


def _fragments(call: Call, index: int) -> list[Json]:
    """A tool call as a stream brings it: its name, then its arguments in two pieces."""
    args = call.arguments
    pieces = (args[:3], args[3:])
    named = {"index": index, "id": call.id, "type": "function", "function": {"name": call.name}}
    named["function"]["arguments"] = ""
    rest = [{"index": index, "id": None, "function": {"arguments": piece}} for piece in pieces]
    return [{"tool_calls": [fragment]} for fragment in (named, *rest)]


@dataclass(frozen=True)
class Completions(_Written):
    """Text completions as OpenAI and Fireworks write them."""

    logprobs: Mapping[str, Any] | None = None

    def body(self, answer: Answer) -> Json:
        return {
            **self._chunk(answer, answer.text, answer.finish),
            "usage": answer.counts,
            **answer.more,
        }

    def events(self, answer: Answer) -> list[str]:
        chunks = [self._chunk(answer, piece) for piece in answer.pieces]
        if answer.finish:
            chunks.append({**self._chunk(answer, "", answer.finish), "usage": answer.counts})
        return [json.dumps(chunk) for chunk in chunks] + ["[DONE]"] * bool(answer.finish)

    def _chunk(self, answer: Answer, text: str, finish: Any = None) -> Json:
        logprobs = dict(self.logprobs) if self.logprobs else None
        choice = {"text": text, "index": 0, "logprobs": logprobs, "finish_reason": finish}
        head = {"id": answer.id, "object": "text_completion", "created": answer.created}
        return {**head, "model": answer.model, "choices": [choice]}


@dataclass(frozen=True)
class Sonar(_Written):
    """Perplexity's chat completions: sources, cumulative counts, no end line.

    late: the sources come with the last chunk only, as in its concise mode.
    """

    late: bool = False
    newline: str = "\r\n"

    def body(self, answer: Answer) -> Json:
        said = _thought(answer)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": said},
            "delta": {"role": "assistant", "content": ""},
            "finish_reason": answer.finish,
        }
        return {
            **self._head(answer, "chat.completion"),
            "usage": _billed(answer, answer.completion_tokens, done=True),
            **_sourced(),
            "choices": [choice],
            **answer.more,
        }

    def events(self, answer: Answer) -> list[str]:
        pieces = [_thought(answer, ""), *answer.pieces] if answer.reasoning else answer.pieces
        chunks: list[Json] = []
        so_far = ""
        for number, piece in enumerate(pieces, start=1):
            so_far += piece
            chunks.append(self._chunk(answer, piece, so_far, number))
        if answer.finish:
            last = self._chunk(answer, "", so_far, answer.completion_tokens, answer.finish)
            chunks.append({**last, **_sourced(), **answer.more})
        return [json.dumps(chunk) for chunk in chunks]

    def _chunk(
        self, answer: Answer, piece: str, so_far: str, tokens: int, finish: str | None = None
    ) -> Json:
        choice = {
            "index": 0,
            "delta": {"role": "assistant", "content": piece},
            "message": {"role": "assistant", "content": so_far},
            "finish_reason": finish,
        }
        return {
            **self._head(answer, "chat.completion.chunk"),
            "usage": _billed(answer, tokens, done=finish is not None),
            **({} if self.late else {**_sourced(), **answer.more}),
            "choices": [choice],
        }

    def _head(self, answer: Answer, kind: str) -> Json:
        return {"id": answer.id, "model": answer.model, "created": answer.created, "object": kind}


def _thought(answer: Answer, text: str | None = None) -> str:
    """Return a text as Sonar's reasoning models write it."""
    text = answer.text if text is None else text
    return f"<think>\n{answer.reasoning}\n</think>\n\n{text}" if answer.reasoning else text


def _sourced() -> Json:
    return {
        "citations": [source["url"] for source in SOURCES],
        "search_results": [dict(source) for source in SOURCES],
    }


def _billed(answer: Answer, tokens: int, *, done: bool) -> Json:
    """Return cumulative counts; until the end the cost is the integer 0."""
    cost = {"request_cost": 0.005, "total_cost": 0.00521} if done else {"total_cost": 0}
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": answer.prompt_tokens + tokens,
        "search_context_size": "low",
        "cost": cost,
        **(answer.usage if done else {}),
    }


@dataclass(frozen=True)
class Responses(_Written):
    """OpenAI's Responses API; a source is an annotation of the text."""

    def body(self, answer: Answer) -> Json:
        start = answer.text.find("[1]")
        citation = {
            "type": "url_citation",
            "start_index": start,
            "end_index": start + 3,
            "url": SOURCES[0]["url"],
            "title": SOURCES[0]["title"],
        }
        part = {"type": "output_text", "text": answer.text, "annotations": [citation]}
        return _response(answer, [*_thoughts(answer), _message(answer, [part])])

    def events(self, answer: Answer) -> list[str]:
        whole = self.body(answer)
        return [json.dumps(event) for event in _numbered(_response_events(whole, answer))]


@dataclass(frozen=True)
class Agent(_Written):
    """Perplexity's Agent API, calling a function."""

    def body(self, answer: Answer) -> Json:
        calls = [
            {
                "type": "function_call",
                "id": f"fc_{call.id}",
                "call_id": call.id,
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
            for call in answer.calls
        ]
        part = {"type": "output_text", "text": answer.text, "annotations": []}
        return _response(answer, calls or [_message(answer, [part])])

    def events(self, answer: Answer) -> list[str]:
        whole = self.body(answer)
        return [json.dumps(event) for event in _numbered(_response_events(whole, answer))]


def _response(answer: Answer, output: list[Json], status: str = "completed") -> Json:
    return {
        "id": f"resp_{answer.id}",
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "model": answer.model,
        "error": None,
        "incomplete_details": None,
        "output": output,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": answer.prompt_tokens,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": answer.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
        },
    }


def _message(answer: Answer, content: list[Json]) -> Json:
    head = {"type": "message", "id": f"msg_{answer.id}", "role": "assistant"}
    return {**head, "status": "completed", "content": content}


def _thoughts(answer: Answer) -> list[Json]:
    if not answer.reasoning:
        return []
    summary = [{"type": "summary_text", "text": answer.reasoning}]
    return [{"type": "reasoning", "id": f"rs_{answer.id}", "summary": summary}]


def _response_events(whole: Json, answer: Answer) -> list[Json]:
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[Json] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(whole["output"]):
        empty = {key: [] if isinstance(value, list) else value for key, value in item.items()}
        place = {"output_index": index, "item_id": item["id"]}
        events.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        events += [{**place, **event} for event in _item_events(item, answer)]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    return [*events, {"type": "response.completed", "response": whole}]


def _item_events(item: Json, answer: Answer) -> list[Json]:
    if item["type"] == "reasoning":
        (part,) = item["summary"]
        kind = "response.reasoning_summary"
        return [
            {"type": f"{kind}_part.added", "summary_index": 0, "part": {**part, "text": ""}},
            {"type": f"{kind}_text.delta", "summary_index": 0, "delta": part["text"]},
            {"type": f"{kind}_text.done", "summary_index": 0, "text": part["text"]},
        ]
    if item["type"] != "message":
        return []
    (part,) = item["content"]
    text = "response.output_text"
    place = {"content_index": 0}
    deltas = [{**place, "type": f"{text}.delta", "delta": p, "logprobs": []} for p in answer.pieces]
    cited = [
        {**place, "type": f"{text}.annotation.added", "annotation_index": n, "annotation": note}
        for n, note in enumerate(part["annotations"])
    ]
    return [*deltas, *cited, {**place, "type": f"{text}.done", "text": part["text"]}]


def _numbered(events: Sequence[Json]) -> list[Json]:
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def refusal(status: int, message: str, **fields: Any) -> Reply:
    """An error body in the form that all of these services know."""
    return json_reply({"error": {"message": message, "code": status, **fields}}, status)
