"""How the services' later ways of answering write: agents, and conversations that are kept."""

from collections.abc import Iterable, Iterator
from typing import Any

from llama_index_qaip.testing import Answer, Call, Dialect, Request

from .dialects import DifyDialect, PAISDialect

__all__ = ["AgentDialect", "ConversationDialect", "PAISAgentDialect"]

Json = dict[str, Any]
_ENDS = {"length": ("incomplete", {"reason": "max_output_tokens"})}


class AgentDialect(Dialect):
    """Perplexity's agent: a response made of items; a stream of events that tell of them."""

    def whole(self, answer: Answer, request: Request) -> Json:
        output = [*_searched(answer), *_message(answer), *map(_called, answer.calls)]
        return {**_response(answer), "output": output, "usage": _billed(answer)}

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        yield {"type": "response.created", "response": _response(answer, "in_progress")}
        found = _searched(answer)
        for index, item in enumerate(found):
            yield _item(index, item)
        at = len(found)
        for piece in answer.pieces:
            delta = {"output_index": at, "content_index": 0, "delta": piece}
            yield {"type": "response.output_text.delta", "item_id": "msg_1", **delta}
        for index, call in enumerate(answer.calls, start=at + 1):
            yield _item(index, _called(call))

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        whole = self.whole(answer, request)
        yield {"type": f"response.{whole['status']}", "response": whole}

    def error(self, message: str, status: int) -> Json:
        return {"error": {"message": message, "type": "invalid_request", "code": status}}

    def error_event(self, message: str) -> Json:
        return {"type": "response.failed", "error": {"message": message, "code": "model_error"}}


def _response(answer: Answer, status: str = "") -> Json:
    ended, why = _ENDS.get(answer.finish, ("completed", None))
    head = {"id": answer.id, "object": "response", "model": answer.model, "output": []}
    state = {"status": status or ended, "incomplete_details": None if status else why}
    return {**head, **state, "created_at": 1760000000, "error": None, "usage": None}


def _searched(answer: Answer) -> list[Json]:
    results = [
        {"id": number, "title": s.title, "url": s.url, "snippet": s.text, "source": "web"}
        for number, s in enumerate(answer.sources, start=1)
    ]
    found = {"type": "search_results", "queries": ["lamps"], "results": results}
    return [found] if results else []


def _message(answer: Answer) -> list[Json]:
    said = {"type": "output_text", "text": answer.text, "annotations": []}
    head = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return [{**head, "content": [said]}] if answer.text else []


def _called(call: Call) -> Json:
    named = {"type": "function_call", "id": f"fc_{call.id}", "call_id": call.id}
    return {**named, "name": call.name, "arguments": call.text, "status": "completed"}


def _item(index: int, item: Json) -> Json:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def _billed(answer: Answer) -> Json:
    counts = {"input_tokens": answer.prompt_tokens, "output_tokens": answer.completion_tokens}
    total = answer.prompt_tokens + answer.completion_tokens
    return {**counts, "total_tokens": total, "cost": {"total_cost": answer.cost}}


class PAISAgentDialect(PAISDialect):
    """Either OpenAI protocol; the passages that were read stand in every answer, and chunk."""

    def head(self, answer: Answer) -> Json:
        passages = [
            {
                "text": s.text,
                "metadata": {
                    "document_id": f"d-{s.title}",
                    "origin_name": s.title,
                    "origin_ref": s.url,
                    "score": s.score,
                },
            }
            for s in answer.sources
        ]
        return {**super().head(answer), "index_context_info": passages}


class ConversationDialect(DifyDialect):
    """A chat app: the same events, each of which names the conversation."""

    def whole(self, answer: Answer, request: Request) -> Json:
        return {**super().whole(answer, request), **_KEPT}

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        return ({**event, **_KEPT} for event in super().growing(answer, request))

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        return [{**event, **_KEPT} for event in super().ending(answer, request)]


_KEPT = {"conversation_id": "5e1f7a90-2c3b-4d64-b8a1-9f0e6d7c2b15"}
