"""How each service writes an answer, frame by frame, so that a fault can be put anywhere.

A row of the matrix says ``[s.piece("te"), s.end("a")]`` and means it for every service.
"""

import json
from collections.abc import Sequence
from copy import copy
from typing import Any, ClassVar, Self

from support.fault_server import End, Framing, Reply, json_reply

__all__ = [
    "DIFY",
    "DIFY_CHAT",
    "DIFY_WORKFLOW",
    "FIREWORKS_CHAT",
    "FIREWORKS_TEXT",
    "PAIS_AGENT_CHAT",
    "PAIS_AGENT_TEXT",
    "PAIS_CHAT",
    "PAIS_TEXT",
    "PERPLEXITY",
    "PERPLEXITY_AGENT",
    "QAIP_LINES",
    "QAIP_RUN",
    "SOURCES",
    "SPEECHES",
    "Speech",
]

Json = dict[str, Any]

SOURCES: Sequence[Json] = (
    {"id": "s-1", "url": "https://tea.example/leaf", "title": "Leaf", "text": "Leaves are dried."},
    {"id": "s-2", "url": "https://tea.example/pot", "title": "Pot", "text": "Pots are warmed."},
)
COUNTS: Json = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}


class Speech:
    """How one operation of one service writes its answers.

    cited: the sources that a complete answer brings, of services that bring any.
    sources: their number.
    counts: whether it tells token counts.
    done: the mark that some write after the end; it proves nothing.
    """

    name: str
    service: str
    operation: str
    media: ClassVar[str] = "text/event-stream; charset=utf-8"
    ping: ClassVar[bytes] = b": ping\n\n"
    done: ClassVar[bytes] = b"data: [DONE]\n\n"
    cited: Sequence[Json] = SOURCES
    sources: int = 0
    counts: ClassVar[bool] = True

    def piece(self, text: str) -> bytes:
        """One frame of text."""
        raise NotImplementedError

    def end(self, text: str = "") -> bytes:
        """The frame, or frames, that complete an answer: with its last text, if any."""
        raise NotImplementedError

    def usage(self) -> bytes:
        """The frame with the token counts, for services that send it after the end."""
        return b""

    def body(self, text: str) -> Json:
        """A whole answer."""
        raise NotImplementedError

    def failure(self, message: str, code: str = "boom", status: int = 500) -> Json:
        """The object that reports an error, as a body or inside a stream."""
        return {"error": {"message": message, "code": code}}

    def frame(self, event: Json | str) -> bytes:
        """An object, or a text as it is, as one frame of the stream."""
        text = event if isinstance(event, str) else json.dumps(event, ensure_ascii=False)
        return f"data: {text}\n\n".encode()

    def said(self, *texts: str) -> list[bytes]:
        """A complete answer in these pieces."""
        return [*map(self.piece, texts), self.end(), self.usage(), self.done]

    def stream(
        self,
        *frames: bytes | float,
        end: End = "clean",
        framing: Framing = "chunked",
        **more: Any,
    ) -> Reply:
        """A reply with these frames, one chunk each."""
        kept = tuple(f for f in frames if f != b"")
        fields: Json = {"content_type": self.media, "body": kept, "end": end, "framing": framing}
        return Reply(**{**fields, **more})

    def answer(self, *texts: str, stream: bool) -> Reply:
        """A reply with a complete answer."""
        return self.stream(*self.said(*texts)) if stream else json_reply(self.body("".join(texts)))

    def citing(self, sources: Sequence[Json]) -> Self:
        """The same way of writing, with other sources."""
        other = copy(self)
        other.cited, other.sources = sources, len(sources) if self.sources else 0
        return other

    def __repr__(self) -> str:
        return self.name


class _Completions(Speech):
    """Chat completions, or text completions; the counts come last, with no choices."""

    def __init__(self, service: str, operation: str) -> None:
        self.name = f"{service} {operation}"
        self.service, self.operation = service, operation
        self._chat = operation == "chat"

    def piece(self, text: str) -> bytes:
        return self.frame(self._chunk(text, None))

    def end(self, text: str = "") -> bytes:
        return self.frame(self._chunk(text, "stop"))

    def usage(self) -> bytes:
        return self.frame({**self._head(), "choices": [], "usage": COUNTS})

    def body(self, text: str) -> Json:
        said: Json = {"message": {"role": "assistant", "content": text}}
        choice = {"index": 0, "finish_reason": "stop", **(said if self._chat else {"text": text})}
        return {**self._head(), "choices": [choice], "usage": COUNTS}

    def _chunk(self, text: str, reason: str | None) -> Json:
        said: Json = {"delta": {"content": text}} if self._chat else {"text": text}
        return {**self._head(), "choices": [{"index": 0, "finish_reason": reason, **said}]}

    def _head(self) -> Json:
        return {"id": "answer-1", "model": "m", "created": 1760000000, "object": "chunk"}


