"""What the frameworks keep of a stream themselves: models that make chunks and ask nobody."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from llama_index.core.llms import ChatMessage, ChatResponse, CustomLLM, LLMMetadata
from llama_index.core.llms.callbacks import llm_chat_callback

__all__ = ["FLOORS"]


class _Chat(BaseChatModel):
    count: int
    text: str

    @property
    def _llm_type(self) -> str:
        return "floor"

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        raise NotImplementedError

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        for number in range(self.count):
            last: Any = {"chunk_position": "last"} if number == self.count - 1 else {}
            metadata = {"model_provider": "floor"}
            message = AIMessageChunk(content=self.text, response_metadata=metadata, **last)
            yield ChatGenerationChunk(message=message)


class _LLM(CustomLLM):
    count: int
    text: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata()

    @llm_chat_callback()
    def stream_chat(self, *_: Any, **__: Any) -> Any:
        return self._growing()

    def _growing(self) -> Iterator[ChatResponse]:
        so_far = ""
        for _ in range(self.count):
            so_far += self.text
            message = ChatMessage(role="assistant", content=so_far)
            yield ChatResponse(message=message, delta=self.text)

    def complete(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError

    def stream_complete(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


def _of_langchain(count: int, text: str) -> Iterator[Any]:
    return _Chat(count=count, text=text).stream("q")


def _of_llama_index(count: int, text: str) -> Iterator[Any]:
    pieces: Iterator[Any] = _LLM(count=count, text=text).stream_chat([ChatMessage(content="q")])
    return pieces


FLOORS: Mapping[str, Callable[[int, str], Iterator[Any]]] = {
    "langchain": _of_langchain,
    "llama_index": _of_llama_index,
}
"""By the names of the layers: returns a stream of so many pieces of a text."""
