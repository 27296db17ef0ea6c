"""The dialect that most services speak: OpenAI's chat completions and text completions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from llama_index_qaip.testing._dialect import Dialect
from llama_index_qaip.testing._script import Answer, Call, Request

__all__ = ["OpenAIDialect"]

Json = dict[str, Any]


class OpenAIDialect(Dialect):
    """Chat completions, and text completions where the path does not end with ``/chat/...``.

    Parameters:
        reports_usage: whether streams report token counts, in a last chunk without choices.
    """

    def __init__(self, *, reports_usage: bool = True) -> None:
        self._reports_usage = reports_usage

    def whole(self, answer: Answer, request: Request) -> Json:
        """Return the body of a whole answer."""
        choice: Json = {"index": 0, "finish_reason": answer.finish}
        if _is_text(request):
            choice["text"] = answer.text
        else:
            choice["message"] = _message(answer)
        return {**self.head(answer), "choices": [choice], "usage": answer.usage}

    def growing(self, answer: Answer, request: Request) -> Iterator[Json]:
        """Return one chunk for each piece."""
        if _is_text(request):
            return (self.chunk(answer, {"text": piece}) for piece in answer.pieces)
        return (self.chunk(answer, {"delta": delta}) for delta in _deltas(answer))

    def ending(self, answer: Answer, request: Request) -> Iterable[Any]:
        """Return the chunk with the finish reason, that with the token counts, and the mark."""
        empty: Json = {"text": ""} if _is_text(request) else {"delta": {}}
        yield self.chunk(answer, {**empty, "finish_reason": answer.finish})
        if self._reports_usage:
            yield {**self.head(answer), "choices": [], "usage": answer.usage}
        yield "[DONE]"

    def head(self, answer: Answer) -> Json:
        """Return what all chunks have."""
        return {"id": answer.id, "model": answer.model, "created": 1760000000, "object": "chunk"}

    def chunk(self, answer: Answer, said: Json) -> Json:
        """Return a chunk with one choice."""
        return {**self.head(answer), "choices": [{"index": 0, "finish_reason": None, **said}]}


def _is_text(request: Request) -> bool:
    return "prompt" in request.body


def _message(answer: Answer) -> Json:
    message: Json = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.calls:
        message["tool_calls"] = [_call(call, call.text) for call in answer.calls]
    return message


def _deltas(answer: Answer) -> Iterator[Json]:
    yield {"role": "assistant", "content": ""}
    middle = len(answer.reasoning) // 2
    for thought in (answer.reasoning[:middle], answer.reasoning[middle:]):
        if thought:
            yield {"reasoning_content": thought}
    for piece in answer.pieces:
        yield {"content": piece}
    for index, call in enumerate(answer.calls):
        yield {"tool_calls": [{"index": index, **_call(call, "")}]}
        for part in (call.text[:3], call.text[3:]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}


def _call(call: Call, arguments: str) -> Json:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
