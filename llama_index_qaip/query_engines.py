"""Query engines over services that answer with sources."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import (
    RESPONSE_TYPE,
    AsyncStreamingResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms import ChatResponse
from llama_index.core.prompts.mixin import PromptMixinType
from llama_index.core.schema import NodeWithScore, QueryBundle

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._sources import as_messages, as_nodes, citing

__all__ = ["CitedQueryEngine"]


class CitedQueryEngine(BaseQueryEngine):
    """Answers a query with a service's own answer and sources, in one call.

    ``source_nodes`` holds the sources in the service's order: ``[n]`` in the answer names the
    n-th. ``metadata`` holds finish_reason, token counts, and the citations with their spans.
    Both are filled when a streamed answer has been read to its end.

    Parameters:
        llm: a `Qaip`, `Perplexity` or `Dify`.
        streaming: whether `query` and `aquery` return answers that can be read as they grow.
        callback_manager: that of the LLM where it is not given.

    Raises:
        InvalidParameterError: the LLM's service gives no sources.
    """

    def __init__(
        self,
        llm: ServiceLLM,
        *,
        streaming: bool = False,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._llm = citing(llm)
        self._streaming = streaming
        super().__init__(callback_manager or llm.callback_manager)

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        messages = as_messages(self._llm, query_bundle)
        if not self._streaming:
            return _response(self._llm.chat(messages))
        late = _Late()
        tokens = _tokens(self._llm.stream_chat(messages), late)
        return StreamingResponse(tokens, late.nodes, late.metadata)

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        messages = as_messages(self._llm, query_bundle)
        if not self._streaming:
            return _response(await self._llm.achat(messages))
        late = _Late()
        tokens = _atokens(await self._llm.astream_chat(messages), late)
        return AsyncStreamingResponse(tokens, late.nodes, late.metadata)


class _Late:
    """What is known at the end of an answer; these very objects are in the user's hands."""

    def __init__(self) -> None:
        self.nodes: list[NodeWithScore] = []
        self.metadata: dict[str, Any] = {}

    def note(self, answer: ChatResponse) -> ChatResponse:
        """Take what an answer says besides its text; in a stream only the last one does."""
        if "citations" in answer.additional_kwargs:
            self.metadata.update(answer.additional_kwargs)
            self.nodes.extend(as_nodes(self.metadata["citations"]))
        return answer


def _response(answer: ChatResponse) -> Response:
    late = _Late()
    late.note(answer)
    return Response(answer.message.content, late.nodes, late.metadata)


def _tokens(
    answers: Generator[ChatResponse, None, None], late: _Late
) -> Generator[str, None, None]:
    with closing(answers):
        for answer in answers:
            if delta := late.note(answer).delta:
                yield delta


async def _atokens(
    answers: AsyncGenerator[ChatResponse, None], late: _Late
) -> AsyncGenerator[str, None]:
    async with aclosing(answers):
        async for answer in answers:
            if delta := late.note(answer).delta:
                yield delta
