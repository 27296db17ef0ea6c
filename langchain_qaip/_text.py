"""The text LLM that all services share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
    Callbacks,
)
from langchain_core.language_models import BaseLLM
from langchain_core.language_models.base import LangSmithParams
from langchain_core.outputs import Generation, GenerationChunk, LLMResult
from pydantic import Field

from langchain_qaip._messages import late_facts
from langchain_qaip._model import Model, combined, in_order, llm_output
from langchain_qaip.errors import as_langchain
from qaip_core import Choice, Completion, Prompt
from qaip_core.twins import twins
from qaip_core.types import Increment, add_up

__all__ = ["TextModel"]


_running: ContextVar[tuple[Any, Mapping[str, Any]]] = ContextVar(
    "a model and the parameters of its running call", default=(None, MappingProxyType({}))
)
_TRACING = frozenset({"tags", "metadata", "run_name", "run_id"})


@contextmanager
def _noted(model: TextModel, call: Mapping[str, Any]) -> Generator[None, None, None]:
    """Let the cache key see the parameters of a call, which LangChain leaves out for text LLMs."""
    token = _running.set((model, {k: v for k, v in call.items() if k not in _TRACING}))
    try:
        yield
    finally:
        _running.reset(token)


class TextModel(Model, BaseLLM):
    """A text LLM of one service; see its subclasses."""

    streaming: bool = Field(default=False)

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        """All that changes an answer, the parameters of the running call included."""
        model, call = _running.get()
        known = super()._identifying_params
        return {**known, **self.values(call)} if model is self else known

    def generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Return the answers to several prompts; see LangChain's ``BaseLLM.generate``."""
        with _noted(self, kwargs):
            return super().generate(prompts, stop, callbacks, **kwargs)

    async def agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        callbacks: Callbacks | list[Callbacks] | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Return the answers to several prompts; see LangChain's ``BaseLLM.agenerate``."""
        with _noted(self, kwargs):
            return await super().agenerate(prompts, stop, callbacks, **kwargs)

    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            if run_manager and self._speaks(prompts, values):
                increments = []
                with closing(self.client.pieces(self.endpoint, prompts[0], values)) as stream:
                    for increment in stream:
                        chunk = self._chunk(increment, values)
                        run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        increments.append(increment)
                return self._result([add_up(increments)], values)
            return self._result(
                [self.client.complete(self.endpoint, prompt, values) for prompt in prompts], values
            )

    async def _agenerate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        with as_langchain():
            values = self._call(stop, kwargs)
            if run_manager and self._speaks(prompts, values):
                increments = []
                source = self.async_client.pieces(self.endpoint, prompts[0], values)
                async with aclosing(source) as stream:
                    async for increment in stream:
                        chunk = self._chunk(increment, values)
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        increments.append(increment)
                return self._result([add_up(increments)], values)
            return self._result(await self._all(prompts, values), values)

    def _speaks(self, prompts: Sequence[str], values: Mapping[str, Any]) -> bool:
        """Tell whether a whole answer is to be heard as it comes: LangChain has one run for it."""
        return self.streaming and len(prompts) == 1 and (values.get("n") or 1) == 1

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
            with closing(self.client.pieces(self.endpoint, prompt, values)) as increments:
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
            stream = self.async_client.pieces(self.endpoint, prompt, values)
            async with aclosing(stream) as increments:
                async for increment in increments:
                    chunk = self._chunk(increment, values)
                    if run_manager:
                        await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                    yield chunk

    def _chunk(self, increment: Increment, values: Mapping[str, Any]) -> GenerationChunk:
        if isinstance(increment, str):
            return _plain({"text": increment})
        choice = increment.choice
        info = self._info(increment, choice, values) if increment.last else {}
        info.update(_details(choice))
        if increment.replaces:
            info["replacements"] = [choice.text]
        text = "" if increment.replaces else choice.text
        return GenerationChunk(text=text, generation_info=info or None)

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
            for choice in in_order(answer):
                info = {**self._info(answer, choice, values), **_details(choice)}
                row.append(Generation(text=choice.text, generation_info=info))
            generations.append(row)
        outputs = [llm_output(a, self.name_of(a, values)) for a in answers]
        return LLMResult(generations=generations, llm_output=combined(outputs))

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._ls_params("llm", stop, kwargs)

    @property
    def _llm_type(self) -> str:
        return self.provider


_plain = twins(GenerationChunk(text=""))


def _details(choice: Choice) -> dict[str, Any]:
    """Return what a text LLM's answer says beside its text; in a stream it grows."""
    details = {"reasoning_content": choice.reasoning or None, "logprobs": choice.logprobs}
    return {name: value for name, value in details.items() if value is not None}
