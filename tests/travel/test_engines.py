"""Every class works in the workers of a process pool, of Dask, and in actors of Ray.

Each engine is started once, by a program of its own: their warnings and threads are not ours.
"""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.travel.keys import SOURCE_KEY
from support.travel.table import ENV_KEY, TRAVELLERS, Everybody, environment, shown

TESTS = Path(__file__).parents[1]
OTHER_KEY = "key-of-the-program-3b77"


@pytest.fixture(scope="module")
def wanted() -> list[list[str]]:
    """What the objects answer in this process, both ways."""
    answers = []
    with Everybody() as server:
        for traveller in TRAVELLERS:
            made = traveller.make(server.url_of(traveller))
            answers.append([shown(traveller.ask(made)), shown(asyncio.run(traveller.aask(made)))])
    return answers


@pytest.mark.parametrize("engine", ["spawn", "dask", "ray"])
def test_all_objects_answer_in_other_processes_as_they_do_here(
    engine: str, server: Everybody, wanted: list[list[str]]
) -> None:
    program = [sys.executable, "-m", "support.travel.program", engine, server.url]
    places = {"PYTHONPATH": str(TESTS), "PROGRAM_KEY": OTHER_KEY, **environment()}
    ran = subprocess.run(
        program,
        cwd=TESTS,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told["processes"] in (1, 2)  # the first process of a pool may be done early
    assert told["answers"] == wanted * 3

    headers = [str(request.headers) for request in server.requests]
    sent = [sum(key in shown for shown in headers) for key in (ENV_KEY, SOURCE_KEY, OTHER_KEY)]
    assert sent == [len(headers) / 3] * 3
