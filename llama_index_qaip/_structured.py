"""`ObjectLLM`: structured prediction, by the service's own means where it has any."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel, ValidationError

from llama_index_qaip._answers import is_whole
from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._typed import dispatcher, span
from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from qaip_core.structured import (
    json_schema_format,
    objects_in,
    partial_object,
    schema_in_words,
)

__all__ = ["ObjectLLM"]

M = TypeVar("M", bound=BaseModel)
_OBJECTS = frozenset({"properties", "additionalProperties", "anyOf", "oneOf", "allOf", "$ref"})


class ObjectLLM(ServiceLLM):
    """An LLM whose answers can be objects of a class.

    `structured_predict` and its kin ask for the class's schema with ``response_format``, where the
    service enforces one, else in words. With ``pydantic_program_mode`` LLM they ask in words, with
    FUNCTION for the arguments of a function. The other modes are LlamaIndex's own.
    """

    @span
    def structured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        """Return an object of a class.

        Parameters:
            output_cls: the class, a pydantic model.
            prompt: what is asked.
            llm_kwargs: parameters of the service, for this call.
            prompt_args: the variables of the prompt.

        Raises:
            InvalidOutputError: the answer holds no such object, or was cut.
            ServiceError: see `llama_index_qaip.errors`.
        """
        if (way := self._way()) is None:
            return super().structured_predict(output_cls, prompt, llm_kwargs, **prompt_args)  # type: ignore[no-any-return]
        self._begin(output_cls, prompt, prompt_args)
        answer = self.chat(**way.call(self, output_cls, prompt, prompt_args, llm_kwargs))
        return _ended(_Sought(way, output_cls).whole(answer))

    @span
    async def astructured_predict(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> M:
        """Return an object of a class; see `structured_predict`."""
        if (way := self._way()) is None:
            return await super().astructured_predict(output_cls, prompt, llm_kwargs, **prompt_args)  # type: ignore[no-any-return]
        self._begin(output_cls, prompt, prompt_args)
        answer = await self.achat(**way.call(self, output_cls, prompt, prompt_args, llm_kwargs))
        return _ended(_Sought(way, output_cls).whole(answer))

    def _structured_stream_call(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> Generator[Any, None, None]:
        """Return what the object holds so far, as it grows; at last the whole object."""
        if (way := self._way()) is None:
            return super()._structured_stream_call(output_cls, prompt, llm_kwargs, **prompt_args)  # type: ignore[arg-type]
        call = way.call(self, output_cls, prompt, prompt_args, llm_kwargs)
        return _grow(self.stream_chat(**call), _Sought(way, output_cls))

    async def _structured_astream_call(
        self,
        output_cls: type[M],
        prompt: BasePromptTemplate,
        llm_kwargs: dict[str, Any] | None = None,
        **prompt_args: Any,
    ) -> AsyncGenerator[Any, None]:
        """Return what the object holds so far; see `_structured_stream_call`."""
        if (way := self._way()) is None:
            stream = super()._structured_astream_call
            return await stream(output_cls, prompt, llm_kwargs, **prompt_args)  # type: ignore[arg-type]
        call = way.call(self, output_cls, prompt, prompt_args, llm_kwargs)
        return _agrow(await self.astream_chat(**call), _Sought(way, output_cls))

    def _way(self) -> _Way | None:
        """Return how objects are asked for; None for LlamaIndex's own ways."""
        match self.pydantic_program_mode:
            case PydanticProgramMode.DEFAULT:
                return _FORMAT if "json_schema" in self.endpoint.formats else _WORDS
            case PydanticProgramMode.LLM:
                return _WORDS
            case PydanticProgramMode.FUNCTION if self.metadata.is_function_calling_model:
                return _FUNCTION
        return None

    def _begin(
        self, output_cls: type[BaseModel], prompt: BasePromptTemplate, args: dict[str, Any]
    ) -> None:
        dispatcher.event(
            LLMStructuredPredictStartEvent(
                output_cls=output_cls, template=prompt, template_args=args
            )
        )


def _ended(found: M) -> M:
    dispatcher.event(LLMStructuredPredictEndEvent(output=found))
    return found


