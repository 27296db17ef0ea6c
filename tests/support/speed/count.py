"""Prints what an event and a call cost in each way of asking; with ``--write`` sets the limits.

    PYTHONPATH=tests python -m support.speed.count [--write] [words of the names wanted]

To be run in the developers' environment, whose versions `constraints.txt` pins, after a change
that is meant to cost more, or that has made something cheaper; the file goes into the commit.
"""

import sys
import warnings

from support.speed import record
from support.speed.canned import canned
from support.speed.work import CALLS, EVENTS, Case, Work, measure

__all__ = ["main"]


def main(*arguments: str) -> None:
    """Count, print, and write if asked to."""
    warnings.simplefilter("ignore")
    wanted = [word for word in arguments if not word.startswith("--")]
    counted: dict[str, Work] = {}
    with canned() as server:
        for title, cases in (("One event", EVENTS), ("One call", CALLS)):
            print(f"\n{title:<40} {'instructions':>12} {'calls':>7} {'anywhere':>9}  dear")
            for case in cases:
                if all(word in case.name for word in wanted):
                    counted[case.name] = _shown(case, measure(case, server), detail=bool(wanted))
    if "--write" in arguments and not wanted:
        events = {case.name for case in EVENTS}
        kept = {name: w if name in events else w.by_module() for name, w in counted.items()}
        record.write(kept)


def _shown(case: Case, work: Work, *, detail: bool) -> Work:
    dear = ", ".join(f"{n:g} {what}" for what, n in work.dear.items())
    print(f"{case.name:<40} {work.total:>12.0f} {work.calls:>7.1f} {work.anywhere:>9.1f}  {dear}")
    if detail:
        print(*(f"    {line}" for line in work.largest(25)), sep="\n")
    return work


if __name__ == "__main__":
    main(*sys.argv[1:])
