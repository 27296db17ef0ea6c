"""Cases that mostly wait, run side by side, and places that keep a client waiting."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from support.fault_server import FaultServer, Recorded, Reply, json_reply
from support.faults.matrix import KIN, Row
from support.faults.speech import Speech
from support.faults.subjects import Outcome, Subject

__all__ = ["Place", "Waited", "deaf", "few", "mute", "side_by_side", "speaking"]


class Served(Protocol):
    """Where a service is, and what it was asked."""

    requests: list[Recorded]

    @property
    def url(self) -> str: ...


Place = Callable[[Row, Speech], AbstractContextManager[Served]]


@dataclass
class _Nowhere:
    url: str
    requests: list[Recorded] = field(default_factory=list)


@contextmanager
def speaking(row: Row, speech: Speech) -> Iterator[Served]:
    """A server that sends what a row says, and answers those who then tell it to stop."""
    replies = row.replies(speech)
    assert replies is not None
    given = [replies] if isinstance(replies, Reply) else [*replies]
    given += given[-1:] * (row.requests - len(given))
    with FaultServer() as server:
        server.replies(*given, json_reply({"result": "success"}))
        yield server


@contextmanager
def deaf(_row: Row, _speech: Speech) -> Iterator[Served]:
    """An address where connections are not even accepted: the queue of those that wait is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        before = [socket.socket() for _ in range(4)]
        for waiting in before:
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield _Nowhere(f"http://127.0.0.1:{listener.getsockname()[1]}")
        for waiting in before:
            waiting.close()


def mute(scheme: str) -> Place:
    """An address where connections are accepted, and nothing is read or said."""

    @contextmanager
    def listening(_row: Row, _speech: Speech) -> Iterator[Served]:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            yield _Nowhere(f"{scheme}://127.0.0.1:{listener.getsockname()[1]}")

    return listening


@dataclass(frozen=True)
class Waited:
    """What came of one case.

    seconds: from the question to the outcome.
    requests: when those came that ask for an answer, in the time of `time.monotonic`.
    """

    subject: Subject
    speech: Speech
    outcome: Outcome
    seconds: float
    requests: Sequence[float]


async def side_by_side(
    row: Row, subjects: Sequence[Subject], place: Place = speaking
) -> Sequence[Waited]:
    """Ask a row of all subjects at once, each at a place of its own."""
    cases = [(s, speech) for s in subjects for speech in s.speeches if row.replies(speech)]
    with ThreadPoolExecutor(len(cases)) as threads:
        return await asyncio.gather(*(_waited(row, *case, place, threads) for case in cases))


async def _waited(
    row: Row, subject: Subject, speech: Speech, place: Place, threads: ThreadPoolExecutor
) -> Waited:
    with place(row, speech) as server:
        ask: partial[Any] = partial(subject.ask, server.url, **row.fields)
        began = time.monotonic()
        if subject.is_async:
            outcome = await subject.aask(server.url, **row.fields)
        else:
            outcome = await asyncio.get_running_loop().run_in_executor(threads, ask)
        seconds = time.monotonic() - began
        asked = [r.at for r in server.requests if not r.path.endswith("/stop")]
    return Waited(subject, speech, outcome, seconds, asked)


def few(subjects: Sequence[Subject], place: int) -> Sequence[Subject]:
    """One way of asking each endpoint of the core, and a class of each kind, sync and async.

    Which ones changes from row to row.
    """
    kinds: dict[Any, list[Subject]] = {}
    for subject in subjects:
        own: object = subject.is_async
        if subject.layer == "core":
            endpoint = subject.service, subject.operation
            own = "kin" if endpoint in KIN else endpoint
        text = subject.layer == "langchain" and "LLM." in subject.name
        kinds.setdefault((subject.layer, own, text), []).append(subject)
    return [found[(place * 5 + turn) % len(found)] for turn, found in enumerate(kinds.values())]
