"""Query engines over services that answer with sources."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.response.schema import RESPONSE_TYPE
from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
from llama_index.core.callbacks.base import EventContext
from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.prompts.mixin import PromptDictType, PromptMixinType
from llama_index.core.schema import QueryBundle

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._responses import (
    CitedAsyncStreamingResponse,
    CitedResponse,
    CitedStreamingResponse,
)
from llama_index_qaip._sources import QUERY, citing
from llama_index_qaip.errors import InvalidParameterError

__all__ = ["CitedQueryEngine"]

_MARK = "\ue000query\ue000"
"""Stands for a query where a template is tried."""


class CitedQueryEngine(BaseQueryEngine):
    """Answers a query with a service's own answer and sources, in one call.

    ``source_nodes`` holds the sources in the service's order: ``[n]`` in the answer names the
    n-th. ``metadata`` holds finish_reason, token counts, and the citations with their spans.
    Both are filled when a streamed answer has been read to its end.

    Parameters:
        llm: one of this package whose service cites, such as `Qaip` or `PerplexityAgent`.
        streaming: whether `query` and `aquery` return answers that can be read as they grow.
        query_template: how the query is asked, with the variable ``query_str``; a chat template
            may hold several messages. `get_prompts` shows it, `update_prompts` changes it.
        callback_manager: that of the LLM where it is not given.

    Raises:
        InvalidParameterError: the LLM's service gives no sources, or the template has no place for
            the query.
    """

    def __init__(
        self,
        llm: ServiceLLM,
        *,
        streaming: bool = False,
        query_template: BasePromptTemplate | None = None,
        callback_manager: CallbackManager | None = None,
    ) -> None:
        self._llm = citing(llm)
        self._streaming = streaming
        self._query_template = _asking(llm, query_template or QUERY)
        super().__init__(callback_manager or llm.callback_manager)

    def _get_prompts(self) -> PromptDictType:
        return {"query_template": self._query_template}

    def _update_prompts(self, prompts: PromptDictType) -> None:
        self._query_template = _asking(
            self._llm, prompts.get("query_template", self._query_template)
        )

    def _get_prompt_modules(self) -> PromptMixinType:
        return {}

    def _query(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        messages = self._messages(query_bundle)
        with self._told(query_bundle) as event:
            answer: RESPONSE_TYPE
            if self._streaming:
                answer = CitedStreamingResponse(self._llm.stream_chat(messages))
            else:
                answer = CitedResponse.of(self._llm.chat(messages))
            event.on_end(payload={EventPayload.RESPONSE: answer})
        return answer

    async def _aquery(self, query_bundle: QueryBundle) -> RESPONSE_TYPE:
        messages = self._messages(query_bundle)
        with self._told(query_bundle) as event:
            answer: RESPONSE_TYPE
            if self._streaming:
                answer = CitedAsyncStreamingResponse(await self._llm.astream_chat(messages))
            else:
                answer = CitedResponse.of(await self._llm.achat(messages))
            event.on_end(payload={EventPayload.RESPONSE: answer})
        return answer

    def _messages(self, query: QueryBundle) -> list[ChatMessage]:
        return self._llm.messages_for(self._query_template, query_str=query.query_str)

    def _told(self, query: QueryBundle) -> AbstractContextManager[EventContext]:
        """Tell callback handlers of a query; it ends when the answer is handed over."""
        payload: dict[str, Any] = {EventPayload.QUERY_STR: query.query_str}
        return self.callback_manager.event(CBEventType.QUERY, payload=payload)


def _asking(llm: ServiceLLM, template: BasePromptTemplate) -> BasePromptTemplate:
    """Return a template that asks the query.

    Raises:
        InvalidParameterError: it is none, or would leave the query out.
    """
    if isinstance(template, BasePromptTemplate):
        asked = llm.messages_for(template, query_str=_MARK)
        if any(_MARK in (message.content or "") for message in asked):
            return template
    raise InvalidParameterError(
        "query_template is a prompt template with {query_str} in it, such as "
        f'PromptTemplate("{{query_str}}"), not {template!r:.100}'
    )
