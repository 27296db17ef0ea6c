"""Which functions of the client the agent would call, and with what."""

import re
import uuid
from collections.abc import Sequence

from qaip_sandbox._wire import Json, compact
from qaip_sandbox.clues import Clues, name_words
from qaip_sandbox.protocols._choosing import shared
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.values import instance

from .request import Request
from .tools import FunctionTool, Named
from .words import unusable

__all__ = ["calls", "new_id"]


def calls(request: Request, question: str) -> list[Json]:
    """Return the items that call functions for `question`, none for an answer in words.

    Raises:
        Refusal: no arguments conform to the parameters of a function.
    """
    # The calls share the clues: what one has taken is not for the next.
    clues = Clues(question)
    return [_item(function, _arguments(function, clues)) for function in _chosen(request, question)]


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


def _chosen(request: Request, question: str) -> Sequence[FunctionTool]:
    functions = request.functions
    forced = request.tool_choice == "required" or isinstance(request.tool_choice, Named)
    if not functions:
        return []
    named = sorted(
        (f for f in functions if _place(f, question) >= 0), key=lambda f: _place(f, question)
    )
    if len(named) > 1 and request.parallel_tool_calls is not False:
        return named
    best = max(functions, key=lambda f: _fitness(f, question))
    return [best] if forced or _fitness(best, question) > (False, 0) else []


def _arguments(function: FunctionTool, clues: Clues) -> str:
    try:
        schema = function.parameters or {"type": "object", "properties": {}}
        return compact(instance(schema, clues)).decode()
    except Impossible:
        raise unusable() from None


def _place(function: FunctionTool, text: str) -> int:
    found = re.search(rf"(?<![\w-]){re.escape(function.name)}(?![\w-])", text)
    return found.start() if found else -1


def _fitness(function: FunctionTool, question: str) -> tuple[bool, int]:
    """Say whether the question names the function, and count the words that they share."""
    # A name begins with what is done ("search_documents"), and "Search ..." asks for it.
    verb, *others = name_words(function.name) or [""]
    about = f"{' '.join(others)} {function.description or ''}"
    return _place(function, question) >= 0, shared(question, about, verb)
