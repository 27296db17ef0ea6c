"""What a fresh interpreter has to do: import a package, make an object, ask for the first time.

Run by `speed.once` in processes of its own: ``fresh.py import MODULE``, or
``fresh.py call LAYER SUBJECT URL``; prints CPU and wall seconds.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def main() -> None:
    sys.dont_write_bytecode = False  # whatever the shell says: packages are compiled once
    what, *about = sys.argv[1:]
    act: Callable[..., Any] = {"import": import_module, "call": _called}[what]
    ready: Any = _made_ready(*about) if what == "call" else about
    began, cpu = time.perf_counter(), time.process_time()
    act(*ready)
    print(time.process_time() - cpu, time.perf_counter() - began)


def _made_ready(layer: str, name: str, url: str) -> tuple[Callable[[str], Any], str]:
    """Import what the call needs, which is measured by itself."""
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from speed.subjects import SUBJECTS

    logging.disable(logging.CRITICAL)
    subject = next(s for s in SUBJECTS if s.id == name and layer in s.layers)
    import_module(subject.module)
    return subject.make, url


def _called(make: Callable[[str], Any], url: str) -> None:
    make(url).call()


if __name__ == "__main__":
    main()