@dataclass(frozen=True)
class _Way:
    """How an object is asked for, and where it stands in an answer.

    Parameters:
        offer: what the call says of the class, beside the messages.
        text: the JSON text in an answer.
    """

    offer: Callable[[Any, type[BaseModel], list[ChatMessage]], dict[str, Any]]
    text: Callable[[ChatResponse], str]

    def call(
        self,
        llm: ObjectLLM,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        prompt_args: Mapping[str, Any],
        llm_kwargs: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the arguments for `chat`."""
        messages = llm.messages_for(prompt, **prompt_args)
        return {**(llm_kwargs or {}), **self.offer(llm, output_cls, messages)}


def _schema(output_cls: type[BaseModel]) -> dict[str, Any]:
    """Return the class's JSON schema.

    Raises:
        InvalidParameterError: it is not that of an object.
    """
    schema = output_cls.model_json_schema()
    if schema.get("type") != "object" and not schema.keys() & _OBJECTS:
        raise InvalidParameterError(
            f"{output_cls.__name__} is no object but {schema.get('type')}: make it the field of a "
            "class"
        )
    return schema


def _as_format(
    _llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage]
) -> dict[str, Any]:
    wanted = json_schema_format(output_cls.__name__, _schema(output_cls))
    return {"messages": messages, "response_format": wanted}


def _as_words(
    _llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage]
) -> dict[str, Any]:
    order = ChatMessage(role=MessageRole.SYSTEM, content=schema_in_words(_schema(output_cls)))
    return {"messages": [order, *messages]}


def _as_function(
    llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage]
) -> dict[str, Any]:
    tool = get_function_tool(output_cls)
    offered: dict[str, Any] = llm._prepare_chat_with_tools(  # noqa: SLF001 -- LlamaIndex's name
        [tool], chat_history=messages, tool_required=True
    )
    return offered


def _content(answer: ChatResponse) -> str:
    return answer.message.content or ""


def _arguments(answer: ChatResponse) -> str:
    for block in answer.message.blocks:
        if isinstance(block, ToolCallBlock):
            given = block.tool_kwargs
            return given if isinstance(given, str) else json.dumps(given)
    return ""


_FORMAT = _Way(_as_format, _content)
_WORDS = _Way(_as_words, _content)
_FUNCTION = _Way(_as_function, _arguments)


class _Sought(Generic[M]):
    """The object of a class in an answer.

    Parameters:
        way: how it was asked for.
        cls: the class.
    """

    def __init__(self, way: _Way, cls: type[M]) -> None:
        self._way = way
        self._cls = cls
        self._flexible = create_flexible_model(cls)
        self._shown: dict[str, Any] = {}

    def growing(self, answer: ChatResponse) -> Iterable[M | FlexibleModel]:
        """Return what the object holds by now, if that is new."""
        for found in objects_in(self._way.text(answer)):
            known = partial_object(found) if isinstance(found, str) else found
            if known and known != self._shown:
                self._shown = known
                yield self._partial(known)
            return

    def _partial(self, known: dict[str, Any]) -> M | FlexibleModel:
        try:
            return self._object(known)
        except ValidationError:
            return self._flexible.model_validate(known)

    def _object(self, found: dict[str, Any]) -> M:
        return self._cls.model_validate_json(json.dumps(found))  # dates of strict classes are text

    def whole(self, answer: ChatResponse) -> M:
        """Return the object: the first in the answer that is one.

        Raises:
            InvalidOutputError: there is none.
        """
        text = self._way.text(answer)
        why: ValidationError | str = "it holds no JSON object"
        for found in objects_in(text):
            if isinstance(found, str):
                why = "its JSON object is not complete"
                break
            try:
                return self._object(found)
            except ValidationError as error:
                why = error
        cut = answer.additional_kwargs.get("finish_reason") == "length"
        said = text or answer.message.content or ""
        raise InvalidOutputError(
            f"the answer is no {self._cls.__name__}"
            f"{', it was cut at max_tokens' if cut else ''}: {why}; the model wrote: {said}",
            body=said,
        ) from (why if isinstance(why, ValidationError) else None)


def _grow(
    answers: Generator[ChatResponse, None, None], sought: _Sought[M]
) -> Generator[M | FlexibleModel, None, None]:
    answer = None
    with closing(answers):
        for answer in answers:
            if not is_whole(answer):
                yield from sought.growing(answer)
    if answer is not None:
        yield sought.whole(answer)


async def _agrow(
    answers: AsyncGenerator[ChatResponse, None], sought: _Sought[M]
) -> AsyncGenerator[M | FlexibleModel, None]:
    answer = None
    async with aclosing(answers):
        async for answer in answers:
            if not is_whole(answer):
                for known in sought.growing(answer):
                    yield known
    if answer is not None:
        yield sought.whole(answer)
