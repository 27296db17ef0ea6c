"""`ChainAsker`: asks one row of a table of a model, a chain or an agent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import BaseModel

from langchain_qaip._cited import cited
from langchain_qaip._heard import Heard
from langchain_qaip._reading import OF_CHAINS
from langchain_qaip.errors import InvalidParameterError
from qaip_core.bulk.parts import aclose_all, described
from qaip_core.bulk.plain import as_json, plain, sound, unplaced
from qaip_core.bulk.record import Answered, noting
from qaip_core.rendering import CitedAnswer

__all__ = ["ChainAsker"]

_OWN = ("thread_id", "session_id")
"""What graphs and histories know a conversation by: each row is one of its own."""

_RAW = frozenset({"raw", "parsed", "parsing_error"})
"""What ``with_structured_output(..., include_raw=True)`` returns."""


@dataclass(frozen=True)
class ChainAsker:
    """Asks anything that LangChain can invoke.

    Parameters:
        model: a chat model, a text LLM, a retriever, a chain, or an agent.

    Raises:
        InvalidParameterError: it is nothing of these.
    """

    model: Runnable[Any, Any]

    def __post_init__(self) -> None:
        if not isinstance(self.model, Runnable):
            raise InvalidParameterError(
                "answers come from a chat model, a text LLM, a retriever, a chain or an agent, "
                f"not from {type(self.model).__name__}: RunnableLambda(...) makes a function a "
                "chain"
            )

    async def ask(self, question: Any) -> Answered:
        """Return the answer to one row.

        Parameters:
            question: what the model is invoked with, as it is; text for an agent becomes its
                first message. It begins a conversation, which a checkpointer keeps, if any.

        Returns:
            The text of a message; JSON of anything else but a chain's answer with its
            Documents, and an agent's state. Tokens and money are those of all calls, where
            LangChain's cache answers none; sources are those of the result, else of the last
            model that cites, else what a retriever found.

        Raises:
            Exception: whatever the model raises; the parser's error, where a chain returns it.
        """
        heard = Heard()
        config: Any = {"callbacks": [heard], "configurable": dict.fromkeys(_OWN, uuid4().hex)}
        with noting(heard):
            result = await self.model.ainvoke(self._input(question), config)
            answer, is_data = _read(result, heard)
        return Answered(
            sound(answer.text),
            plain(answer.citations or heard.citations(answer.text, is_data=is_data)),
            usage=heard.usage,
            cost=heard.cost,
            model=heard.fact("model_name", "model"),
            finish_reason=heard.fact("finish_reason", "stop_reason", "done_reason"),
        )

    async def aclose(self) -> None:
        """Close the connections of our own classes, wherever the chain lets them be seen.

        Those of others, and of models inside an agent, close with the process.
        """
        await aclose_all(self.model, _parts)

    def describe(self) -> str:
        """Return the classes that the model is built of, and the models that they name."""
        return described(self.model, _parts, Runnable)

    def _input(self, question: Any) -> Any:
        """Return what the model is invoked with; a graph takes no text."""
        if isinstance(question, str) and "messages" in _channels(self.model):
            return {"messages": [("user", question)]}
        return question


def _channels(model: Any) -> Mapping[str, Any]:
    """Return what a graph takes, also within what wraps it or comes after it; else nothing."""
    for name in ("bound", "first", "runnable"):
        if isinstance(inner := getattr(model, name, None), Runnable):
            return _channels(inner)
    channels = getattr(model, "channels", None)
    return channels if isinstance(channels, Mapping) else {}


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, RunnableLambda):
        return value.deps
    is_open = isinstance(value, Runnable) and isinstance(value, BaseModel)
    return vars(value).values() if is_open else ()


def _read(result: Any, heard: Heard) -> tuple[CitedAnswer, bool]:
    """Return what a chain has returned, and whether it is data, written as JSON."""
    if isinstance(result, str):
        return CitedAnswer(result), False
    if isinstance(result, BaseMessage):
        return cited(result), False
    if isinstance(result, Mapping):
        return _of_mapping(result)
    if isinstance(result, list) and _holds(result, Document) and (result or heard.searched):
        return cited(result), False
    if isinstance(result, list) and result and _holds(result, BaseMessage):
        return cited({"messages": result}), False
    return CitedAnswer(as_json(result)), True


def _of_mapping(result: Mapping[str, Any]) -> tuple[CitedAnswer, bool]:
    if result.keys() == _RAW:
        if result["parsing_error"] is not None:
            raise result["parsing_error"]
        return _data(result["parsed"], cited(result["raw"])), True
    messages = result.get("messages")
    if isinstance(messages, list) and messages and _holds(messages, BaseMessage):
        state, found = cited(result), result.get("structured_response")
        return (state, False) if found is None else (_data(found, state), True)
    for said, found in OF_CHAINS:
        # Data may have fields of these names, too.
        listed = isinstance(result.get(found), list) and _holds(result[found], Document)
        if said in result and (listed or isinstance(result[said], BaseMessage)):
            return cited({name: result[name] for name in (said, found) if name in result}), False
    return CitedAnswer(as_json(result)), True


def _data(found: Any, said: CitedAnswer) -> CitedAnswer:
    return CitedAnswer(as_json(found), unplaced(said.citations))


def _holds(values: Iterable[Any], kind: type[Any]) -> bool:
    return all(isinstance(value, kind) for value in values)
