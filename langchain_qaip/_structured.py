"""Structured output: from an answer to the object in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any

import pydantic
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.output_parsers import BaseTransformOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableAssign, RunnableParallel
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.pydantic import is_basemodel_subclass

from qaip_core.structured import objects_in

__all__ = ["StructuredOutputParser", "parsed_by"]


def parsed_by(
    model: Runnable[Any, Any], parser: StructuredOutputParser, *, include_raw: bool
) -> Runnable[Any, Any]:
    """Return a chain of model and parser, which with ``include_raw`` gives its errors too."""
    if not include_raw:
        return model | parser
    # As RunnablePassthrough.assign does, whose class cannot be pickled.
    parse: Runnable[Any, Any] = RunnableAssign(
        RunnableParallel(parsed=itemgetter("raw") | parser, parsing_error=_nothing)
    )
    failed: Runnable[Any, Any] = RunnableAssign(RunnableParallel(parsed=_nothing))
    whole = RunnableParallel(raw=model)
    return whole | parse.with_fallbacks([failed], exception_key="parsing_error")


def _nothing(_given: Any) -> None:
    """Return nothing, whatever is given; a lambda could not be pickled."""


class StructuredOutputParser(BaseTransformOutputParser[Any]):
    """Reads the object that an answer holds, in its text or in the arguments of a tool call.

    An answer that was cut, that breaks the schema class, or that holds no object raises; while a
    stream runs, schemas without a class yield what the object holds so far.

    Parameters:
        schema_class: the pydantic class to return; None for a dict.
        tool: the function whose arguments are the object; None if the text is.
        required: the keys by which a dict is told from other objects in the text.

    Raises:
        OutputParserException: there is no such object in the answer.
    """

    schema_class: type[Any] | None = None
    tool: str | None = None
    required: Sequence[str] = ()

    @classmethod
    def of(
        cls, schema: Any, described: Mapping[str, Any] | None, tool: str | None = None
    ) -> StructuredOutputParser:
        """Return the parser for a schema of any kind, and what it is as JSON schema."""
        is_class = isinstance(schema, type) and is_basemodel_subclass(schema)
        required = (described or {}).get("required", ())
        return cls(schema_class=schema if is_class else None, tool=tool, required=required)

    @property
    def _type(self) -> str:
        return "qaip-structured-output"

    def parse(self, text: str) -> Any:
        """Return the object in a text: the first that fits, else the first."""
        first: dict[str, Any] | None = None
        for found in _complete_objects_in(text):
            first = found if first is None else first
            if self.schema_class is not None or found.keys() >= set(self.required):
                with suppress(OutputParserException):
                    return self._checked(found, text)
        if first is None:
            raise OutputParserException(f"the answer holds no JSON object: {text}", llm_output=text)
        return self._checked(first, text)

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:  # noqa: ARG002 -- LangChain's
        """Return the object in an answer."""
        message = getattr(result[0], "message", None)
        if message is None:
            return self.parse(result[0].text)
        try:
            if self.tool:
                return self._checked(self._arguments(message), str(message.text))
            return self.parse(str(message.text))
        except OutputParserException as error:
            if message.response_metadata.get("finish_reason") != "length":
                raise
            raise OutputParserException(
                f"the answer was cut at max_tokens: {error}", llm_output=error.llm_output
            ) from error

    def _arguments(self, message: AIMessage) -> dict[str, Any]:
        for call in message.tool_calls:
            if call["name"] == self.tool:
                return call["args"]
        for broken in message.invalid_tool_calls:
            raise OutputParserException(
                f"the arguments for {broken['name']} are no JSON object: {broken['args']}",
                llm_output=str(broken["args"]),
            )
        text = str(message.text)
        raise OutputParserException(
            f"the model did not call {self.tool} but said: {text}", llm_output=text
        )

    def _checked(self, found: dict[str, Any], whole: str) -> Any:
        cls = self.schema_class
        if cls is None:
            return found
        try:
            if issubclass(cls, pydantic.BaseModel):  # as JSON: dates of strict classes are text
                return cls.model_validate_json(json.dumps(found))
            return cls.parse_obj(found)  # pydantic.v1
        except ValueError as error:
            raise OutputParserException(
                f"the answer is no {cls.__name__}: {error}", llm_output=whole
            ) from error

    def _transform(self, input: Iterator[str | BaseMessage]) -> Iterator[Any]:  # noqa: A002 -- LangChain's
        growing = _Growing(self)
        for chunk in input:
            yield from growing.add(chunk)
        yield from growing.close()

    async def _atransform(
        self,
        input: AsyncIterator[str | BaseMessage],  # noqa: A002 -- LangChain's
    ) -> AsyncIterator[Any]:
        growing = _Growing(self)
        async for chunk in input:
            for partial in growing.add(chunk):
                yield partial
        for last in growing.close():
            yield last


class _Growing:
    """The answer of one stream, as far as it has arrived."""

    def __init__(self, parser: StructuredOutputParser) -> None:
        self._parser = parser
        self._chunks: list[AIMessageChunk] = []
        self._index: int | None = -1  # of the tool's call, once it has begun
        self._text = ""
        self._shown: Any = None

    def add(self, chunk: str | BaseMessage) -> list[Any]:
        """Return what the object holds with this chunk, if that is new and may be shown."""
        if not isinstance(chunk, AIMessageChunk):
            chunk = AIMessageChunk(content=chunk if isinstance(chunk, str) else chunk.content)
        self._chunks.append(chunk)
        more = self._arguments(chunk) if self._parser.tool else str(chunk.text)
        if self._parser.schema_class is not None or not more:
            return []
        self._text += more
        known = _partly(self._text, self._parser.required)
        if known is None or known == self._shown:
            return []
        self._shown = known
        return [known]

    def _arguments(self, chunk: AIMessageChunk) -> str:
        """Return what a chunk adds to the arguments of the tool, not to those of others."""
        for call in chunk.tool_call_chunks:
            if call["name"] == self._parser.tool:
                self._index = call["index"]
        ours = [c["args"] or "" for c in chunk.tool_call_chunks if c["index"] == self._index]
        return "".join(ours)

    def close(self) -> list[Any]:
        """Return the whole object, unless it was the last one shown."""
        if not self._chunks:
            return []
        message = add_ai_message_chunks(self._chunks[0], *self._chunks[1:])
        whole = self._parser.parse_result([ChatGeneration(message=message)])
        return [] if whole == self._shown else [whole]


def _complete_objects_in(text: str) -> Iterator[dict[str, Any]]:
    """Yield the complete JSON objects in a text.

    Raises:
        OutputParserException: the last one was cut.
    """
    for found in objects_in(text):
        if isinstance(found, str):
            raise OutputParserException(
                f"the answer holds no complete JSON object: {text}", llm_output=text
            )
        yield found


def _partly(text: str, required: Sequence[str]) -> Any:
    """Return what an unfinished JSON object holds; None if that cannot be told yet."""
    for found in objects_in(text):
        if isinstance(found, str):
            try:
                return parse_partial_json(found)
            except ValueError:
                return None
        if found.keys() >= set(required):
            return found
    return None
