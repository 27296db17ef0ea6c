"""Stop sequences on the client's side, for services that have none on the wire."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["StopCutter"]


class StopCutter:
    """Cuts a growing text before the first stop sequence; holds back what may become one.

    Parameters:
        stops: the sequences; empty ones are ignored.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(s for s in stops if s)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """Take the next piece of text and return what may be shown of it by now."""
        if self.stopped:
            return ""
        text = self._held + text
        ends = [(at + len(s), at) for s in self._stops if (at := text.find(s)) >= 0]
        if ends:  # the first to be complete, as for an engine: so cuts change nothing
            self.stopped, self._held = True, ""
            return text[: min(ends)[1]]
        keep = self._overlap(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def close(self) -> str:
        """Return what was held back, since no more text follows."""
        rest, self._held = self._held, ""
        return rest

    def _overlap(self, text: str) -> int:
        """Return how many of the last characters may be the beginning of a stop sequence."""
        for size in range(min(self._longest - 1, len(text)), 0, -1):
            if any(s.startswith(text[-size:]) for s in self._stops):
                return size
        return 0
