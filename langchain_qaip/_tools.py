"""Tools as services take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from qaip_core.errors import InvalidParameterError

__all__ = ["Tool", "ToolChoice", "to_tool_choice", "to_tools"]

Tool: TypeAlias = dict[str, Any] | type | Callable[..., Any] | BaseTool
ToolChoice: TypeAlias = str | bool | dict[str, Any] | None

_ANY = ("any", "required", True)
_PLAIN = {"auto": "auto", "none": "none", False: "none"}


def to_tools(tools: Sequence[Tool], strict: bool | None) -> list[dict[str, Any]]:
    """Return tools of any kind that LangChain knows as function declarations.

    Raises:
        InvalidParameterError: one is none.
    """
    return [_declared(tool, strict) for tool in tools]


def _declared(tool: Tool, strict: bool | None) -> dict[str, Any]:
    try:
        return convert_to_openai_tool(tool, strict=strict)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"no tool: {tool!r:.200}; pass a function, a LangChain tool, a pydantic class, a "
            "TypedDict or an OpenAI function"
        ) from error


def to_tool_choice(choice: ToolChoice, tools: Sequence[dict[str, Any]]) -> Any:
    """Return LangChain's ways to write a choice as the service's.

    Raises:
        InvalidParameterError: it names none of the tools.
    """
    if choice is None or isinstance(choice, dict):
        return choice
    if not isinstance(choice, str | bool):
        raise InvalidParameterError(f"tool_choice is a name or a switch, not {choice!r}")
    if choice in _ANY:
        return "required"
    if choice in _PLAIN:
        return _PLAIN[choice]
    names = [tool.get("function", {}).get("name") for tool in tools]
    if choice not in names:
        raise InvalidParameterError(
            f"tool_choice={choice!r} names none of the tools {', '.join(map(repr, names))}; "
            'it may also be "auto", "none" or "any"'
        )
    return {"type": "function", "function": {"name": choice}}
