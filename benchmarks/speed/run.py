"""Measure what an event, a call, an import cost: the limits, this project, other packages.

    python benchmarks/speed/run.py {langchain,llama-index} [--quick] [--write] [--only CASE ...]

`make bench` does it for both frameworks, in the environments that have the other packages, and
writes docs/performance.md. The quick run leaves them out, and writes nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[0] = str(ROOT / "benchmarks")
# Below the path that they are found by:
from speed.server import Server  # noqa: E402
from speed.subjects import SUBJECTS  # noqa: E402

from speed import cases, crowd, once, report, results, targets  # noqa: E402

_Table = tuple[str, str, str, Callable[[], list[results.Row]]]
_ONCE = (
    ("crowd", "1,000 streams of 100 events at the same time", "event", crowd.crowds),
    ("import", "import in a fresh interpreter", "import", once.imports),
    ("construct", "making an object", "object", once.constructions),
    ("first", "an object's first call, made and connected", "object", once.first_calls),
    (
        "process",
        "the first object and its first call in a fresh interpreter, imports apart",
        "process",
        once.first_calls_of_processes,
    ),
)
_QUICK = frozenset({"import", "construct"})
_PREFIXES = ("OPENAI_", "PPLX_", "PERPLEXITY_", "FIREWORKS_", "LANGSMITH_", "LANGCHAIN_", "DIFY_")


def _alone() -> None:
    """Keep the environment's keys and addresses from the subjects, and their talk from us."""
    for name in [n for n in os.environ if n.startswith(_PREFIXES)]:
        del os.environ[name]
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    logging.disable(logging.CRITICAL)
    warnings.showwarning = lambda *_, **__: None  # LangChain undoes filters
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=("langchain", "llama-index"), nargs="?")
    parser.add_argument("--quick", action="store_true", help="without other packages, less often")
    parser.add_argument("--write", action="store_true", help="write docs/performance")
    parser.add_argument("--only", nargs="*", default=[], help="these cases only")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        sys.exit("What is written is measured whole: without --quick and --only.")
    _alone()
    for which in [options.which] if options.which else ("langchain", "llama-index"):
        found = measure(which, quick=options.quick, only=set(options.only))
        report.show(found)
        if options.write:
            found.save()


def measure(which: str, *, quick: bool, only: set[str]) -> results.Results:
    """Return what one framework's subjects cost."""
    kinds = {"limit", "ours"} if quick else {"limit", "ours", "peer"}
    subjects = [s for s in SUBJECTS if which in s.layers and s.kind in kinds and s.version]
    found = results.Results.of(which, subjects)
    with Server() as server, asyncio.Runner() as runner:
        place = cases.Place(which, subjects, server, runner, quick)
        found.server = server.report("fireworks-2000-1")
        for name, title, unit, rows in _tables(place, quick=quick, only=only):
            print(f"{which}: {title} ...", end=" ", file=sys.stderr, flush=True)
            began = time.perf_counter()
            if measured := rows():
                found.add(name, title, unit, measured)
            print(f"{time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
    found.targets = targets.judged(found)
    return found


def _tables(place: cases.Place, *, quick: bool, only: set[str]) -> Iterator[_Table]:
    """Yield what is to be measured: its name, its title, what a figure is for, what does it."""
    for case in cases.CASES:
        for way in case.ways:
            rows = partial(cases.rows_of, case, way, place)
            if case.id in only or (not only and (case.quick or not quick)):
                yield f"{case.id}/{way}", f"{case.title}: {way}", case.unit, rows
    for name, title, unit, measuring in _ONCE:
        if name in only or (not only and (name in _QUICK or not quick)):
            yield name, title, unit, partial(measuring, place)


if __name__ == "__main__":
    main()
