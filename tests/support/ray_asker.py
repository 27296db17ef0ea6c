"""Models for workers of Ray, and what a test may do to these workers."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qaip_core.bulk.record import Answered

__all__ = ["Ending", "Strange", "Unreadable", "end_worker", "workers"]


@dataclass
class Unreadable:
    """A model that cannot be made where it is to be used."""

    name: str = "model"

    async def ask(self, question: Any) -> Answered:
        raise NotImplementedError

    async def aclose(self) -> None: ...

    def describe(self) -> str:
        return self.name

    def __reduce__(self) -> Any:
        return _import, ("a_package_that_nobody_has",)


def _import(name: str) -> Any:
    return __import__(name)


@dataclass
class Ending(Unreadable):
    """A model that ends each process in which it is made."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


@dataclass
class Strange(Unreadable):
    """A model whose answers are repeated questions."""

    async def ask(self, question: Any) -> Answered:
        return Answered(f"{question!r}", usage={"total_tokens": 1})

    def __reduce__(self) -> Any:
        return Strange, ()


def workers() -> list[int]:
    """Return the processes that ask, of the clusters that this process has started."""
    parents: dict[int, int] = {}
    named: list[int] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat, words = (folder / "stat").read_text(), (folder / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        parents[int(folder.name)] = int(stat.rpartition(")")[2].split()[1])
        if words.startswith(b"ray::") and b"Asking" in words:
            named.append(int(folder.name))
    return [worker for worker in named if _is_ours(worker, parents)]


def _is_ours(process: int, parents: dict[int, int]) -> bool:
    while process := parents.get(process, 0):
        if process == os.getpid():
            return True
    return False


def end_worker() -> None:
    """End one of them as the system does that lacks memory."""
    os.kill(workers()[0], signal.SIGKILL)
