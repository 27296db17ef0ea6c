"""What was counted when the limits were last set, and what may be more since then.

The file is written by ``python -m support.speed.count --write``; see there.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from support.speed.work import Work

__all__ = ["RECORD", "Record", "complaints", "margin", "read", "write"]

RECORD = Path(__file__).with_name("counts.json")

_SPARE_CALLS = 1  # a quarter more of two calls would be no margin
_SPARE_DEAR = 0.15  # of one in each event
_PACKAGES = "httpcore", "httpx", "langchain-core", "llama-index-core", "pydantic"

Record = dict[str, Work]


class Margin(NamedTuple):
    """How many times as much as was recorded may be counted.

    work: instructions and calls.
    dear: what is dear; 1 for not one more.
    """

    work: float
    dear: float


_SAME = Margin(work=1.25, dear=1)
_OTHER = Margin(work=1.6, dear=1.6)  # other versions have other instructions, and other layers


def _versions() -> dict[str, str]:
    """Everything that the counts depend on besides our own code."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python, **{name: metadata.version(name) for name in _PACKAGES}}


def margin() -> Margin:
    """Return the wider margin, unless the limits were set with these very versions."""
    return _SAME if json.loads(RECORD.read_bytes())["versions"] == _versions() else _OTHER


def read() -> Record:
    """Return what was counted, by the names of the cases."""
    return {name: Work(**work) for name, work in json.loads(RECORD.read_bytes())["work"].items()}


def write(record: Mapping[str, Work]) -> None:
    """Set the limits: one line for each case."""
    body = ",\n".join(f"{json.dumps(name)}: {_line(work)}" for name, work in record.items())
    RECORD.write_text(f'{{"versions": {json.dumps(_versions())},\n"work": {{\n{body}\n}}}}\n')


def complaints(now: Work, then: Work, margin: Margin) -> Iterator[str]:
    """Tell what has grown beyond the margin."""
    counts = {
        "bytecode instructions in our packages": (now.total, then.total, 0),
        "calls of our functions, and of C functions by them": (now.calls, then.calls, _SPARE_CALLS),
        "Python functions called anywhere": (now.anywhere, then.anywhere, _SPARE_CALLS),
    }
    for what, (counted, before, spare) in counts.items():
        if counted > (limit := before * margin.work + spare):
            yield f"{what}: {before:.0f} -> {counted:.0f}, at most {limit:.0f}"
    for what, counted in now.dear.items():
        before = then.dear.get(what, 0)
        if counted > before * margin.dear + _SPARE_DEAR:
            yield f"{what}: {before:.1f} -> {counted:.1f}, where not one more may be"


def _line(work: Work) -> str:
    """One case, without spaces and needless decimals: there are many."""
    return re.sub(r"\.0\b", "", json.dumps(asdict(work), separators=(",", ":")))
