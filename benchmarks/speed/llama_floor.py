"""What LlamaIndex itself costs: an LLM that asks nobody; see `langchain_floor`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llama_index.core.base.llms.types import TextBlock
from llama_index.core.llms import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    CustomLLM,
    LLMMetadata,
    MessageRole,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from pydantic import PrivateAttr
from speed.pieces import ANSWER, TEXT, Pieces, awaited

__all__ = ["Floor"]


class Floor(CustomLLM):
    """Answers from nowhere.

    Parameters:
        count: responses of a stream; each holds all text so far.
        ready: whether they are made before.
    """

    count: int
    ready: bool
    _pieces: Pieces = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        makers = {"chats": self._chats, "completions": self._completions}
        self._pieces = Pieces(makers, ready=self.ready)

    def prepare(self) -> None:
        self._pieces.prepare()

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    def _chats(self) -> Iterator[ChatResponse]:
        text = ""
        for _ in range(self.count):
            text += TEXT
            yield _response(text, TEXT)

    def _completions(self) -> Iterator[CompletionResponse]:
        text = ""
        for _ in range(self.count):
            text += TEXT
            yield CompletionResponse(text=text, delta=TEXT)

    @llm_chat_callback()
    def chat(self, *_: Any, **__: Any) -> ChatResponse:
        return _response(ANSWER)

    @llm_chat_callback()
    async def achat(self, *_: Any, **__: Any) -> ChatResponse:
        return _response(ANSWER)

    @llm_chat_callback()
    def stream_chat(self, *_: Any, **__: Any) -> Any:
        return (piece for piece in self._pieces.take("chats"))

    @llm_chat_callback()
    async def astream_chat(self, *_: Any, **__: Any) -> Any:
        return awaited(self._pieces.take("chats"))

    @llm_completion_callback()
    def complete(self, *_: Any, **__: Any) -> CompletionResponse:
        return CompletionResponse(text=ANSWER)

    @llm_completion_callback()
    async def acomplete(self, *_: Any, **__: Any) -> CompletionResponse:
        return CompletionResponse(text=ANSWER)

    @llm_completion_callback()
    def stream_complete(self, *_: Any, **__: Any) -> Any:
        return (piece for piece in self._pieces.take("completions"))

    @llm_completion_callback()
    async def astream_complete(self, *_: Any, **__: Any) -> Any:
        return awaited(self._pieces.take("completions"))


def _response(text: str, delta: str | None = None) -> ChatResponse:
    message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=text)])
    return ChatResponse(message=message, delta=delta)
