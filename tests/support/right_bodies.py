"""A right answer of every service, whole and streamed, with all that may accompany it.

It says "Tea [3]" in two pieces, and stops. Every list of sources has three entries.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from qaip_core.backend import Endpoint
from qaip_core.backends import dify, fireworks, pais, perplexity, qaip
from qaip_core.backends.dify import chat as dify_chat
from qaip_core.backends.dify import workflow as dify_workflow
from qaip_core.backends.pais import agent as pais_agent
from qaip_core.backends.perplexity import agent as perplexity_agent

__all__ = ["RIGHT", "Json", "Right", "changed", "in_place", "places"]

Json = dict[str, Any]
Path = tuple[str | int, ...]

PIECES = ("Tea", " [3]")
TEXT = "".join(PIECES)


@dataclass(frozen=True)
class Right:
    """One answer.

    carries: the places that carry it, ``*`` for any place in a list; "" is the body itself.
    reports: the places where an error would stand.
    whole: None for a protocol that only streams.
    lines: whether the stream is lines, not events.
    finish: why it ended; a run gives no reason.
    values: what the endpoint cannot do without, besides what it names as required.
    """

    endpoint: Endpoint
    carries: frozenset[str]
    events: Sequence[Json]
    whole: Json | None
    reports: frozenset[str] = frozenset({"error"})
    lines: bool = False
    finish: str | None = "stop"
    values: Mapping[str, Any] = field(default_factory=dict)


USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 3,
    "total_tokens": 8,
    "reasoning_tokens": 1,
    "prompt_tokens_details": {"cached_tokens": 2},
    "completion_tokens_details": {"reasoning_tokens": 1},
    "num_search_queries": 2,
    "search_context_size": "low",
    "cost": {"total_cost": 0.5, "currency": "USD"},
}
HEAD = {
    "id": "answer-1",
    "object": "chat.completion",
    "model": "m-1",
    "created": 1760000000,
    "system_fingerprint": "fp-1",
    "service_tier": "default",
    "error": None,
}
LOGPROBS = {"content": [{"token": "Tea", "logprob": -0.5, "bytes": [84], "top_logprobs": []}]}
RESULTS = [
    {
        "url": f"https://tea.example/{n}",
        "title": f"Leaf {n}",
        "date": "2026-01-02",
        "last_updated": "2026-02-03",
        "snippet": f"Leaves are dried, {n}.",
        "source": "web",
    }
    for n in (1, 2, 3)
]
CONTENTS = [
    {
        "id": f"c-{n}",
        "url": f"https://tea.example/{n}",
        "title": f"Leaf {n}",
        "text": f"Leaves are dried, {n}.",
        "page_number": n,
        "file_type": "html",
        "timestamp": 1760000000,
        "keywords": ["tea"],
    }
    for n in (1, 2, 3)
]
RESOURCES = [
    {
        "position": n,
        "dataset_id": "d-1",
        "dataset_name": "Teas",
        "document_id": f"doc-{n}",
        "document_name": f"leaf-{n}.txt",
        "data_source_type": "upload_file",
        "segment_id": f"s-{n}",
        "score": 1 - n / 10,
        "content": f"Leaves are dried, {n}.",
        "page": n,
        "title": f"Leaf {n}",
        "doc_metadata": {"url": f"https://tea.example/{n}"},
        "word_count": 7,
    }
    for n in (1, 2, 3)
]

CONTEXTS = [
    {
        "text": f"Leaves are dried, {n}.",
        "metadata": {
            "document_id": f"doc-{n}",
            "score": 1 - n / 10,
            "origin_name": f"leaf-{n}.pdf",
            "origin_ref": f"https://tea.example/{n}",
            "media_type": "application/pdf",
            "retrieval_id": f"r-{n}",
        },
    }
    for n in (1, 2, 3)
]


def _choice(said: str, text: str, reason: str | None) -> Json:
    content = {"role": "assistant", "content": text, "reasoning_content": "Hm."}
    inner = {"text": text} if said == "text" else {said: content}
    return {"index": 0, "finish_reason": reason, "logprobs": LOGPROBS, **inner}


def _answer(said: str, text: str, reason: str | None, **more: Any) -> Json:
    return deepcopy({**HEAD, "choices": [_choice(said, text, reason)], "usage": USAGE, **more})


def _carries(*parts: str) -> frozenset[str]:
    said = ("", ".content", ".tool_calls", ".tool_calls.*", ".tool_calls.*.function")
    return frozenset(
        ["", "choices", "choices.*", "choices.*.finish_reason", "choices.*.text"]
        + [f"choices.*.{part}{place}" for part in parts for place in said]
    )


def _completions(endpoint: Endpoint, *, chat: bool, **more: Any) -> Right:
    whole, delta = ("message", "delta") if chat else ("text", "text")
    first, last = PIECES
    return Right(
        endpoint,
        _carries("message", "delta"),
        [_answer(delta, first, None, **more), _answer(delta, last, "stop", **more)],
        _answer(whole, TEXT, "stop", **more),
    )


def _line(text: str, reason: str | None) -> Json:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": reason,
        "citations": CONTENTS,
        "web_citations": [{"title": "Tea", "url": "https://tea.example"}],
        "web_search_queries": ["tea"],
        "search_suggestion": "<p>tea</p>",
    }
    run = {"conversation_id": "v-1", "user_message_id": "u-1", "assistant_message_id": "a-1"}
    more = {"retrieved": CONTENTS, "redacted_input": {"status": "skipped"}, "error": None}
    return deepcopy({"created": 1760000000, "choices": [choice], **run, **more})


_RUN = {"conversationId": "v-1", "userMessageId": "u-1", "assistantMessageId": "a-1"}
_HEAD = {"task_id": "t-1", "message_id": "answer-1", "id": "answer-1", "created_at": 1760000000}
_METADATA = {
    "annotation_reply": {"id": "n-1"},
    "retriever_resources": RESOURCES,
    "usage": {**USAGE, "total_price": "0.0012890", "latency": 0.5},
}
_TALK = {**_HEAD, "conversation_id": "3f0a8c52-6a1e-4c2b-9d47-8b1f0e5a7c31"}
_FLOW = {"task_id": "t-1", "workflow_run_id": "w-1"}
_DONE = {
    "id": "w-1",
    "status": "succeeded",
    "outputs": {"leaf": "dried"},
    "error": None,
    "elapsed_time": 0.5,
    "total_tokens": 8,
    "total_steps": 2,
}
_FILE = {"id": "f-1", "type": "image", "url": "https://tea.example/pot.png"}
_SEARCHED = {
    "type": "search_results",
    "queries": ["tea"],
    "results": [{"id": n, **result} for n, result in enumerate(RESULTS, start=1)],
}
_SPENT = {
    "input_tokens": 5,
    "output_tokens": 3,
    "total_tokens": 8,
    "input_tokens_details": {"cached_tokens": 2, "cache_read_input_tokens": 2},
    "output_tokens_details": {"reasoning_tokens": 1},
    "tool_calls_details": {"search_web": {"invocation": 1, "cost_usd": 0.005}},
    "cost": {"currency": "USD", "total_cost": 0.5},
}


def _said(text: str) -> Json:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {
        "type": "message",
        "id": "msg-1",
        "role": "assistant",
        "status": "completed",
        "content": [part],
    }


def _response(status: str, output: list[Json], usage: Json | None) -> Json:
    return deepcopy(
        {
            "id": "answer-1",
            "object": "response",
            "model": "m-1",
            "created_at": 1760000000,
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "previous_response_id": "answer-0",
            "service_tier": "default",
            "output": output,
            "usage": usage,
        }
    )


_PIECE = {"type": "response.output_text.delta", "item_id": "msg-1", "output_index": 1}
_TEXT = {"content_index": 0, "error": None}
_OF_PARTS = (".content.*.type", ".content.*.text")
_ANSWERED = _response("completed", [_SEARCHED, _said(TEXT)], _SPENT)

RIGHT: Mapping[str, Right] = {
    "fireworks chat": _completions(
        fireworks.CHAT, chat=True, perf_metrics={"server-time": 0.5}, raw_output={"completion": "T"}
    ),
    "fireworks text": _completions(fireworks.TEXT, chat=False),
    "pais chat": _completions(pais.CHAT, chat=True),
    "pais text": _completions(pais.TEXT, chat=False),
    "pais agent": _completions(
        pais_agent.AGENT_CHAT, chat=True, index_context_info=CONTEXTS, session_id="se-1"
    ),
    "pais agent text": _completions(
        pais_agent.AGENT_TEXT, chat=False, index_context_info=CONTEXTS, session_id="se-1"
    ),
    "perplexity": _completions(
        perplexity.CHAT,
        chat=True,
        search_results=RESULTS,
        citations=[source["url"] for source in RESULTS],
        images=[{"image_url": "https://tea.example/leaf.png"}],
        related_questions=["Which pot?"],
    ),
    "perplexity agent": Right(
        perplexity_agent.AGENT,
        frozenset({"", "delta", "text", "type", "output", "status"})
        | {f"output.*{place}" for place in ("", ".type", ".content", ".content.*", *_OF_PARTS)},
        [
            {"type": "response.created", "response": _response("in_progress", [], None)},
            {"type": "response.output_item.done", "output_index": 0, "item": _SEARCHED},
            {**_PIECE, **_TEXT, "sequence_number": 7, "delta": PIECES[0]},
            {**_PIECE, **_TEXT, "sequence_number": 9, "delta": PIECES[1]},
            {**_PIECE, **_TEXT, "type": "response.output_text.done", "text": TEXT},
            {"type": "response.output_item.done", "output_index": 1, "item": _said(TEXT)},
            {"type": "response.completed", "sequence_number": 12, "response": _ANSWERED},
        ],
        _ANSWERED,
        values={"model": "perplexity/sonar", "web_search": False},
    ),
    "qaip": Right(
        qaip.COMPLETIONS,
        _carries("message", "delta") | {"type"},
        [_line(PIECES[0], None), _line(PIECES[1], "stop")],
        _line(TEXT, "stop"),
        lines=True,
    ),
    "qaip run": Right(
        qaip.COMPLETIONS,
        frozenset({"", "type", "delta"}),
        [
            {"type": "RUN_STARTED", "threadId": "t-1", "runId": "r-1", **_RUN},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-1", "delta": PIECES[0]},
            {"type": "CUSTOM", "name": "citations", "value": CONTENTS},
            {"type": "CUSTOM", "name": "retrieved", "value": CONTENTS},
            {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/pot", "value": 1}]},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m-1", "delta": PIECES[1]},
            {"type": "RUN_FINISHED", "threadId": "t-1", "runId": "r-1", "result": _RUN},
        ],
        None,
        finish=None,
    ),
    "dify": Right(
        dify.COMPLETION,
        frozenset({"", "event", "answer"}),
        [
            {"event": "message", **_HEAD, "answer": PIECES[0]},
            {"event": "message_file", **_HEAD, **_FILE},
            {"event": "agent_thought", **_HEAD, "thought": "Hm.", "files": []},
            {"event": "message", **_HEAD, "answer": PIECES[1]},
            {"event": "message_end", **_HEAD, "metadata": _METADATA, "files": [_FILE]},
        ],
        {"event": "message", **_HEAD, "mode": "completion", "answer": TEXT, "metadata": _METADATA},
        reports=frozenset(),
    ),
    "dify workflow": Right(
        dify_workflow.RUN,
        frozenset({"", "event", "data", "data.text", "data.status", "data.outputs"}),
        [
            {"event": "workflow_started", **_FLOW, "data": {"id": "w-1", "inputs": {}}},
            {"event": "text_chunk", **_FLOW, "data": {"text": PIECES[0]}},
            {"event": "node_finished", **_FLOW, "data": {"title": "Pot", "status": "succeeded"}},
            {"event": "text_chunk", **_FLOW, "data": {"text": PIECES[1]}},
            {"event": "workflow_finished", **_FLOW, "data": _DONE},
        ],
        None,
        reports=frozenset(),
    ),
    "dify chat": Right(
        dify_chat.CHAT,
        frozenset({"", "event", "answer"}),
        [
            {"event": "message", **_TALK, "answer": PIECES[0]},
            {"event": "agent_thought", **_TALK, "thought": "Hm.", "tool": "pot", "position": 1},
            {"event": "agent_message", **_TALK, "answer": PIECES[1]},
            {"event": "workflow_finished", **_TALK, "data": {"status": "succeeded"}},
            {"event": "message_end", **_TALK, "metadata": _METADATA},
        ],
        {"event": "message", **_TALK, "mode": "chat", "answer": TEXT, "metadata": _METADATA},
        reports=frozenset(),
    ),
}


def places(body: Any, path: Path = ()) -> list[Path]:
    """All places in a body, that of the body itself first; a long list's second stands for all."""
    if not isinstance(body, dict | list):
        return [path]
    inner = list(body.items() if isinstance(body, dict) else enumerate(body))
    inner = inner[1:2] if isinstance(body, list) and len(body) > 2 else inner
    return [path, *(place for step, value in inner for place in places(value, (*path, step)))]


def changed(body: Any, path: Path, value: Any) -> Any:
    """A copy of a body with another value in one place; as it is if it has no such place."""
    if not path:
        return value
    copy = inner = deepcopy(body)
    for step in path[:-1]:
        inner = inner.get(step) if isinstance(inner, dict) else [*inner[step : step + 1], None][0]
        if inner is None:
            return copy
    if isinstance(inner, dict) or path[-1] in range(len(inner)):
        inner[path[-1]] = value
    return copy


def in_place(path: str, *, whole: bool) -> tuple[str | int, ...]:
    """Return a path as steps; SAID and RUN are where a whole answer and an event differ."""
    path = path.replace("SAID", "message" if whole else "delta")
    steps = path.replace("RUN.", "" if whole else "response.").split(".")
    return tuple(int(step) if step.isdigit() else step for step in steps)
