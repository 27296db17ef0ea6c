"""The chat model that all services share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForLLMRun,
    CallbackManagerForLLMRun,
)
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field

from langchain_qaip._chunks import ChatChunks
from langchain_qaip._events import Event, Events
from langchain_qaip._messages import to_message, to_turns
from langchain_qaip._model import Model, combined, in_order, llm_output, sighted
from langchain_qaip._profiles import profile
from langchain_qaip._schemas import Method, instructions, to_json_schema, to_response_format
from langchain_qaip._structured import StructuredOutputParser, parsed_by
from langchain_qaip._tools import Tool, to_tools
from langchain_qaip.errors import as_langchain
from qaip_core import Completion, Message
from qaip_core.errors import InvalidParameterError
from qaip_core.structured import ToolChoice, to_tool_choice

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

__all__ = ["ChatModel"]


class ChatModel(Model, BaseChatModel):
    """A chat model of one service; see its subclasses."""

    served: ClassVar[frozenset[str]] = frozenset()
    """The kinds of tools that the service itself runs."""

    streaming: bool = Field(default=False)

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        """Return the module that a class is loaded from; ours may move within theirs."""
        path = super().get_lc_namespace()
        return path[:2] if path[0] == "langchain_qaip" else path

    def _resolve_model_profile(self) -> Any:
        return profile(self.endpoint, self.model)

    @sighted
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with as_langchain():
            turns, values = self._asked(messages, self._call(stop, kwargs))
            answer = self.client.complete(self.endpoint, turns, values)
            return self._result(answer, values)

    @sighted
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 -- LangChain's
        **kwargs: Any,
    ) -> ChatResult:
        with as_langchain():
            turns, values = self._asked(messages, self._call(stop, kwargs))
            answer = await self.async_client.complete(self.endpoint, turns, values)
            return self._result(answer, values)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with as_langchain():
            turns, values = self._asked(messages, self._streamed(stop, kwargs))
            chunks = ChatChunks(self.provider, self._namer(values))
            stream = self.client.pieces(self.endpoint, turns, values)
            with closing(stream) as pieces:
                for piece in pieces:
                    for chunk in chunks.of(piece):
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
            turns, values = self._asked(messages, self._streamed(stop, kwargs))
            chunks = ChatChunks(self.provider, self._namer(values))
            stream = self.async_client.pieces(self.endpoint, turns, values)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    for chunk in chunks.of(piece):
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        *,
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[Event]:
        """Yield v3 events; LangChain finds this method by its name."""
        with as_langchain():
            turns, values = self._asked(messages, self._streamed(stop, kwargs))
            events = Events(self.provider, self._namer(values))
            last: list[Event] = []
            with closing(self.client.pieces(self.endpoint, turns, values)) as pieces:
                for piece in pieces:
                    if run_manager and (text := events.shown(piece)):
                        run_manager.on_llm_new_token(text)
                    if not isinstance(piece, str) and piece.last:
                        last = events.of(piece)
                    else:
                        yield from events.of(piece)
            yield from last  # now that the connection is free: nobody asks for more after these

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        *,
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Event]:
        """Yield v3 events; LangChain finds this method by its name."""
        with as_langchain():
            turns, values = self._asked(messages, self._streamed(stop, kwargs))
            events = Events(self.provider, self._namer(values))
            last: list[Event] = []
            stream = self.async_client.pieces(self.endpoint, turns, values)
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    if run_manager and (text := events.shown(piece)):
                        await run_manager.on_llm_new_token(text)
                    if not isinstance(piece, str) and piece.last:
                        last = events.of(piece)
                        continue
                    for event in events.of(piece):
                        yield event
            for event in last:
                yield event

    def _namer(self, values: Mapping[str, Any]) -> Callable[[Completion], str]:
        return partial(self.name_of, values=values)

    def _asked(
        self, messages: Sequence[BaseMessage], values: dict[str, Any]
    ) -> tuple[list[Message], dict[str, Any]]:
        """Return turns and parameters; a format that the service lacks is asked for in words."""
        turns = to_turns(messages)
        if "response_format" not in values:
            return turns, values
        wanted = to_response_format(values.pop("response_format"))
        if wanted["type"] in self.endpoint.formats:
            return turns, {**values, "response_format": wanted}
        return [*instructions(wanted, self.endpoint.backend.title), *turns], values

    def bind_tools(
        self,
        tools: Sequence[Tool],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        parallel_tool_calls: bool | None = None,
        response_format: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools, and a format for its final answer.

        Parameters:
            tools: functions, pydantic classes, TypedDicts, LangChain tools or declarations. Only
                Fireworks and Perplexity's agent take any; the agent also takes the service's own
                tools, such as {"type": "web_search"}. With the others the list must be empty.
            tool_choice: "auto", "none", "any", or the name of the tool to call.
            strict: whether arguments must conform to the declared schema.
            parallel_tool_calls: whether several calls may come at once.
            response_format: a schema, or the service's own form of one.
            kwargs: further parameters of each call.

        Raises:
            InvalidParameterError: the service takes no tools, or ``tool_choice`` names none.
        """
        with as_langchain():
            bound = {**kwargs, "parallel_tool_calls": parallel_tool_calls}
            if tools:
                self._refuse_tools()
                bound["tools"] = declared = to_tools(tools, strict, self.served)
                bound["tool_choice"] = self._chosen(tool_choice, declared)
            if response_format is not None:
                bound["response_format"] = to_response_format(response_format, strict)
            return self.bind(**{k: v for k, v in bound.items() if v is not None})

    def _chosen(self, choice: ToolChoice, tools: Sequence[Mapping[str, Any]]) -> Any:
        if isinstance(choice, str) and choice in self.served:
            return {"type": choice}
        return to_tool_choice(choice, [tool for tool in tools if "function" in tool])

    def _refuse_tools(self) -> None:
        if not self.endpoint.takes("tools"):
            cited = (
                " To let an agent ask it, give such a model chat.as_retriever() as a tool."
                if self.endpoint.cites
                else ""
            )
            raise InvalidParameterError(
                f"{self.endpoint.backend.title} takes no tools; ChatFireworks and "
                f"ChatPerplexityAgent do.{cited} "
                "For structured answers use with_structured_output(), or in create_agent "
                "response_format=ProviderStrategy(...)."
            )

    def with_structured_output(
        self,
        schema: Any = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose answers are objects of a schema.

        Parameters:
            schema: a pydantic class (v2 or v1), a TypedDict, a JSON schema or an OpenAI function;
                None only with "json_mode".
            method: "json_schema", "function_calling" or "json_mode". Fireworks has all three;
                Perplexity enforces a JSON schema whatever is asked for; the others are asked in
                words, by a system message with the schema.
            include_raw: whether to return ``{"raw", "parsed", "parsing_error"}``.
            strict: whether the service must hold to the schema, where it can.
            kwargs: further parameters of each call.

        Returns:
            A runnable that gives objects of a pydantic class, or dicts.

        Raises:
            InvalidParameterError: the schema is none, or the method unknown.
            OutputParserException: (from the runnable) the answer holds no such object, or was
                cut.
        """
        with as_langchain():
            wanted = self._wanted(schema, method, strict)
            described = None if schema is None else to_json_schema(schema)
            if clash := wanted.keys() & kwargs.keys():
                raise InvalidParameterError(
                    f"{', '.join(sorted(clash))}: with_structured_output() sets this itself"
                )
        marked = {"kwargs": {"method": method}, "schema": described}
        model = self.bind(**wanted, ls_structured_output_format=marked, **kwargs)
        tool = wanted.get("tool_choice", {}).get("function", {}).get("name")
        parser = StructuredOutputParser.of(schema, described, tool)
        return parsed_by(model, parser, include_raw=include_raw)

    def _wanted(self, schema: Any, method: Method, strict: bool | None) -> dict[str, Any]:
        """Return the parameters that ask for a schema, as well as the service can be asked."""
        if method not in ("json_schema", "function_calling", "json_mode"):
            raise InvalidParameterError(
                f'method={method!r} is not "json_schema", "function_calling" or "json_mode"'
            )
        if method == "json_mode" and (schema is None or "json_object" in self.endpoint.formats):
            given = {} if schema is None else {"schema": to_json_schema(schema)}
            return {"response_format": {"type": "json_object", **given}}
        if schema is None:
            raise InvalidParameterError(f'method="{method}" needs a schema')
        wanted = to_response_format(schema, strict)
        if method != "function_calling" or not self.endpoint.takes("tools"):
            return {"response_format": wanted}
        named = {**wanted["json_schema"]["schema"], "title": wanted["json_schema"]["name"]}
        tools = to_tools([named], strict)
        return {"tools": tools, "tool_choice": to_tool_choice(named["title"], tools)}

    def _result(self, answer: Completion, values: Mapping[str, Any]) -> ChatResult:
        name = self.name_of(answer, values)
        generations = []
        for choice in in_order(answer):
            message = to_message(answer, choice, self.provider, name)
            info = {"logprobs": choice.logprobs} if choice.logprobs is not None else None
            generations.append(ChatGeneration(message=message, generation_info=info))
        return ChatResult(generations=generations, llm_output=llm_output(answer, name))

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return combined(llm_outputs)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self._ls_params("chat", stop, kwargs)

    @property
    def _llm_type(self) -> str:
        return f"{self.provider}-chat"

    def get_num_tokens_from_messages(
        self,
        messages: list[BaseMessage],
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool] | None = None,
    ) -> int:
        """Return an estimate (4 characters a token), tools included."""
        known: Any = list(tools) if tools else None
        return count_tokens_approximately(messages, tools=known)
