"""Which functions of the client the agent would call, and with what."""

import uuid

from qaip_sandbox._wire import Json
from qaip_sandbox.protocols._functions import Unusable, arguments, wanted

from .request import Request
from .tools import FunctionTool, Named
from .words import unusable

__all__ = ["calls", "new_id"]


def calls(request: Request, question: str) -> list[Json]:
    """Return the items that call functions for `question`, none for an answer in words.

    Raises:
        Refusal: no arguments conform to the parameters of a function.
    """
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, Named)
    several = request.parallel_tool_calls is not False
    chosen = wanted(request.functions, question, forced=forced, several=several)
    try:
        made = list(arguments(chosen, question))
    except Unusable:
        raise unusable() from None
    return [_item(function, text) for function, text in zip(chosen, made, strict=True)]


def new_id(prefix: str) -> str:
    """Return an id for a call."""
    return f"{prefix}_{uuid.uuid4().hex[:24]}"


def _item(function: FunctionTool, arguments: str) -> Json:
    return {
        "type": "function_call",
        "id": new_id("fc"),
        "call_id": new_id("call"),
        "name": function.name,
        "arguments": arguments,
        "status": "completed",
    }
