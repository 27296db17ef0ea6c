"""`ServiceLLM`: the eight calls of a LlamaIndex LLM, over one service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from llama_index.core.base.llms.generic_utils import messages_to_prompt
from llama_index.core.llms import (
    LLM,
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.prompts import BasePromptTemplate
from pydantic import ConfigDict, Field

from llama_index_qaip._answers import ChatShape, TextShape
from llama_index_qaip._messages import to_turns
from llama_index_qaip._streams import Growing, GrowingAsync, streamed, streamed_async
from llama_index_qaip._typed import chat_call, completion_call
from qaip_core import Prompt
from qaip_core.backend import Endpoint
from qaip_core.errors import InvalidParameterError
from qaip_core.service import Service

__all__ = ["ServiceLLM"]

# Other integrations have these names; the fields exist for signatures, and stay empty.
_SYNONYMS = {
    "api_base": "base_url",
    "async_http_client": "http_async_client",
    "additional_kwargs": "extra_body",
}
_Call = tuple[Endpoint, Prompt, dict[str, Any]]


class ServiceLLM(Service, LLM):
    """A LlamaIndex LLM over one service.

    Parameters:
        api_base, async_http_client, additional_kwargs: LlamaIndex's names for ``base_url``,
            ``http_async_client`` and ``extra_body``.
        context_window: tokens that prompt and answer share, at least 1; LlamaIndex packs prompts
            by it. Where it is not given: what is known of the model, else a cautious number.
        num_output: tokens that it then leaves for the answer; ``max_tokens`` where that is given.
        citation_blocks: whether messages hold a `CitationBlock` for each source. Switch it off
            if such a message goes on to an LLM that refuses blocks it does not know; the
            sources are in ``additional_kwargs["citations"]`` in any case.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        protected_namespaces=(),
        defer_build=True,  # who imports five classes uses one of them
    )

    text_endpoint: ClassVar[Endpoint | None] = None
    """Where `complete` goes, if not to ``endpoint``."""

    unknown_context: ClassVar[int] = 32_768
    """The context window of models of which none is known, in tokens."""

    api_base: str | None = Field(default=None, exclude=True, repr=False)
    async_http_client: Any = Field(default=None, exclude=True, repr=False)
    additional_kwargs: dict[str, Any] | None = Field(default=None, exclude=True, repr=False)
    context_window: int | None = Field(default=None, gt=0)
    num_output: int | None = Field(default=None, gt=0)
    citation_blocks: bool = True

    def __init__(self, **data: Any) -> None:
        for name, own in _SYNONYMS.items():
            given = data.pop(name, None)
            if given is None:
                continue
            if data.get(own) is not None:
                raise InvalidParameterError(f"{name} is a synonym of {own}: pass one of them")
            data[own] = given
        super().__init__(**data)

    @classmethod
    def class_name(cls) -> str:
        """Return the key that serialized objects are told apart by."""
        return cls.__name__

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex needs to know of the model to pack its prompts."""
        return LLMMetadata(
            context_window=self.context_window
            or self.endpoint.context_of(self.model)
            or self.unknown_context,
            num_output=self.num_output or self.max_tokens or 1024,
            is_chat_model=self.endpoint.chat,
            model_name=self.model_label,
        )

    def messages_for(self, prompt: BasePromptTemplate, **prompt_args: Any) -> list[ChatMessage]:
        """Return a prompt as messages, behind the system prompt if there is one.

        Parameters:
            prompt: the template.
            prompt_args: its variables.

        Returns:
            The messages; a variable that is not given stays as it stands in the template.
        """
        return self._extend_messages(prompt.format_messages(llm=self, **prompt_args))

    @chat_call
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return the answer to a conversation.

        Parameters:
            messages: its turns.
            kwargs: parameters of the service, for this call.

        Raises:
            ServiceError: see `llama_index_qaip.errors`.
        """
        return self._chat.whole(self.client.complete(*self._chat_call(messages, kwargs)))

    @chat_call
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """Return the answer to a conversation; see `chat`."""
        call = self._chat_call(messages, kwargs)
        return self._chat.whole(await self.async_client.complete(*call))

    @streamed(chat_call)
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        """Return the answer to a conversation as it grows; see `chat`.

        The last response holds the whole answer, its sources and its token counts.
        """
        return Growing(self.client.pieces(*self._chat_call(messages, kwargs)), self._chat)

    @streamed_async(chat_call)
    async def astream_chat(
        self, messages: Sequence[ChatMessage], **kwargs: Any
    ) -> ChatResponseAsyncGen:
        """Return the answer to a conversation as it grows; see `stream_chat`."""
        return GrowingAsync(
            self.async_client.pieces(*self._chat_call(messages, kwargs)), self._chat
        )

    @completion_call
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """Return the answer to a text.

        Parameters:
            prompt: the text.
            formatted: whether ``completion_to_prompt`` was already applied to it.
            kwargs: parameters of the service, for this call.

        Raises:
            ServiceError: see `llama_index_qaip.errors`.
        """
        call = self._text_call(prompt, kwargs, formatted=formatted)
        return self._text.whole(self.client.complete(*call))

    @completion_call
    async def acomplete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponse:
        """Return the answer to a text; see `complete`."""
        call = self._text_call(prompt, kwargs, formatted=formatted)
        return self._text.whole(await self.async_client.complete(*call))

    @streamed(completion_call)
    def stream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseGen:
        """Return the answer to a text as it grows; see `complete`.

        The last response holds the whole answer, its sources and its token counts.
        """
        call = self._text_call(prompt, kwargs, formatted=formatted)
        return Growing(self.client.pieces(*call), self._text)

    @streamed_async(completion_call)
    async def astream_complete(
        self,
        prompt: str,
        formatted: bool = False,
        **kwargs: Any,
    ) -> CompletionResponseAsyncGen:
        """Return the answer to a text as it grows; see `stream_complete`."""
        call = self._text_call(prompt, kwargs, formatted=formatted)
        return GrowingAsync(self.async_client.pieces(*call), self._text)

    @property
    def _chat(self) -> ChatShape:
        return ChatShape(citation_blocks=self.citation_blocks)

    @property
    def _text(self) -> TextShape:
        return TextShape()

    def _chat_call(self, messages: Sequence[ChatMessage], call: Mapping[str, Any]) -> _Call:
        endpoint = self.endpoint
        custom = self.messages_to_prompt
        if not endpoint.chat and custom is not None and custom is not messages_to_prompt:
            return endpoint, custom(messages), self._values(endpoint, call)
        turns = to_turns(messages, tools=endpoint.takes("tools"))
        return endpoint, turns, self._values(endpoint, call)

    def _text_call(self, prompt: str, call: Mapping[str, Any], *, formatted: bool) -> _Call:
        endpoint = self.text_endpoint or self.endpoint
        if not formatted and self.completion_to_prompt is not None:
            prompt = self.completion_to_prompt(prompt)
        return endpoint, prompt, self._values(endpoint, call)

    def _values(self, endpoint: Endpoint, call: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what was set on the object for the other endpoint only."""
        values = self.values(call)
        if endpoint is self.endpoint:
            return values
        return {k: v for k, v in values.items() if k in endpoint.names or k == "stop" or k in call}
