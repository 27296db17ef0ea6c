"""Objects in answers: how they are asked for, and how they are found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, ChatResponse, MessageRole
from llama_index.core.program.function_program import get_function_tool
from llama_index.core.program.utils import FlexibleModel, create_flexible_model
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.utils import truncate_text
from pydantic import BaseModel, PydanticUserError, ValidationError

from llama_index_qaip._base import ServiceLLM
from llama_index_qaip.errors import InvalidOutputError, InvalidParameterError
from qaip_core.backend import faults
from qaip_core.structured import (
    is_object_schema,
    json_schema_format,
    objects_in,
    partial_object_in,
    schema_in_words,
)

__all__ = ["FORMAT", "FUNCTION", "WORDS", "Sought", "Way"]

M = TypeVar("M", bound=BaseModel)
_OURS = frozenset({"messages", "response_format", "tools", "chat_history", "user_msg"})


@dataclass(frozen=True)
class Way:
    """How an object is asked for, and where it stands in an answer.

    Parameters:
        offer: the arguments for `chat`: from the LLM, the class, the messages, and what the user
            adds to the call.
        text: the JSON text in an answer.
    """

    offer: Callable[..., dict[str, Any]]
    text: Callable[[ChatResponse], str]

    def call(
        self,
        llm: ServiceLLM,
        output_cls: type[BaseModel],
        prompt: BasePromptTemplate,
        prompt_args: Mapping[str, Any],
        llm_kwargs: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        """Return the arguments for `chat`.

        Raises:
            InvalidParameterError: ``output_cls`` has no schema of objects, or ``llm_kwargs`` holds
                what is set here.
        """
        if clash := _OURS & (llm_kwargs or {}).keys():
            raise InvalidParameterError(
                f"{', '.join(sorted(clash))}: structured prediction sets this itself"
            )
        messages = llm.messages_for(prompt, **prompt_args)
        return self.offer(llm, output_cls, messages, **(llm_kwargs or {}))


def _schema(output_cls: type[BaseModel]) -> dict[str, Any]:
    """Return the class's JSON schema.

    Raises:
        InvalidParameterError: it is not that of an object.
    """
    if not isinstance(output_cls, type) or not issubclass(output_cls, BaseModel):
        raise InvalidParameterError(f"{output_cls!r} is no pydantic class of objects")
    try:
        schema = output_cls.model_json_schema()
    except PydanticUserError as error:
        raise InvalidParameterError(f"{output_cls.__name__} has no schema: {error}") from None
    if not is_object_schema(schema):
        raise InvalidParameterError(
            f"{output_cls.__name__} is no object but {schema.get('type')}: make it the field of a "
            "class"
        )
    return schema


def _as_format(
    _llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage], /, **call: Any
) -> dict[str, Any]:
    wanted = json_schema_format(output_cls.__name__, _schema(output_cls))
    return {**call, "messages": messages, "response_format": wanted}


def _as_words(
    _llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage], /, **call: Any
) -> dict[str, Any]:
    order = ChatMessage(role=MessageRole.SYSTEM, content=schema_in_words(_schema(output_cls)))
    return {**call, "messages": [order, *messages]}


def _as_function(
    llm: Any, output_cls: type[BaseModel], messages: list[ChatMessage], /, **call: Any
) -> dict[str, Any]:
    _schema(output_cls)  # what has none can be no function either
    wanted = {**call, "tool_required": True, "tool_choice": None}
    offered: dict[str, Any] = llm._prepare_chat_with_tools(  # noqa: SLF001 -- LlamaIndex's name
        [get_function_tool(output_cls)], chat_history=messages, **wanted
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


FORMAT = Way(_as_format, _content)
WORDS = Way(_as_words, _content)
FUNCTION = Way(_as_function, _arguments)


class Sought(Generic[M]):
    """The object of a class in an answer.

    Parameters:
        way: how it was asked for.
        cls: the class.
    """

    def __init__(self, way: Way, cls: type[M]) -> None:
        self._way = way
        self._cls = cls
        self._flexible = create_flexible_model(cls)
        self._names = {
            str(f.validation_alias or f.alias): name for name, f in cls.model_fields.items()
        }
        self._shown: dict[str, Any] = {}
        self._read = 0

    def growing(self, answer: ChatResponse) -> Iterable[M | FlexibleModel]:
        """Return what the object holds by now, if that is new.

        It is read anew when the text has grown by a fiftieth, so that the cost of an answer is
        proportional to its length.
        """
        text = self._way.text(answer)
        if len(text) < self._read * 1.02:
            return
        self._read = len(text)
        known = partial_object_in(text)
        if known and known != self._shown:
            self._shown = known
            yield self._partial(known)

    def _partial(self, known: dict[str, Any]) -> M | FlexibleModel:
        try:
            return self._object(known)
        except ValidationError:
            named = {self._names.get(key, key): value for key, value in known.items()}
            return self._flexible.model_validate(named)

    def _object(self, found: dict[str, Any]) -> M:
        return self._cls.model_validate_json(json.dumps(found))  # dates of strict classes are text

    def whole(self, answer: ChatResponse) -> M:
        """Return the object: the first in the answer that is one.

        Raises:
            InvalidOutputError: there is none.
        """
        text = self._way.text(answer)
        why: str | ValidationError = "it holds no JSON object that can be read"
        empty = None
        for found in objects_in(text):
            if isinstance(found, str):
                why = "its JSON object is not complete"
                break
            try:
                fitting = self._object(found)
            except ValidationError as error:
                why = error
                continue
            if found:
                return fitting
            empty = fitting  # a mere {} may stand in prose
        else:
            if empty is not None:
                return empty
        raise self._missing(answer, text or answer.message.content or "", why)

    def _missing(
        self, answer: ChatResponse, said: str, why: str | ValidationError
    ) -> InvalidOutputError:
        cut = answer.additional_kwargs.get("finish_reason") == "length"
        name = self._cls.__name__
        reason = why if isinstance(why, str) else faults(why, "the object")
        error = InvalidOutputError(
            f"the answer is no {name}{', it was cut at max_tokens' if cut else ''}: {reason}; the "
            f"model wrote: {truncate_text(said, 500)}",
            body=said,
        )
        error.__cause__ = None if isinstance(why, str) else why
        return error
