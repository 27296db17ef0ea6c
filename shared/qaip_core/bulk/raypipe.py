"""What Ray Data is given to do: parts of a dataset, and the workers that ask them."""

from __future__ import annotations

import inspect
import logging
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
from ray.data import ActorPoolStrategy

from qaip_core.bulk.job import Job
from qaip_core.bulk.raydata import RayDataset
from qaip_core.bulk.raywork import ROWS, Asking, Part, Work

__all__ = ["asked", "calm", "quiet", "source_of"]

_ray: Any = ray  # where it has no types

_CALLS = 8
"""Parts that a worker has at a time: each may wait for a slow row at its end."""

_PARTS = 10_000
"""Parts that Ray is given at most; it keeps a note of each."""


def source_of(job: Job) -> tuple[Any, int | None]:
    """Return what Ray hands out, and how many pieces it is; None where only Ray knows.

    Parameters:
        job: whose dataset.
    """
    if isinstance(job.dataset, RayDataset):
        return job.dataset.source.select_columns(job.dataset.schema_of(job.asked).names), None
    items = [{"part": pickle.dumps(parts)} for parts in _parts(job)]
    if not items:
        return None, 0
    return ray.data.from_items(items, override_num_blocks=len(items)), len(items)


def _parts(job: Job) -> Iterator[list[Part]]:
    """Yield what is handed out at once: enough for all workers, and not too much for Ray."""
    fragments = job.dataset.fragments()
    wanted = 2 * _CALLS * job.plan.workers
    step = -(-wanted // max(1, len(fragments)))
    parts = [
        Part(fragment, first, steps)
        for fragment in fragments
        for steps in [max(1, min(step, -(-fragment.rows // ROWS)))]
        for first in range(steps)
    ]
    at_once = -(-len(parts) // _PARTS) or 1
    for start in range(0, len(parts), at_once):
        yield parts[start : start + at_once]


def asked(source: Any, desk: Any, work: Work, count: int | None) -> Any:
    """Return the results: one row for each piece, with the error that ends the run.

    Parameters:
        source, count: see `source_of`.
        desk: the handle of the desk.
        work: what each worker has to know.
    """
    size = min(work.plan.workers, count or work.plan.workers)
    calls = _CALLS if count is None else max(1, min(_CALLS, count // (2 * size)))
    options: dict[str, Any] = {"max_tasks_in_flight_per_actor": calls}
    other: dict[str, Any] = {}
    if "max_concurrent_calls_per_actor" in inspect.signature(ActorPoolStrategy).parameters:
        options["max_concurrent_calls_per_actor"] = calls
    else:  # before Ray 2.60
        other["max_concurrency"] = calls
    return source.map_batches(
        Asking,
        fn_constructor_kwargs={"desk": desk, "work": work},
        batch_size=None,
        batch_format="pyarrow",
        compute=ActorPoolStrategy(size=size, **options),
        num_cpus=_cpus(size),
        **other,
    )


def _cpus(workers: int) -> float:
    """Return the CPUs that Ray sets aside for a worker, so that all fit and one is left to read."""
    left = _ray.cluster_resources().get("CPU", 1.0) - 1
    return max(0.01, min(1.0, int(100 * left / workers) / 100))


@contextmanager
def calm() -> Iterator[None]:
    """Keep from the terminal that Ray is as safe as it is by default; that it is not, is told."""
    notes = logging.getLogger("ray._private.authentication.authentication_token_setup")

    def is_news(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Token authentication is enabled")

    notes.addFilter(is_news)
    try:
        yield
    finally:
        notes.removeFilter(is_news)


@contextmanager
def quiet(context: Any) -> Iterator[None]:
    """Keep Ray Data's own bars and notes from the terminal, where ours are.

    Parameters:
        context: that of the dataset.
    """
    before = {
        name: getattr(context, name)
        for name in ("enable_progress_bars", "print_on_execution_start")
        if hasattr(context, name)
    }
    notes = logging.getLogger("ray.data._internal.progress")  # that there are no bars
    handlers = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]
    levels = [handler.level for handler in handlers]
    noted = notes.level
    try:
        for name in before:
            setattr(context, name, False)
        for handler in handlers:
            handler.setLevel(logging.WARNING)
        notes.setLevel(logging.ERROR)
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)
        for handler, level in zip(handlers, levels, strict=True):
            handler.setLevel(level)
        notes.setLevel(noted)
