"""`ObjectLLM`: structured prediction, by the service's own means where it has any."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, closing
from typing import Any, TypeVar

from llama_index.core.instrumentation.events.llm import (
    LLMStructuredPredictEndEvent,
    LLMStructuredPredictStartEvent,
)
from llama_index.core.llms import ChatResponse
from llama_index.core.program.utils import FlexibleModel
from llama_index.core.prompts import BasePromptTemplate
from llama_index.core.types import PydanticProgramMode
from pydantic import BaseModel

from llama_index_qaip._answers import is_whole
from llama_index_qaip._base import ServiceLLM
from llama_index_qaip._objects import FORMAT, FUNCTION, WORDS, Sought, Way
from llama_index_qaip._typed import dispatcher, span

__all__ = ["ObjectLLM"]

M = TypeVar("M", bound=BaseModel)


# LlamaIndex's own methods are untyped, or say PromptTemplate where they take any template: hence
# the ignored types below.
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
        return _ended(Sought(way, output_cls).whole(answer))

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
        return _ended(Sought(way, output_cls).whole(answer))

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
        return _grow(self.stream_chat(**call), Sought(way, output_cls))

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
        return _agrow(await self.astream_chat(**call), Sought(way, output_cls))

    def _way(self) -> Way | None:
        """Return how objects are asked for; None for LlamaIndex's own ways."""
        match self.pydantic_program_mode:
            case PydanticProgramMode.DEFAULT:
                return FORMAT if "json_schema" in self.endpoint.formats else WORDS
            case PydanticProgramMode.LLM:
                return WORDS
            case PydanticProgramMode.FUNCTION if self.metadata.is_function_calling_model:
                return FUNCTION
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


def _grow(
    answers: Generator[ChatResponse, None, None], sought: Sought[M]
) -> Generator[M | FlexibleModel, None, None]:
    answer = None
    with closing(answers):
        for answer in answers:
            if not is_whole(answer):
                yield from sought.growing(answer)
    if answer is not None:
        yield sought.whole(answer)


async def _agrow(
    answers: AsyncGenerator[ChatResponse, None], sought: Sought[M]
) -> AsyncGenerator[M | FlexibleModel, None]:
    answer = None
    async with aclosing(answers):
        async for answer in answers:
            if not is_whole(answer):
                for known in sought.growing(answer):
                    yield known
    if answer is not None:
        yield sought.whole(answer)
