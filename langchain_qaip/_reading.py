"""Adds up the streams of LangChain's models, chains and agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage

from langchain_qaip.errors import InvalidParameterError
from qaip_core.rendering import CitedAnswer, showing

__all__ = ["OF_CHAINS", "Reading", "text_of"]

OF_CHAINS = (("answer", "context"), ("result", "source_documents"))
"""What chains call an answer, and the Documents that it rests on."""


def text_of(said: Any) -> str:
    """Return the text of a message, or of what is text already."""
    return str(said.text) if isinstance(said, BaseMessage) else str(said)


class Reading:
    """The pieces of a stream: chunks, texts, dicts of a chain, or an agent's messages.

    Parameters:
        cited: returns what was read as a cited answer.
    """

    def __init__(self, cited: Callable[[Any], CitedAnswer]) -> None:
        self._cited = cited
        self._pieces: list[Any] = []
        # Of an agent: its messages, piece by piece, all they say, and where the last one begins.
        self._steps: list[list[BaseMessage]] = []
        self._texts: list[str] = []
        self._length = 0
        self._begin = 0

    def add(self, piece: Any) -> str:
        """Take the next piece, and return the text that it adds."""
        if isinstance(piece, tuple) and len(piece) == 2 and isinstance(piece[0], BaseMessage):
            return self._step(*piece)
        said = _said(piece)
        self._pieces.append(piece)
        taken_back = getattr(said, "additional_kwargs", {}).get("replacements")
        return showing.Replaced(taken_back[-1]) if taken_back else text_of(said)

    def _step(self, message: Any, about: Any) -> str:
        """Take a piece of ``stream_mode="messages"``, without what a tool's own model says."""
        inside = isinstance(about, Mapping) and about.get("langgraph_node") == "tools"
        if not isinstance(message, AIMessage | ToolMessage):
            return ""
        if inside and not isinstance(message, ToolMessage):
            return ""
        text = text_of(message) if isinstance(message, AIMessage) else ""
        if not self._steps or self._steps[-1][0].id != message.id:
            self._steps.append([])
            self._begin = -1
        apart = "\n\n" if text and self._begin < 0 and self._length else ""
        if text and self._begin < 0:
            self._begin = self._length + len(apart)
        self._steps[-1].append(message)
        self._texts.append(apart + text)
        self._length += len(self._texts[-1])
        return self._texts[-1]

    def whole(self) -> Any:
        """Return what the pieces add up to; an agent's as its state."""
        if self._steps:
            return {"messages": [_sum(step) for step in self._steps]}
        return _sum(self._pieces) if self._pieces else None

    def cited(self) -> CitedAnswer:
        """Return what was read, to be shown."""
        whole = self.whole()
        if whole is None or isinstance(whole, str):
            return CitedAnswer(whole or "")
        answer = self._cited(whole)
        if not self._steps or self._begin < 0:
            return answer
        return CitedAnswer("".join(self._texts), [_moved(c, self._begin) for c in answer.citations])


def _said(piece: Any) -> Any:
    """Return the part of a piece that is text of the answer.

    Raises:
        InvalidParameterError: it is no piece of an answer.
    """
    if isinstance(piece, str | BaseMessage):
        return piece
    if isinstance(piece, Mapping) and not any(map(_is_update, piece.values())):
        return next((piece[name] for name, _ in OF_CHAINS if name in piece), "")
    raise InvalidParameterError(  # an agent's other streams would show nothing, or all at the end
        "show() takes streams of messages, of texts, of a chain's dicts, or of an agent with "
        f'stream_mode="messages", not of {type(piece).__name__}'
    )


def _is_update(value: Any) -> bool:
    """Tell what a node of an agent has done, as its stream has it by default."""
    return isinstance(value, Mapping) and "messages" in value


def _sum(pieces: Sequence[Any]) -> Any:
    """Return what pieces of one kind add up to, at a cost linear in their number."""
    first, *others = pieces
    if isinstance(first, str):
        return "".join(pieces)
    if isinstance(first, AIMessageChunk):
        return first.__add__(others) if others else first
    if isinstance(first, Mapping):
        parts: dict[str, list[Any]] = {}
        for piece in pieces:
            for name, part in piece.items():
                parts.setdefault(name, []).append(part)
        return {name: _sum(values) for name, values in parts.items()}
    return pieces[-1]


def _moved(citation: Mapping[str, Any], by: int) -> dict[str, Any]:
    spans = [[place + by for place in span] for span in citation.get("spans") or ()]
    return {**citation, "spans": spans}
