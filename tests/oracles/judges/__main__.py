"""Let judges make their calls: `python -m judges NAME ...`, with a JSON list of calls on stdin.

Each item names a call and the environment variables under which it is made. The results go to
stdout as JSON. This runs in the client's own environment, with the standard library alone.
"""

import importlib
import json
import os
import sys
from contextlib import redirect_stdout
from typing import Any

from ._judge import outcome

__all__: list[str] = []


def main(*names: str) -> None:
    """Make the calls that stdin lists and print their outcomes."""
    judges = [importlib.import_module(f"judges.{name}").judge for name in names]
    calls = {call.id: call for judge in judges for call in judge.calls}
    outcomes: list[dict[str, Any]] = []
    with redirect_stdout(sys.stderr):  # some clients print
        for wanted in json.load(sys.stdin):
            os.environ.update(wanted["env"])
            outcomes.append(outcome(calls[wanted["call"]]))
    json.dump(outcomes, sys.stdout)


main(*sys.argv[1:])
