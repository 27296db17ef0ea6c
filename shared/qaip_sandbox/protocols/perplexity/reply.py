"""The answers of Perplexity, whole and streamed, in the shape of a profile."""

import time
from collections.abc import Iterator

from qaip_sandbox._wire import Json, compact, event, request_id, spaced
from qaip_sandbox.answers import Answer, Generation
from qaip_sandbox.documents import Chunk
from qaip_sandbox.protocols._messages import prompt_tokens

from .request import Request, SearchOptions, day_of

__all__ = ["Reply"]

_NO_COST = {"input_tokens_cost": 0, "output_tokens_cost": 0, "total_cost": 0}


class Reply:
    """One answer, written as a whole or as chunks in the shape of a profile."""

    def __init__(
        self, request: Request, answer: Answer, generation: Generation, profile: str
    ) -> None:
        self.generation = generation
        self.encode = spaced if profile == "seed" else compact
        self._seed = profile == "seed"
        self._model = request.model
        self._size = (request.web_search_options or SearchOptions()).search_context_size
        self._prompt = prompt_tokens([message.model_dump() for message in request.messages])
        self._id, self._created = request_id(), int(time.time())
        chunks = [hit.chunk for hit in answer.hits]
        self._sources: Json = {"citations": [chunk.url for chunk in chunks]}
        if not self._seed:
            self._sources["search_results"] = [_result(chunk) for chunk in chunks]
        if request.return_images:
            self._sources["images"] = []
        if request.return_related_questions:
            headings = dict.fromkeys(chunk.heading or chunk.document.title for chunk in chunks)
            self._sources["related_questions"] = [f"What is {heading}?" for heading in headings]

    def whole(self) -> Json:
        """Return the answer as one object."""
        count = len(self.generation.pieces)
        return self._body("chat.completion", count, self._choice(count, "", final=True))

    def events(self) -> Iterator[bytes]:
        """Yield the answer as the events of a stream, the last one without new text."""
        kinds = ("chat.completion",) * 2
        if not self._seed:
            kinds = ("chat.completion.chunk", "chat.completion.done")
        for count, piece in enumerate(self.generation.pieces, 1):
            choice = self._choice(count, piece, final=False)
            yield event(self._body(kinds[0], count, choice, final=False), "\r\n", self.encode)
        count = len(self.generation.pieces)
        choice = self._choice(count, "", final=True)
        yield event(self._body(kinds[1], count, choice), "\r\n", self.encode)

    def _choice(self, count: int, delta: str, *, final: bool) -> Json:
        message = {"role": "assistant", "content": "".join(self.generation.pieces[:count])}
        news = {"role": "assistant", "content": delta}
        reason = self.generation.finish_reason if final else None
        if self._seed:
            return {"index": 0, "finish_reason": reason, "message": message, "delta": news}
        choice = {"index": 0, "message": message, "delta": news}
        return {**choice, "finish_reason": reason} if final else choice

    def _body(self, kind: str, count: int, choice: Json, *, final: bool = True) -> Json:
        return {
            "id": self._id,
            "model": self._model,
            "created": self._created,
            "usage": self._usage(count, final=final),
            **self._sources,
            "object": kind,
            "choices": [choice],
        }

    def _usage(self, count: int, *, final: bool) -> Json:
        usage: Json = {
            "prompt_tokens": self._prompt,
            "completion_tokens": count,
            "total_tokens": self._prompt + count,
        }
        if self._seed:
            return usage
        usage["search_context_size"] = self._size
        usage["cost"] = self._cost(count) if final else _NO_COST
        return usage

    def _cost(self, count: int) -> Json:
        cost = {
            "input_tokens_cost": round(self._prompt / 1e6, 5),
            "output_tokens_cost": round(count / 1e6, 5),
            "request_cost": {"low": 0.005, "medium": 0.008, "high": 0.012}[self._size],
        }
        return {**cost, "total_cost": round(sum(cost.values()), 5)}


def _result(chunk: Chunk) -> Json:
    day = day_of(chunk).isoformat()
    return {
        "title": chunk.document.title,
        "url": chunk.url,
        "date": day,
        "last_updated": day,
        "snippet": chunk.text,
        "source": "web",
    }
