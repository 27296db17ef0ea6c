"""Splits a leading ``<think>...</think>`` from the answer, incrementally."""

from __future__ import annotations

__all__ = ["ThinkSplitter"]

_OPEN, _CLOSE = "<think>", "</think>"


class ThinkSplitter:
    """Separates reasoning from text in an answer that begins with ``<think>``.

    Only a tag at the very beginning counts (white space before it is allowed), so that an
    answer which talks about the tag stays as it is. White space around the reasoning goes.
    """

    def __init__(self) -> None:
        self._held = ""
        self._step = self._before

    def feed(self, text: str) -> tuple[str, str]:
        """Take the next piece and return the reasoning and the text that it adds."""
        return self._step(text)

    def close(self) -> tuple[str, str]:
        """Return what was held back, since no more follows."""
        rest, self._held = self._held, ""
        return (rest, "") if self._step == self._inside else ("", rest)

    @property
    def passive(self) -> bool:
        """Whether all that follows is text, so that `feed` need not be called any more."""
        return self._step == self._text

    def _before(self, text: str) -> tuple[str, str]:
        self._held += text
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._held, self._step = "", self._opened
            return self._opened(start[len(_OPEN) :])
        if _OPEN.startswith(start):  # also an empty start: nothing but white space so far
            return "", ""
        self._step = self._text
        rest, self._held = self._held, ""
        return "", rest

    def _opened(self, text: str) -> tuple[str, str]:
        text = text.lstrip()
        if not text:
            return "", ""
        self._step = self._inside
        return self._inside(text)

    def _inside(self, text: str) -> tuple[str, str]:
        text = self._held + text
        reasoning, closed, rest = text.partition(_CLOSE)
        if closed:
            self._held, self._step = "", self._after
            return reasoning.rstrip(), self._after(rest)[1]
        keep = _tail(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep], ""

    def _after(self, text: str) -> tuple[str, str]:
        text = text.lstrip()
        if text:
            self._step = self._text
        return "", text

    def _text(self, text: str) -> tuple[str, str]:
        return "", text


def _tail(text: str) -> int:
    """Return how much of the end must be held: white space, and what may begin the end tag."""
    stem = len(text)
    for size in range(min(len(_CLOSE) - 1, len(text)), 0, -1):
        if _CLOSE.startswith(text[-size:]):
            stem = len(text) - size
            break
    return len(text) - len(text[:stem].rstrip())