class _Pais(_Completions):
    def failure(self, message: str, code: str = "boom", status: int = 500) -> Json:
        return {"detail": message}


class _PaisAgent(_Pais):
    """The same, with context chunks as sources in every event, and the session."""

    sources = len(SOURCES)

    def __init__(self, operation: str) -> None:
        super().__init__("pais", operation)
        self._chat = operation == "agent-chat"

    def _head(self) -> Json:
        chunks = [
            {
                "text": source["text"],
                "metadata": {
                    "document_id": f"00000000-0000-4000-8000-00000000000{number}",
                    "score": 0.5,
                    "origin_name": source["title"],
                    "origin_ref": source["url"],
                },
            }
            for number, source in enumerate(self.cited)
        ]
        session = "5f0c1d8e-53b2-4a73-9d3e-0a6f8f3b2c11"
        return {**super()._head(), "index_context_info": chunks, "session_id": session}


class _Perplexity(_Completions):
    """Sources and counts in every event, and no mark after the last."""

    sources = len(SOURCES)
    done = b""
    ping = b": ping - 2026-06-01 00:00:00\r\n\r\n"

    def usage(self) -> bytes:
        return b""

    def _head(self) -> Json:
        results = [{"url": s["url"], "title": s["title"], "snippet": s["text"]} for s in self.cited]
        links = [s["url"] for s in self.cited]
        return {**super()._head(), "usage": COUNTS, "search_results": results, "citations": links}


class _PerplexityAgent(Speech):
    """The events of a run; the last one repeats all of it."""

    name, service, operation = "perplexity agent", "perplexity", "agent"
    ping, done = b": ping\n\n", b""
    sources = len(SOURCES)

    def piece(self, text: str) -> bytes:
        return self.frame(
            {
                "type": "response.output_text.delta",
                "sequence_number": 7,
                "item_id": "msg-1",
                "output_index": 1,
                "content_index": 0,
                "delta": text,
            }
        )

    def end(self, text: str = "") -> bytes:
        """The last frame, which repeats no text: what came before it, no frame knows."""
        last = self.piece(text) if text else b""
        ended = {"type": "response.completed", "sequence_number": 9, "response": self.body("")}
        return last + self.frame(ended)

    def body(self, text: str) -> Json:
        results = [
            {"id": n, "url": s["url"], "title": s["title"], "snippet": s["text"], "source": "web"}
            for n, s in enumerate(self.cited, start=1)
        ]
        said = {"type": "output_text", "text": text, "annotations": []}
        return {
            "id": "answer-1",
            "object": "response",
            "model": "m",
            "created_at": 1760000000,
            "status": "completed",
            "error": None,
            "output": [
                {"type": "search_results", "queries": ["q"], "results": results},
                {
                    "type": "message",
                    "id": "msg-1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [said] if text else [],
                },
            ],
            "usage": {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8},
        }

    def failure(self, message: str, code: str = "boom", status: int = 500) -> Json:
        error = {"message": message, "code": code}
        return {"type": "response.failed", "sequence_number": 9, "error": error}


class _QaipLines(Speech):
    """One JSON object on each line."""

    name, service, operation = "qaip lines", "qaip", "completions"
    media = "text/plain; charset=utf-8"
    ping, done = b"\n", b""
    sources, counts = len(SOURCES), False

    def piece(self, text: str) -> bytes:
        return self.frame(self.body(text, None))

    def end(self, text: str = "") -> bytes:
        return self.frame(self.body(text))

    def body(self, text: str, reason: str | None = "stop") -> Json:
        message = {"role": "assistant", "content": text}
        choice: Json = {"index": 0, "message": message, "finish_reason": reason}
        cited = {"citations": [{**s, "page_number": 0} for s in self.cited]} if reason else {}
        return {"created": 1760000000, "choices": [{**choice, **cited}]}

    def frame(self, event: Json | str) -> bytes:
        return super().frame(event).removeprefix(b"data: ").removesuffix(b"\n")


