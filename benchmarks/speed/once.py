"""What is done once: importing a package, making an object, the first call of each."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speed.cases import Place
from speed.measure import Row, Run, measured
from speed.subjects import Subject

__all__ = ["constructions", "first_calls", "first_calls_of_processes", "imports"]

_CHILD = Path(__file__).with_name("fresh.py")
_STREAM = "fireworks-20-1"
_OBJECTS = 10


def imports(place: Place) -> list[Row]:
    """Return what importing each package costs in a fresh interpreter."""
    first = {s.module: s for s in reversed(place.subjects)}
    commands = {s.id: ["import", s.module] for s in first.values() if s.module}
    rows = _in_children(commands, _times(place, 7))
    for row in rows:
        row.note = row.note or commands[row.subject][1]
    return rows


def first_calls_of_processes(place: Place) -> list[Row]:
    """Return what the first object and its first call cost in a fresh interpreter."""
    url = place.server.url(_STREAM)
    taking = [s for s in _asking(place) if s.id != "core"]  # its asker is a framework's
    commands = {s.id: ["call", place.which, s.id, url] for s in taking}
    return _in_children(commands, _times(place, 3))


def constructions(place: Place) -> list[Row]:
    """Return what making an object costs."""
    return _objects(place, calls=False)


def first_calls(place: Place) -> list[Row]:
    """Return what making an object and its first call cost, with a new connection."""
    return _objects(place, calls=True)


def _times(place: Place, wanted: int) -> dict[str, int]:
    """Return how often each is measured: other packages, which take seconds, less often."""
    return {s.id: 2 if s.kind == "peer" else place.times(wanted) for s in place.subjects}


def _asking(place: Place) -> list[Subject]:
    return [s for s in place.subjects if "fireworks" in s.reads and not s.silent]


def _objects(place: Place, *, calls: bool) -> list[Row]:
    url = place.server.url(_STREAM)

    def made(subject: Subject) -> Run:
        kept: list[Any] = []

        def objects() -> None:
            for _ in range(_OBJECTS):
                kept.append(subject.make(url))
                if calls:
                    kept[-1].call()

        return Run(subject.id, objects, kept.clear, _OBJECTS)

    runs = [made(subject) for subject in _asking(place)]
    return list(measured(runs, place.runner, place.times(5)).values())


def _in_children(commands: Mapping[str, Sequence[str]], times: Mapping[str, int]) -> list[Row]:
    """Return the rows of commands, run in turn; the first time fills the caches of the files."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    notes: dict[str, str] = {}
    names, order = list(commands), random.Random(5)
    for turn in range(max(times[name] for name in names) + 1):
        order.shuffle(names)
        for name in [n for n in names if n not in notes and turn <= times[n]]:
            try:
                cpu, wall = _child(commands[name])
            except subprocess.CalledProcessError as error:
                notes[name] = "fails: " + error.stderr.strip().rpartition("\n")[2][:80]
                continue
            if turn:
                taken[name].append((cpu * 1e6, wall * 1e6))
    return [_row(name, taken[name], notes.get(name, "")) for name in commands]


def _child(command: Sequence[str]) -> tuple[float, float]:
    """Return CPU and wall seconds of one process."""
    whole = [sys.executable, "-W", "ignore", str(_CHILD), *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=True)
    cpu, wall = done.stdout.split()[-2:]
    return float(cpu), float(wall)


def _row(name: str, taken: Sequence[tuple[float, float]], note: str) -> Row:
    if note:
        return Row(name, note=note)
    cpus = [cpu for cpu, _ in taken]
    low, middle, high = statistics.quantiles(cpus, n=4, method="inclusive")
    wall = statistics.median(wall for _, wall in taken)
    return Row(name, middle, wall, low, high, len(taken))
