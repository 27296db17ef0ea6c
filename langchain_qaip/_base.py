"""The chat model and the text LLM that all services share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    ChatResult,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.tools import BaseTool
from pydantic import ConfigDict, Field

from langchain_qaip._messages import late_facts, to_chunk, to_message, to_turns, to_usage
from langchain_qaip._translator import provider
from langchain_qaip._twin import twin
from langchain_qaip.errors import as_langchain
from qaip_core import Choice, Completion, Prompt
from qaip_core.connection import base_url
from qaip_core.errors import InvalidParameterError
from qaip_core.service import Service

__all__ = ["ChatModel", "TextModel"]

_OWN = frozenset({"stream"})  # keywords that LangChain itself reads


class _Model(Service):
    """What a chat model and a text LLM have in common."""

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        protected_namespaces=(),
        populate_by_name=True,
    )

    def __init__(self, **data: Any) -> None:
        with as_langchain():
            super().__init__(**data)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Return True: the class round-trips through LangChain's load and dump."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The environment variable that the key is read from when an object is loaded."""
        return {"api_key": self.endpoint.backend.key_env[0]}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The address, also where it is the environment's: chat models are cached by it."""
        return {"base_url": self._address}

    @property
    def _address(self) -> str:
        return base_url(self.endpoint.backend, self.base_url)

    @property
    def provider(self) -> str:
        """The ``model_provider`` that answers carry."""
        return provider(self.endpoint.backend.name)

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """All that changes an answer: it keys caches. No secrets."""
        return {
            "provider": self.provider,
            "path": self.endpoint.path,
            "base_url": self._address,
            "extra_body": self.extra_body,
            "stop_sequences": self.stop,  # LangChain writes the call's over the key "stop"
            **self.values({}),
        }

    def _ls_params(self, kind: Any, stop: list[str] | None, call: Mapping[str, Any]) -> Any:
        given = self.values({**{k: v for k, v in call.items() if k not in _OWN}, "stop": stop})
        params = LangSmithParams(
            ls_provider=self.endpoint.backend.name,
            ls_model_name=self.endpoint.model or given.get("model") or self.model_label,
            ls_model_type=kind,
        )
        for name in ("temperature", "max_tokens", "stop"):
            if name in given:
                params[f"ls_{name}"] = given[name]  # type: ignore[literal-required]
        return params

    def _call(self, stop: list[str] | None, call: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of one call; its stop sequences replace the object's."""
        return self.values({**{k: v for k, v in call.items() if k not in _OWN}, "stop": stop})

    def _streamed(self, stop: list[str] | None, call: Mapping[str, Any]) -> dict[str, Any]:
        values = self._call(stop, call)
        if (values.get("n") or 1) > 1:
            raise InvalidParameterError("n > 1 cannot be streamed as one message: use generate()")
        return values

    def _tokens_of(self, text: str) -> int:
        count: Callable[[str], list[int]] | None = getattr(self, "custom_get_token_ids", None)
        return len(count(text)) if count else -(-len(text) // 4)

    def name_of(self, answer: Completion, values: Mapping[str, Any]) -> str:
        """Return the name of the model that gave an answer."""
        return answer.model or values.get("model") or self.model_label


class ChatModel(_Model, BaseChatModel):
    """A chat model of one service; see its subclasses."""

    streaming: bool = Field(default=False)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            answer = self.client.complete(self.endpoint, to_turns(messages), values)
            return self._result(answer, values)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            answer = await self.async_client.complete(self.endpoint, to_turns(messages), values)
            return self._result(answer, values)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with as_langchain():
            values = self._streamed(stop, kwargs)
            chunks = _ChatChunks(self, values)
            stream = self.client.stream(self.endpoint, to_turns(messages), values)
            with closing(stream) as increments:
                for increment in increments:
                    for chunk in chunks.of(increment):
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with as_langchain():
            values = self._streamed(stop, kwargs)
            chunks = _ChatChunks(self, values)
            stream = self.async_client.stream(self.endpoint, to_turns(messages), values)
            async with aclosing(stream) as increments:
                async for increment in increments:
                    for chunk in chunks.of(increment):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    def _result(self, answer: Completion, values: Mapping[str, Any]) -> ChatResult:
        name = self.name_of(answer, values)
        generations = []
        for choice in _in_order(answer):
            message = to_message(answer, choice, self.provider, name)
            info = {"logprobs": choice.logprobs} if choice.logprobs is not None else None
            generations.append(ChatGeneration(message=message, generation_info=info))
        return ChatResult(generations=generations, llm_output=_llm_output(answer, name))

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return _combined(llm_outputs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._ls_params("chat", stop, kwargs)  # type: ignore[no-any-return]

    @property
    def _llm_type(self) -> str:
        return f"{self.provider}-chat"

    def get_num_tokens(self, text: str) -> int:
        """Return an estimate (4 characters a token): the services publish no tokenizers."""
        return self._tokens_of(text)

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """Return an estimate (4 characters a token), tools included."""
        known: Any = list(tools) if tools else None
        return count_tokens_approximately(messages, tools=known)


class _ChatChunks:
    """Turns the increments of one stream into chunks; each fact stands on one of them."""

    def __init__(self, model: ChatModel, values: Mapping[str, Any]) -> None:
        self._model = model
        self._values = values
        self._facts: dict[str, Any] = {"model_provider": model.provider}
        self._started = False
        self._replaced = False

    def of(self, increment: Completion) -> Sequence[ChatGenerationChunk]:
        """Return the chunks of an increment: none, one, or several."""
        choice = increment.choice
        if self._started and choice.text and not increment.last and _is_plain(increment, choice):
            return (self._text(choice.text),)
        ready = [] if self._started else [self._first(increment)]
        if increment.replaces:
            self._replaced = True
            ready.append(self._replacement(choice.text))
            choice.text = ""
        if choice.reasoning:  # never on one chunk with text: LangChain would split the text
            ready.append(self._chunk(Choice(reasoning=choice.reasoning)))
            choice.reasoning = ""
        if choice.text or choice.tool_calls or choice.logprobs is not None:
            ready.append(self._chunk(choice))
        if increment.last:
            ready.append(self._closing(increment, choice))
        return ready

    def _first(self, increment: Completion) -> ChatGenerationChunk:
        """Return the opening chunk: whatever names the answer, and no text."""
        name = self._model.name_of(increment, self._values)
        facts = {**self._facts, "model_name": name}
        message = AIMessageChunk(content="", id=increment.id, response_metadata=facts)
        self._started = True
        self._message = AIMessageChunk(content="", id=increment.id)
        self._template = ChatGenerationChunk(message=self._message)
        return ChatGenerationChunk(message=message)

    def _text(self, text: str) -> ChatGenerationChunk:
        message = twin(
            self._message,
            content=text,
            response_metadata=self._facts.copy(),
            additional_kwargs={},
        )
        return twin(self._template, text=text, message=message)

    def _replacement(self, text: str) -> ChatGenerationChunk:
        """Return a chunk that says what all text so far is to be replaced by."""
        more = {"replacements": [text]}
        facts = dict(self._facts)
        message = AIMessageChunk(
            content="", id=self._message.id, additional_kwargs=more, response_metadata=facts
        )
        return ChatGenerationChunk(message=message)

    def _chunk(self, choice: Choice) -> ChatGenerationChunk:
        message = to_chunk(choice, dict(self._facts), self._message.id)
        info = {"logprobs": choice.logprobs} if choice.logprobs is not None else None
        return ChatGenerationChunk(message=message, generation_info=info)

    def _closing(self, increment: Completion, choice: Choice) -> ChatGenerationChunk:
        if self._replaced:  # offsets into the text that is valid fit no text that was shown
            increment = replace(
                increment, citations=tuple(replace(c, spans=()) for c in increment.citations)
            )
        more, late = late_facts(increment, choice)
        message = AIMessageChunk(
            content="",
            id=self._message.id,
            additional_kwargs=more,
            response_metadata={**self._facts, **late},
            usage_metadata=to_usage(increment.usage),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=message)


def _is_plain(increment: Completion, choice: Choice) -> bool:
    return not (
        choice.reasoning or choice.tool_calls or choice.logprobs is not None or increment.replaces
    )


class TextModel(_Model, BaseLLM):
    """A text LLM of one service; see its subclasses."""

    streaming: bool = Field(default=False)

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> LLMResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            return self._result(
                [self.client.complete(self.endpoint, prompt, values) for prompt in prompts], values
            )

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> LLMResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            return self._result(await self._all(prompts, values), values)

    async def _all(self, prompts: Sequence[Prompt], values: Mapping[str, Any]) -> list[Completion]:
        """Return all answers, asked for at once; after a failure nothing is left running."""
        complete = self.async_client.complete
        tasks = [asyncio.ensure_future(complete(self.endpoint, p, values)) for p in prompts]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:
                task.cancel()

    def _stream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[GenerationChunk]:
        with as_langchain():
            values = self._streamed(stop, kwargs)
            with closing(self.client.stream(self.endpoint, prompt, values)) as increments:
                for increment in increments:
                    chunk = self._chunk(increment, values)
                    if run_manager:
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    async def _astream(
        self,
        prompt: str,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[GenerationChunk]:
        with as_langchain():
            values = self._streamed(stop, kwargs)
            stream = self.async_client.stream(self.endpoint, prompt, values)
            async with aclosing(stream) as increments:
                async for increment in increments:
                    chunk = self._chunk(increment, values)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _chunk(self, increment: Completion, values: Mapping[str, Any]) -> GenerationChunk:
        choice = increment.choice
        info = self._info(increment, choice, values) if increment.last else {}
        info.update(_details(choice))
        if increment.replaces:
            info["replacements"], choice.text = [choice.text], ""
        return GenerationChunk(text=choice.text, generation_info=info or None)

    def _info(
        self, answer: Completion, choice: Choice, values: Mapping[str, Any]
    ) -> dict[str, Any]:
        more, facts = late_facts(answer, choice)
        info = {"model_name": self.name_of(answer, values), **more, **facts}
        if answer.id:
            info["id"] = answer.id
        return info

    def _result(self, answers: Sequence[Completion], values: Mapping[str, Any]) -> LLMResult:
        generations: list[list[Generation]] = []
        for answer in answers:
            row = []
            for choice in _in_order(answer):
                info = {**self._info(answer, choice, values), **_details(choice)}
                row.append(Generation(text=choice.text, generation_info=info))
            generations.append(row)
        outputs = [_llm_output(a, self.name_of(a, values)) for a in answers]
        return LLMResult(generations=generations, llm_output=_combined(outputs))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._ls_params("llm", stop, kwargs)  # type: ignore[no-any-return]

    @property
    def _llm_type(self) -> str:
        return self.provider

    def get_num_tokens(self, text: str) -> int:
        """Return an estimate (4 characters a token): the services publish no tokenizers."""
        return self._tokens_of(text)


def _llm_output(answer: Completion, model: str) -> dict[str, Any]:
    usage = {"token_usage": answer.usage.as_counts()} if answer.usage else {}
    return {"model_name": model, **usage}


def _combined(outputs: Sequence[Mapping[str, Any] | None]) -> dict[str, Any]:
    """Add up the token counts of several answers."""
    total: dict[str, int] = {}
    combined: dict[str, Any] = {}
    for output in outputs:
        if output:
            combined.setdefault("model_name", output["model_name"])
            for name, count in output.get("token_usage", {}).items():
                total[name] = total.get(name, 0) + count
    return {**combined, "token_usage": total} if total else combined


def _in_order(answer: Completion) -> list[Choice]:
    """Return the choices by their index, whatever order the service sends them in."""
    return sorted(answer.choices, key=lambda choice: choice.index)


def _details(choice: Choice) -> dict[str, Any]:
    """Return what a text LLM's answer says beside its text; in a stream it grows."""
    details = {"reasoning_content": choice.reasoning or None, "logprobs": choice.logprobs}
    return {name: value for name, value in details.items() if value is not None}
