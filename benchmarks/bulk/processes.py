"""What a program and the processes that it starts take: memory at most, and CPU, by their part."""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from pathlib import Path

__all__ = ["Taken", "part", "processes", "workers"]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PARTS = (("DeskActor", "desk"), ("Asking", "workers"))


def processes(root: int) -> dict[int, str]:
    """Return a process and those that it has started, with their names."""
    parents: dict[int, int] = {}
    names: dict[int, str] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            name = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        parents[int(folder.name)], names[int(folder.name)] = int(stat[1]), name
    return {pid: names[pid] for pid in parents if _is_of(pid, root, parents)}


def workers(root: int) -> list[int]:
    """Return the processes that ask, of a program's cluster."""
    found = processes(root).items()
    return [pid for pid, name in found if part(name) == "workers"]


def _is_of(pid: int, root: int, parents: dict[int, int]) -> bool:
    while pid != root and pid:
        pid = parents.get(pid, 0)
    return pid == root


class Taken(threading.Thread):
    """Watches a program until it ends.

    Parameters:
        root: its process.

    Attributes:
        peaks: MiB in memory at most, of the largest process of each part.
        cpu: seconds of CPU, by parts.
    """

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = defaultdict(float)
        self._cpu: dict[int, tuple[str, float]] = {}
        self._root = root
        self.start()

    @property
    def cpu(self) -> dict[str, float]:
        """Seconds of CPU, by parts."""
        total: dict[str, float] = defaultdict(float)
        for which, seconds in self._cpu.values():
            total[which] += seconds
        return dict(total)

    def run(self) -> None:
        """Look four times a second."""
        while found := processes(self._root):
            for pid, name in found.items():
                self._look(pid, "program" if pid == self._root else part(name))
            time.sleep(0.25)

    def _look(self, pid: int, which: str) -> None:
        try:
            pages = Path(f"/proc/{pid}/statm").read_text().split()
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return
        if not pages or int(pages[1]) == 0:  # it has ended, and nobody has asked how
            return
        own = (int(pages[1]) - int(pages[2])) * _PAGE / 2**20  # without what it shares
        self.peaks[which] = max(self.peaks[which], own)
        self._cpu[pid] = (which, (int(stat[11]) + int(stat[12])) / _TICKS)


def part(name: str) -> str:
    """Return which part of a cluster a process is: "desk", "workers", or "ray" itself."""
    named = name if name.startswith("ray::") else ""
    return next((which for word, which in _PARTS if word in named), "ray")
