"""How the five services write their answers."""

from collections.abc import Iterable, Iterator
from typing import Any

from llama_index_qaip.testing import Answer, Dialect, OpenAIDialect, Request, Source

__all__ = [
    "DifyDialect",
    "FireworksDialect",
    "PAISDialect",
    "QaipDialect",
    "SonarDialect",
    "passage_id",
]

Json = dict[str, Any]


class FireworksDialect(OpenAIDialect):
    """Chat completions, and text completions."""


class PAISDialect(OpenAIDialect):
    """The same, and errors as a detail."""

    def error(self, message: str, status: int) -> Json:
        return {"detail": message}


class SonarDialect(OpenAIDialect):
    """Chat completions with sources in every chunk, cumulative counts, and no end mark."""

    def whole(self, answer: Answer, request: Request) -> Json:
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": _thought(answer) + answer.text},
            "finish_reason": answer.finish,
        }
        return {**self.head(answer), "choices": [choice], "usage": _billed(answer)}

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        pieces = [_thought(answer), *answer.pieces] if answer.reasoning else answer.pieces
        return (self.chunk(answer, {"delta": {"content": piece}}) for piece in pieces)

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        last = {"delta": {"content": ""}, "finish_reason": answer.finish}
        yield {**self.chunk(answer, last), "usage": _billed(answer)}

    def head(self, answer: Answer) -> Json:
        return {
            **super().head(answer),
            "citations": [source.url for source in answer.sources],
            "search_results": [
                {"title": s.title, "url": s.url, "snippet": s.text} for s in answer.sources
            ],
        }


def _thought(answer: Answer) -> str:
    return f"<think>\n{answer.reasoning}\n</think>\n\n" if answer.reasoning else ""


def _billed(answer: Answer) -> Json:
    return {**answer.usage, "cost": {"total_cost": answer.cost}}


class QaipDialect(Dialect):
    """One JSON object on each line; the last has the finish reason and the sources."""

    stream_type = "text/plain; charset=utf-8"
    ping = b"\n"

    def whole(self, answer: Answer, request: Request) -> Json:
        return _said(answer.text, finish_reason=answer.finish, citations=_cited(answer))

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        return (_said(piece) for piece in answer.pieces)

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        return [_said("", finish_reason=answer.finish, citations=_cited(answer))]

    def frame(self, event: Any) -> bytes:
        return super().frame(event).removeprefix(b"data: ").removesuffix(b"\n")


def _said(text: str, **more: Any) -> Json:
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": None, **more}
    return {"created": 1760000000, "choices": [choice]}


def _cited(answer: Answer) -> list[Json]:
    return [
        {"id": passage_id(s), "url": s.url, "title": s.title, "text": s.text, "page_number": 0}
        for s in answer.sources
    ]


def passage_id(source: Source) -> str:
    """Return the id of a passage, which stays the same."""
    return f"chunk-{len(source.url)}-{len(source.text)}"


class DifyDialect(Dialect):
    """Message events; the last one has the sources and the token counts."""

    def streams(self, request: Request) -> bool:
        return bool(request.body.get("response_mode") == "streaming")

    def aside(self, request: Request) -> Json | None:
        told: Json = {"/stop": {"result": "success"}, "/upload": {"id": "file-1", "name": "a.png"}}
        return told.get(request.path[request.path.rindex("/") :])

    def whole(self, answer: Answer, request: Request) -> Json:
        return _event("message", answer, answer=answer.text, metadata=_metadata(answer))

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        return (_event("message", answer, answer=piece) for piece in answer.pieces)

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        return [_event("message_end", answer, metadata=_metadata(answer))]

    def error(self, message: str, status: int) -> Json:
        return {"code": "unauthorized", "message": message, "status": status}

    def error_event(self, message: str) -> Json:
        return {"event": "error", **self.error(message, 500)}


def _event(kind: str, said: Answer, **more: Any) -> Json:
    head = {"event": kind, "id": said.id, "message_id": said.id, "task_id": "task-1"}
    return {**head, "created_at": 1760000000, **more}


def _metadata(answer: Answer) -> Json:
    resources = [
        {
            "position": position,
            "segment_id": passage_id(s),
            "document_id": "d",
            "document_name": s.title,
            "content": s.text,
            "score": s.score,
        }
        for position, s in enumerate(answer.sources, start=1)
    ]
    cost = {"total_price": str(answer.cost), "currency": "USD"}
    return {"retriever_resources": resources, "usage": {**answer.usage, **cost}}
