"""`EngineAsker`: asks one row of a table of an LLM, an engine, a retriever or an agent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from llama_index.core.agent.workflow import AgentOutput, AgentWorkflow, BaseWorkflowAgent
from llama_index.core.base.base_query_engine import BaseQueryEngine
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.base.response.schema import (
    AsyncStreamingResponse,
    PydanticResponse,
    Response,
    StreamingResponse,
)
from llama_index.core.llms import ChatMessage, ChatResponse

from llama_index_qaip._cited import cited
from llama_index_qaip._heard import hearing
from llama_index_qaip.errors import InvalidParameterError
from qaip_core.bulk.parts import aclose_all, described
from qaip_core.bulk.plain import as_json, plain, sound, unplaced
from qaip_core.bulk.record import Answered, noting
from qaip_core.rendering import CitedAnswer

__all__ = ["EngineAsker"]


@dataclass(frozen=True)
class EngineAsker:
    """Asks what LlamaIndex has for single questions.

    Parameters:
        model: an LLM, a query engine, a retriever, or an agent. No chat engine: it would take all
            rows for one conversation.

    Raises:
        InvalidParameterError: it is nothing of these.
    """

    model: Any

    def __post_init__(self) -> None:
        _way(self.model)

    async def ask(self, question: Any) -> Answered:
        """Return the answer to one row.

        Parameters:
            question: a text.

        Returns:
            The text; JSON of an object. Tokens and money are those of all LLMs that report to
            LlamaIndex's instrumentation; sources are those of the response, else of the last LLM
            that cites.

        Raises:
            InvalidParameterError: the question is no text.
            Exception: whatever the model raises.
        """
        if not isinstance(question, str):
            raise InvalidParameterError(
                f"a question is a text, not {type(question).__name__}: write all that is asked "
                "into one column"
            )
        with hearing() as heard, noting(heard):
            said = await _way(self.model)(self.model, question)
        if isinstance(said, ChatResponse):
            heard.add(said)
        answer = _read(said)
        return Answered(
            sound(answer.text),
            plain(answer.citations or heard.citations(answer.text)),
            usage=heard.usage,
            cost=heard.cost,
            model=heard.fact("model"),
            finish_reason=heard.fact("finish_reason"),
        )

    async def aclose(self) -> None:
        """Close the connections of our own classes, wherever the engine lets them be seen.

        Those of others close with the process.
        """
        await aclose_all(self.model, _parts)

    def describe(self) -> str:
        """Return the classes that the model is built of, and the models that they name."""
        return described(self.model, _parts, object)


async def _of_llm(llm: BaseLLM, question: str) -> ChatResponse:
    system = getattr(llm, "system_prompt", None)
    first = [ChatMessage(role="system", content=system)] if system else []
    return await llm.achat([*first, ChatMessage(role="user", content=question)])


async def _of_engine(engine: BaseQueryEngine, question: str) -> Any:
    response = await engine.aquery(question)
    if isinstance(response, AsyncStreamingResponse):
        return await response.get_response()
    if isinstance(response, StreamingResponse):
        return await asyncio.to_thread(response.get_response)
    return response


async def _of_retriever(retriever: BaseRetriever, question: str) -> Any:
    return await retriever.aretrieve(question)


async def _of_agent(agent: AgentWorkflow | BaseWorkflowAgent, question: str) -> Any:
    run = agent.run(user_msg=question)
    ended = asyncio.ensure_future(_end(run))
    try:
        return await asyncio.shield(ended)
    except asyncio.CancelledError:
        await run.cancel_run()  # its steps are tasks of their own
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        raise


async def _end(run: Awaitable[Any]) -> Any:
    return await run


_WAYS: tuple[tuple[tuple[type[Any], ...], Callable[..., Awaitable[Any]]], ...] = (
    ((BaseLLM,), _of_llm),
    ((BaseQueryEngine,), _of_engine),
    ((BaseRetriever,), _of_retriever),
    ((AgentWorkflow, BaseWorkflowAgent), _of_agent),
)


def _way(model: Any) -> Callable[..., Awaitable[Any]]:
    for kinds, ask in _WAYS:
        if isinstance(model, kinds):
            return ask
    raise InvalidParameterError(
        "answers come from an LLM, a query engine, a retriever or an agent, not from "
        f"{type(model).__name__}"
    )


_HELD = (
    "llm",
    "_llm",
    "_retriever",
    "_response_synthesizer",
    "_query_engine",
    "agents",
    "tools",
)
"""Where LlamaIndex's classes keep what they are built of; indexes of many nodes are left alone."""


def _parts(value: Any) -> Iterable[Any]:
    held = getattr(value, "__dict__", {})
    return [held[name] for name in _HELD if name in held]


def _read(said: Any) -> CitedAnswer:
    if isinstance(said, Response):
        return CitedAnswer(said.response or "", cited(said).citations)
    if isinstance(said, PydanticResponse):
        return CitedAnswer(str(said), unplaced(cited(said).citations))
    answer = cited(said)
    if isinstance(said, AgentOutput) and said.structured_response is not None:
        return CitedAnswer(as_json(said.structured_response), unplaced(answer.citations))
    return answer
