"""What some chat models have beside the others; they stand before `ChatModel` among the bases.

They are no pydantic classes: each of those would add to the time that the import takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from langchain_qaip._messages import to_turns

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

    from langchain_qaip._chat import ChatModel as Base
    from langchain_qaip.retrievers import CitationRetriever
    from qaip_core import Message
else:
    Base = object

__all__ = ["Citing", "OfASite"]


class Citing(Base):
    """A chat model whose service answers with sources."""

    def as_retriever(self, *, k: int | None = None, **kwargs: Any) -> CitationRetriever:
        """Return a retriever of the sources of this model's answers.

        Parameters:
            k: how many sources to return at most, at least 1; None for all.
            kwargs: those of LangChain's retrievers, such as ``tags``.
        """
        from langchain_qaip.retrievers import CitationRetriever

        return CitationRetriever(model=self, k=k, **kwargs)


class OfASite(Base):
    """A chat model of a site whose release decides on what it enforces."""

    def _asked(
        self, messages: Sequence[BaseMessage], values: dict[str, Any]
    ) -> tuple[list[Message], dict[str, Any]]:
        """Send a format that was set on the object; ask for those of calls in words."""
        own = vars(self)["response_format"]
        if own is None or values.get("response_format") is not own:
            return super()._asked(messages, values)
        return to_turns(messages), values
