"""What is asked, and how an answer is read: piece by piece, keeping none."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, closing, contextmanager
from copy import copy
from typing import Any

from support.fault_server import json_reply
from support.faults.speech import Speech
from support.faults.subjects import CORE, LANGCHAIN, LLAMA_INDEX, Subject
from support.speed.canned import Canned, wire

__all__ = [
    "STREAMED",
    "WHOLE",
    "Asked",
    "answered",
    "asked",
    "changing",
    "long_citing",
    "streamed",
]

_ALL = [*CORE, *LANGCHAIN, *LLAMA_INDEX]
STREAMED: Sequence[Subject] = [s for s in _ALL if s.streams]
"""Every way of asking that shows pieces."""

WHOLE: Sequence[Subject] = [s for s in _ALL if not s.streams]
"""Every way of asking that returns one answer."""


def streamed(speech: Speech, count: int, text: str = " word") -> bytes:
    """A complete answer of so many pieces, each an event and an HTTP chunk of its own."""
    return wire(speech.stream(*speech.said(*[text] * count)))


def answered(subject: Subject, text: str = "some words") -> bytes:
    """A complete answer to a question that is not streamed."""
    speech = subject.speeches[0]
    if subject.wants_stream:
        return streamed(speech, 1, text)
    return wire(json_reply(speech.body(text)))


def long_citing(speech: Speech) -> Speech:
    """The same way of writing, with 3.5 KB of sources wherever it writes any."""
    url, text = "https://tea.example/leaves/{}", "Leaves are picked, withered, rolled and dried. "
    return speech.citing(
        [
            {"id": f"s-{n}", "url": url.format(n), "title": f"Leaf {n}", "text": text * 3}
            for n in range(15)
        ]
    )


def changing(speech: Speech) -> Speech:
    """The same way of writing, but no event is like the one before in all but its text."""
    other = copy(speech)
    other.name = f"{speech.name} changing"

    def said(*texts: str) -> list[bytes]:
        frames = enumerate(speech.said(*texts), start=1760000000)
        return [frame.replace(b"1760000000", b"%d" % created) for created, frame in frames]

    other.said = said  # type: ignore[method-assign]
    return other


class Asked:
    """An object of a subject's class, over a server whose answer can be set."""

    def __init__(self, subject: Subject, made: Any, server: Canned, loop: asyncio.Runner) -> None:
        self._subject, self._made, self._server, self._loop = subject, made, server, loop

    def ask(self, answer: bytes, look: Callable[[int], Any] = lambda _: None) -> None:
        """Ask once and read all of the answer; `look` is called with the number of each piece."""
        self._server.answer = answer
        if self._subject.is_async:
            self._loop.run(self._aread(look))
        else:
            self._read(look)

    def _read(self, look: Callable[[int], Any]) -> None:
        began = self._subject.open(self._made)
        if self._subject.streams:
            with closing(self._subject.way.pieces(began)) as pieces:
                for number, _ in enumerate(pieces):
                    look(number)

    async def _aread(self, look: Callable[[int], Any]) -> None:
        began = await self._subject.aopen(self._made)
        if self._subject.streams:
            number = 0
            async with aclosing(self._subject.way.apieces(began)) as pieces:
                async for _ in pieces:
                    look(number)
                    number += 1


@contextmanager
def asked(subject: Subject, server: Canned) -> Iterator[Asked]:
    """An object that has answered once: what is made at the first call is made."""
    made = subject.make(server.url)
    with asyncio.Runner() as loop:
        asking = Asked(subject, made, server, loop)
        asking.ask(streamed(subject.speeches[0], 2) if subject.streams else answered(subject))
        yield asking
        if subject.is_async:
            loop.run(made.__aexit__(None, None, None))
        else:
            made.__exit__(None, None, None)
