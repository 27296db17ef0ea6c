"""A terminal, as far as tests need one: what a person sees in the end, scrolled lines included."""

import os
import re
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

__all__ = ["Terminal", "in_terminal"]

_CODES = re.compile(
    r"\x1b\[([?\d;]*)([A-Za-z])|\x1b\]8;[^;]*;(.*?)\x1b\\|\r\n|[\r\n]|[^\x1b\r\n]+|\x1b"
)


class Terminal:
    """Reads what a program writes.

    Attributes:
        lines: the screen, and what has scrolled out of it.
        links: addresses that were linked to.
        cursor: whether it is shown.
        unknown: codes that no program of ours should write.
    """

    def __init__(self, height: int) -> None:
        self.height = height
        self.lines = [""]
        self.links: list[str] = []
        self.unknown: list[str] = []
        self.cursor = True
        self._row = self._column = 0

    def feed(self, written: str) -> None:
        for code in _CODES.finditer(written):
            if code[0] in ("\n", "\r\n"):
                self._move(self._row + 1)
                self._column = 0
            elif code[0] == "\r":
                self._column = 0
            elif code[2]:
                self._control(code[1], code[2])
            elif code[3] is not None:
                self.links.extend([code[3]] if code[3] else [])
            elif code[0] == "\x1b":
                self.unknown.append(written[code.start() : code.start() + 8])
            else:
                line = self.lines[self._row].ljust(self._column)
                end = self._column + len(code[0])
                self.lines[self._row] = line[: self._column] + code[0] + line[end:]
                self._column = end

    def _control(self, numbers: str, name: str) -> None:
        if name == "A":  # a cursor stops at the screen's upper edge
            top = max(0, len(self.lines) - self.height)
            self._row = max(top, self._row - int(numbers or 1))
        elif name == "K" and numbers == "2":
            self.lines[self._row] = ""
        elif numbers == "?25":
            self.cursor = name == "h"
        elif name != "m":
            self.unknown.append(f"{numbers}{name}")

    def _move(self, row: int) -> None:
        while row >= len(self.lines):
            self.lines.append("")
        self._row = row

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).strip()


@contextmanager
def in_terminal(
    monkeypatch: pytest.MonkeyPatch, *, width: int = 60, height: int = 12
) -> Iterator[Callable[[], Terminal]]:
    """Let standard output be a terminal; what is yielded returns it as it is now."""
    ours, theirs = os.openpty()
    seen = Terminal(height)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", str(height))
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    def look() -> Terminal:
        got = b""
        while select.select([ours], [], [], 0)[0]:
            got += os.read(ours, 1 << 16)
        seen.feed(got.decode())
        return seen

    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as file, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", file)
            yield look
    finally:
        os.close(ours)
