"""`ToolCallingLLM`: an LLM that asks for functions to be called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.base.llms.types import ToolCallBlock
from llama_index.core.llms import ChatMessage, ChatResponse, LLMMetadata
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from llama_index.core.tools import BaseTool

from llama_index_qaip._answers import is_whole
from llama_index_qaip._structured import ObjectLLM
from llama_index_qaip.errors import InvalidOutputError
from qaip_core.structured import ToolChoice, partial_object, to_tool_choice

__all__ = ["ToolCallingLLM"]


class ToolCallingLLM(ObjectLLM, FunctionCallingLLM):
    """An LLM that asks for functions to be called.

    Parameters:
        is_function_calling_model: whether the model takes tools. Where it does not, LlamaIndex
            falls back on its ReAct prompt.
        strict: whether the service shall keep the model to the schemas of its tools; not sent
            where it is None.
    """

    is_function_calling_model: bool = True
    strict: bool | None = None

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex needs to know of the model."""
        known = super().metadata
        known.is_function_calling_model = self.is_function_calling_model
        return known

    def _prepare_chat_with_tools(  # noqa: PLR0917 -- LlamaIndex's
        self,
        tools: Sequence[BaseTool],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,  # noqa: ARG002 -- LlamaIndex's
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Return the arguments by which `chat` offers tools.

        Raises:
            InvalidParameterError: ``tool_choice`` names none of the tools.
        """
        messages = list(chat_history or [])
        if user_msg is not None:
            messages.append(ChatMessage(user_msg) if isinstance(user_msg, str) else user_msg)
        if not tools:
            return {"messages": messages, **kwargs}
        strict = self.strict if strict is None else strict
        declared = [_declared(tool, strict) for tool in tools]
        choice = to_tool_choice(tool_choice, declared) or ("required" if tool_required else None)
        return {
            "messages": messages,
            "tools": declared,
            **({"tool_choice": choice} if choice else {}),
            "parallel_tool_calls": allow_parallel_tool_calls,
            **kwargs,
        }

    def _validate_chat_with_tools_response(
        self,
        response: ChatResponse,
        tools: Sequence[BaseTool],  # noqa: ARG002 -- LlamaIndex's
        allow_parallel_tool_calls: bool = False,
        **kwargs: Any,  # noqa: ARG002
    ) -> ChatResponse:
        """Drop all calls but the first where the model made several against the order."""
        calls = _calls(response)
        if allow_parallel_tool_calls or len(calls) < 2:
            return response
        dropped = {id(call) for call in calls[1:]}
        kept = [block for block in response.message.blocks if id(block) not in dropped]
        message = response.message.model_copy(update={"blocks": kept})
        return response.model_copy(update={"message": message})

    def get_tool_calls_from_response(
        self,
        response: ChatResponse,
        error_on_no_tool_call: bool = True,
        **kwargs: Any,  # noqa: ARG002 -- LlamaIndex's
    ) -> list[ToolSelection]:
        """Return the calls that the model asks for.

        While an answer streams, the arguments of a call are those that have arrived.

        Parameters:
            response: the answer, whole or growing.
            error_on_no_tool_call: whether an answer without a call is an error.

        Raises:
            InvalidOutputError: there is no call; or the arguments of one were cut, so that
                nobody knows what the model meant.
        """
        calls = _calls(response)
        if not calls and error_on_no_tool_call:
            said = response.message.content or ""
            raise InvalidOutputError(f"the model called no tool but said: {said}", body=said)
        return [_selection(call, whole=is_whole(response)) for call in calls]


def _declared(tool: BaseTool, strict: bool | None) -> dict[str, Any]:
    declared = tool.metadata.to_openai_tool(skip_length_check=True)
    if strict is not None:
        declared["function"]["strict"] = strict
    return declared


def _calls(response: ChatResponse) -> list[ToolCallBlock]:
    return [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]


def _selection(call: ToolCallBlock, *, whole: bool) -> ToolSelection:
    arguments = call.tool_kwargs
    if isinstance(arguments, str):
        if whole:
            raise InvalidOutputError(
                f"the arguments for {call.tool_name} are no JSON object: {arguments!r}; if they "
                "were cut, raise max_tokens",
                body=arguments,
            )
        arguments = partial_object(arguments)
    return ToolSelection(
        tool_id=call.tool_call_id or "", tool_name=call.tool_name, tool_kwargs=arguments
    )
