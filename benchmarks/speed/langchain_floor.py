"""What LangChain itself costs: a chat model that asks nobody.

It yields chunks that were made before, which is the least that any stream costs, or makes each
one by its constructor from a text that is there, which is what any integration has to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import PrivateAttr
from speed.pieces import ANSWER, TEXT, Pieces, awaited

__all__ = ["Floor"]

_PROVIDER = {"model_provider": "floor"}


class Floor(BaseChatModel):
    """Answers from nowhere.

    Parameters:
        count: chunks of a stream, besides the last one.
        ready: whether they are made before.
    """

    count: int
    ready: bool
    _pieces: Pieces = PrivateAttr()

    def model_post_init(self, _: Any) -> None:
        makers = {"chunks": self._chunks, "events": self._events}
        self._pieces = Pieces(makers, ready=self.ready)

    def prepare(self) -> None:
        self._pieces.prepare()

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        for _ in range(self.count):
            message = AIMessageChunk(content=TEXT, id="f-1", response_metadata={**_PROVIDER})
            yield ChatGenerationChunk(message=message)
        last = AIMessageChunk(content="", id="f-1", chunk_position="last")
        yield ChatGenerationChunk(message=last)

    def _events(self) -> Iterator[dict[str, Any]]:
        names = {"provider": "floor", "model": "m-1"}
        yield {"event": "message-start", "role": "ai", "id": "f-1", "metadata": names}
        block = {"type": "text", "text": ""}
        yield {"event": "content-block-start", "index": 0, "content": block}
        for _ in range(self.count):
            delta = {"type": "text-delta", "text": TEXT}
            yield {"event": "content-block-delta", "index": 0, "delta": delta}
        whole = {"type": "text", "text": TEXT * self.count}
        yield {"event": "content-block-finish", "index": 0, "content": whole}
        yield {"event": "message-finish", "metadata": {}}

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        message = AIMessage(content=ANSWER, response_metadata={**_PROVIDER})
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._generate()

    def _stream(self, *_: Any, **__: Any) -> Iterator[Any]:
        return self._pieces.take("chunks")

    def _astream(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        return awaited(self._pieces.take("chunks"))

    def _stream_chat_model_events(self, *_: Any, **__: Any) -> Iterator[Any]:
        return self._pieces.take("events")

    def _astream_chat_model_events(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        return awaited(self._pieces.take("events"))
