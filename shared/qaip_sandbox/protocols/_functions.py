"""Which of the functions that a client offers a model would call, and with what."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from qaip_sandbox._wire import compact
from qaip_sandbox.clues import Clues, name_words
from qaip_sandbox.schemas import Impossible
from qaip_sandbox.values import instance

from ._choosing import shared

__all__ = ["Function", "Unusable", "arguments", "wanted"]


class Function(Protocol):
    """A function as clients describe it."""

    @property
    def name(self) -> str:
        """What it is called by."""
        ...

    @property
    def description(self) -> str | None:
        """What it does, in words."""
        ...

    @property
    def parameters(self) -> dict[str, Any] | None:
        """The JSON Schema of its arguments, None for no arguments."""
        ...


class Unusable(ValueError):  # noqa: N818 - it tells of a function, and is always caught
    """A function whose parameters no arguments conform to.

    Args:
        name: The function's name.
        why: What is wrong with its schema.
    """

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


_Offer = TypeVar("_Offer", bound=Function)


def wanted(
    offers: Sequence[_Offer], question: str, *, forced: bool, several: bool
) -> Sequence[_Offer]:
    """Return the functions that an answer to `question` calls, none for an answer in words.

    Args:
        offers: What can be called.
        question: What is asked.
        forced: Whether one must be called, even if none fits.
        several: Whether all that the question names are called, in its order.
    """
    if not offers:
        return []
    named = sorted(
        (offer for offer in offers if _place(offer, question) >= 0),
        key=lambda offer: _place(offer, question),
    )
    if several and len(named) > 1:
        return named
    best = max(offers, key=lambda offer: _fitness(offer, question))
    return [best] if forced or _fitness(best, question) > (False, 0) else []


def arguments(chosen: Sequence[Function], question: str) -> Iterator[str]:
    """Yield the arguments of each call as JSON, with values from `question`.

    Raises:
        Unusable: no arguments conform to the parameters of a function.
    """
    # The calls share the clues: what one has taken is not for the next.
    clues = Clues(question)
    for function in chosen:
        try:
            schema = function.parameters or {"type": "object", "properties": {}}
            yield compact(instance(_spoken_of(schema, question), clues)).decode()
        except Impossible as fault:
            raise Unusable(function.name, str(fault)) from None


def _spoken_of(schema: dict[str, Any], question: str) -> dict[str, Any]:
    """Return a schema of arguments without the optional ones that the question does not name.

    A model leaves out what it was told nothing about, such as the filters of a search.
    """
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return schema
    kept = {
        name: about
        for name, about in properties.items()
        if name in schema.get("required", []) or " ".join(name_words(name)) in question.lower()
    }
    return {**schema, "properties": kept or dict(list(properties.items())[:1])}


def _place(function: Function, text: str) -> int:
    found = re.search(rf"(?<![\w-]){re.escape(function.name)}(?![\w-])", text)
    return found.start() if found else -1


def _fitness(function: Function, question: str) -> tuple[bool, int]:
    """Say whether the question names the function, and count the words that they share."""
    # A name begins with what is done ("search_documents"), and "Search ..." asks for it.
    verb, *others = name_words(function.name) or [""]
    about = f"{' '.join(others)} {function.description or ''}"
    return _place(function, question) >= 0, shared(question, about, verb)
