"""A program that asks every object in other processes, by one of the engines.

    python -m support.travel.program {spawn,dask,ray} URL

It prints, as JSON, what came of each object, and how many processes asked.
"""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from support.backends import KEY
from support.travel.keys import read_key
from support.travel.table import TRAVELLERS, shown

__all__ = ["ask", "objects"]

Told = tuple[int, str, str]


def key_of_the_program() -> str:
    return os.environ["PROGRAM_KEY"]  # by a constant of the module it would know a text


KEYS = (KEY, read_key, key_of_the_program)
"""What objects are made with: a text, in whose place workers have another, or a function."""


def objects(url: str) -> tuple[list[int], list[Any]]:
    """Return all objects, for an `Everybody` at a URL, behind their numbers."""
    numbers = [*range(len(TRAVELLERS))] * len(KEYS)
    made = [t.make(f"{url}/{n}", api_key=key) for key in KEYS for n, t in enumerate(TRAVELLERS)]
    return numbers, made


def ask(number: int, made: Any) -> Told:
    """Ask an object both ways; tell who asked, and what came of it."""
    traveller = TRAVELLERS[number]
    sync, awaited = traveller.ask(made), asyncio.run(traveller.aask(made))
    return os.getpid(), shown(sync), shown(awaited)


def ask_all(numbers: list[int], made: list[Any]) -> list[Told]:
    return [ask(number, each) for number, each in zip(numbers, made, strict=True)]


def _halves(numbers: list[int], made: list[Any]) -> list[tuple[list[int], list[Any]]]:
    half = len(numbers) // 2
    return [(numbers[:half], made[:half]), (numbers[half:], made[half:])]


def _in_pool(numbers: list[int], made: list[Any]) -> list[Told]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(ask, numbers, made))


def _in_dask(numbers: list[int], made: list[Any]) -> list[Told]:
    from distributed import Client, LocalCluster

    settings: dict[str, Any] = {"dashboard_address": None, "host": "127.0.0.1"}
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **settings) as cluster,
        Client(cluster) as client,
    ):
        addresses = client.scheduler_info(n_workers=-1)["workers"]
        futures = [
            client.submit(ask_all, *half, workers=[address], pure=False)
            for half, address in zip(_halves(numbers, made), addresses, strict=True)
        ]
        return [told for answers in client.gather(futures) for told in answers]


def _in_ray(numbers: list[int], made: list[Any]) -> list[Told]:
    # A cluster of our own, that nobody else may use: not one that runs already on this machine.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"
    import ray

    @ray.remote
    class Asker:
        """Keeps its objects, as an actor does."""

        def __init__(self, numbers: list[int], made: list[Any]) -> None:
            self._kept = numbers, made

        def ask(self) -> list[Told]:
            return ask_all(*self._kept)

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
    )
    try:
        actors = [Asker.remote(*half) for half in _halves(numbers, made)]  # type: ignore[attr-defined]
        first, second = ray.get([actor.ask.remote() for actor in actors])
        return [*first, *second]
    finally:
        ray.shutdown()


ENGINES: dict[str, Callable[[list[int], list[Any]], list[Told]]] = {
    "spawn": _in_pool,
    "dask": _in_dask,
    "ray": _in_ray,
}

if __name__ == "__main__":
    engine, url = sys.argv[1:]
    told = ENGINES[engine](*objects(url))
    processes = {pid for pid, _, _ in told} - {os.getpid()}
    print(json.dumps({"processes": len(processes), "answers": [a for _, *a in told]}))