class _QaipRun(_QaipLines):
    """The events of an AG-UI run."""

    name = "qaip run"
    media = "text/event-stream"
    ping = b": ping\n\n"

    def piece(self, text: str) -> bytes:
        return self.frame({"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": text})

    def end(self, text: str = "") -> bytes:
        citations = {"type": "CUSTOM", "name": "citations", "value": list(self.cited)}
        last = self.piece(text) if text else b""
        return last + self.frame(citations) + self.frame({"type": "RUN_FINISHED", "runId": "r1"})

    def failure(self, message: str, code: str = "boom", status: int = 500) -> Json:
        return {"type": "RUN_ERROR", "message": message, "code": code}

    def frame(self, event: Json | str) -> bytes:
        return Speech.frame(self, event)


class _Dify(Speech):
    """Events of a run; the last one has sources and counts."""

    name, service, operation = "dify", "dify", "completion-messages"
    ping, done = b"event: ping\n\n", b""
    sources = len(SOURCES)

    def piece(self, text: str) -> bytes:
        return self.frame(self._event("message", answer=text))

    def end(self, text: str = "") -> bytes:
        last = self.piece(text) if text else b""
        return last + self.frame(self._event("message_end", metadata=self._metadata()))

    def body(self, text: str) -> Json:
        return self._event("message", answer=text, metadata=self._metadata())

    def failure(self, message: str, code: str = "boom", status: int = 500) -> Json:
        return self._event("error", message=message, code=code, status=status)

    def _event(self, kind: str, **more: Any) -> Json:
        return {"event": kind, "task_id": "t-1", "message_id": "answer-1", "created_at": 1, **more}

    def _metadata(self) -> Json:
        resources = [
            {
                "position": position,
                "segment_id": s["id"],
                "document_name": s["title"],
                "content": s["text"],
                "doc_metadata": {"url": s["url"]},
                "score": 0.5,
            }
            for position, s in enumerate(self.cited, start=1)
        ]
        return {"usage": COUNTS, "retriever_resources": resources}


class _DifyChat(_Dify):
    """The same, in a conversation."""

    name, operation = "dify chat", "chat-messages"

    def _event(self, kind: str, **more: Any) -> Json:
        conversation = "1c0b7f5e-2a94-4f0d-8f63-7d7e0c5a9b42"
        return {**super()._event(kind, **more), "conversation_id": conversation}


class _DifyWorkflow(_Dify):
    """The events of a workflow, which writes text while it runs and gives out the whole."""

    name, operation = "dify workflow", "workflows"
    sources, counts = 0, False

    def piece(self, text: str) -> bytes:
        return self.frame(self._event("text_chunk", data={"text": text}))

    def end(self, text: str = "") -> bytes:
        last = self.piece(text) if text else b""
        return last + self.frame(self._event("workflow_finished", data=self._outcome(text)))

    def body(self, text: str) -> Json:
        return {"task_id": "t-1", "workflow_run_id": "answer-1", "data": self._outcome(text)}

    def _outcome(self, text: str) -> Json:
        return {"id": "answer-1", "status": "succeeded", "outputs": {"text": text}, "error": None}

    def _event(self, kind: str, **more: Any) -> Json:
        return {"event": kind, "task_id": "t-1", "workflow_run_id": "answer-1", **more}


QAIP_LINES = _QaipLines()
QAIP_RUN = _QaipRun()
FIREWORKS_CHAT = _Completions("fireworks", "chat")
FIREWORKS_TEXT = _Completions("fireworks", "completions")
PAIS_CHAT = _Pais("pais", "chat")
PAIS_TEXT = _Pais("pais", "completions")
PERPLEXITY = _Perplexity("perplexity", "chat")
DIFY = _Dify()
PERPLEXITY_AGENT = _PerplexityAgent()
PAIS_AGENT_CHAT = _PaisAgent("agent-chat")
PAIS_AGENT_TEXT = _PaisAgent("agent-completions")
DIFY_CHAT = _DifyChat()
DIFY_WORKFLOW = _DifyWorkflow()

SPEECHES: Sequence[Speech] = (
    QAIP_LINES,
    QAIP_RUN,
    FIREWORKS_CHAT,
    FIREWORKS_TEXT,
    PAIS_CHAT,
    PAIS_TEXT,
    PAIS_AGENT_CHAT,
    PAIS_AGENT_TEXT,
    PERPLEXITY,
    PERPLEXITY_AGENT,
    DIFY,
    DIFY_CHAT,
    DIFY_WORKFLOW,
)
