"""Which tools a model would call, and with what."""

from collections.abc import Sequence

from qaip_sandbox._wire import request_id
from qaip_sandbox.protocols._functions import Unusable, arguments, wanted

from .chat import Chat, Function, Named
from .errors import invalid

__all__ = ["chosen", "new_id", "written"]


def chosen(request: Chat, question: str) -> Sequence[Function]:
    """Return the functions that the answer to `question` calls, none for an answer in words."""
    offers = [tool.function for tool in request.tools or []]
    choice = request.tool_choice or "auto"
    if isinstance(choice, Named):
        return [offer for offer in offers if offer.name == choice.function.name][:1]
    if choice == "none" or (choice == "auto" and request.messages[-1].role != "user"):
        return []
    several = bool(request.parallel_tool_calls)
    return wanted(offers, question, forced=choice != "auto", several=several)


def written(functions: Sequence[Function], question: str) -> list[str]:
    """Return the arguments of the calls as JSON, with values from `question`.

    Raises:
        Flaw: no arguments conform to the parameters of a function.
    """
    try:
        return list(arguments(functions, question))
    except Unusable as fault:
        told = f"JSON Schema not supported: {fault.why}, field: 'tools', value: {fault.name!r}"
        raise invalid(told) from None


def new_id() -> str:
    """Return an id for a call."""
    return f"call_{request_id().replace('-', '')[:24]}"
