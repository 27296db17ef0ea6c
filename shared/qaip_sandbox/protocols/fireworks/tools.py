"""Which tools a model would call, and with what."""

import re
from collections.abc import Sequence

from qaip_sandbox._wire import compact, request_id
from qaip_sandbox.clues import Clues, name_words
from qaip_sandbox.protocols._choosing import shared
from qaip_sandbox.protocols._messages import text_of
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.values import instance

from .chat import Chat, Named, Tool
from .errors import invalid

__all__ = ["chosen", "new_id", "results", "written"]


def chosen(request: Chat, question: str) -> list[Tool]:
    """Return the tools that the answer to `question` calls, none for an answer in words."""
    tools, choice = request.tools or [], request.tool_choice or "auto"
    if isinstance(choice, Named):
        return [tool for tool in tools if tool.function.name == choice.function.name][:1]
    if not tools or choice == "none" or (choice == "auto" and request.messages[-1].role != "user"):
        return []
    named = sorted(
        (tool for tool in tools if _place(tool, question) >= 0),
        key=lambda tool: _place(tool, question),
    )
    if len(named) > 1 and request.parallel_tool_calls:
        return named
    best = max(tools, key=lambda tool: _fitness(tool, question))
    return [best] if choice != "auto" or _fitness(best, question) > (False, 0) else []


def written(tools: Sequence[Tool], question: str) -> list[str]:
    """Return the arguments of the calls as JSON, with values from `question`.

    Raises:
        Flaw: no arguments conform to the parameters of a tool.
    """
    # The calls share the clues: what one has taken is not for the next.
    clues = Clues(question)
    return [_arguments(tool, clues) for tool in tools]


def new_id() -> str:
    """Return an id for a call."""
    return f"call_{request_id().replace('-', '')[:24]}"


def results(request: Chat) -> list[str]:
    """Return what the tools said last, if nobody has spoken since; else nothing."""
    found: list[str] = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        found.insert(0, text_of(message.model_dump()["content"]))
    return found


def _arguments(tool: Tool, clues: Clues) -> str:
    schema = tool.function.parameters or {"type": "object", "properties": {}}
    try:
        return compact(instance(schema, clues)).decode()
    except Impossible as fault:
        raise invalid(
            f"JSON Schema not supported: {fault}, field: 'tools', value: {tool.function.name!r}"
        ) from None


def _place(tool: Tool, text: str) -> int:
    name = re.escape(tool.function.name)
    found = re.search(rf"(?<![\w-]){name}(?![\w-])", text)
    return found.start() if found else -1


def _fitness(tool: Tool, question: str) -> tuple[bool, int]:
    """Say whether the question names the tool, and count the words that they share."""
    # A name begins with what is done ("search_documents"), and "Search ..." asks for it.
    verb, *others = name_words(tool.function.name) or [""]
    about = f"{' '.join(others)} {tool.function.description or ''}"
    return _place(tool, question) >= 0, shared(question, about, verb)
