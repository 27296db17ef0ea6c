"""Tools as services take them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.utils.function_calling import convert_to_openai_tool

from qaip_core.errors import InvalidParameterError

if TYPE_CHECKING:  # as LangChain's own models do: few callers have tools
    from langchain_core.tools import BaseTool

__all__ = ["Tool", "to_tools"]

Tool: TypeAlias = "dict[str, Any] | type | Callable[..., Any] | BaseTool"


def to_tools(
    tools: Sequence[Tool], strict: bool | None, served: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return tools of any kind that LangChain knows as function declarations.

    Parameters:
        tools: what is to be declared.
        strict: whether arguments must conform to the declared schema.
        served: the kinds of tools that the service itself runs: these are left as they are.

    Raises:
        InvalidParameterError: one is none.
    """
    return [_declared(tool, strict, served) for tool in tools]


def _declared(tool: Tool, strict: bool | None, served: Collection[str]) -> dict[str, Any]:
    if isinstance(tool, dict) and str(tool.get("type")) in served:
        return tool
    if isinstance(tool, dict) and tool.get("type") == "function" and "function" not in tool:
        # the form of Responses APIs, which LangChain leaves as it is
        tool = {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
    try:
        return convert_to_openai_tool(tool, strict=strict)
    except (TypeError, ValueError) as error:
        raise InvalidParameterError(
            f"no tool: {tool!r:.200}; pass a function, a LangChain tool, a pydantic class, a "
            "TypedDict or an OpenAI function"
        ) from error
