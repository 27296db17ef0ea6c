"""The engine for a cluster: Ray Data hands out the rows, and begins anew what has died.

::

    driver  -- parts of the dataset --> Ray Data --> workers (actors), one event loop each
      |                                                 | Batch, Reply
      +-- polls ----------------------------------> desk (an actor on the driver's node)

A part says where its rows are; the workers read them. So nothing but a few numbers goes through
Ray's memory, whatever the rows are, and a part that is begun anew has the same keys.
https://docs.ray.io/en/latest/data/transforming-data.html#stateful-transforms
"""

from __future__ import annotations

import logging
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
import ray.cloudpickle
import ray.exceptions
import ray.util.client
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job
from qaip_core.bulk.progress import Shown
from qaip_core.bulk.raydata import RayDataset
from qaip_core.bulk.raypipe import asked, calm, quiet, source_of
from qaip_core.bulk.raywork import DeskActor, Work
from qaip_core.bulk.record import Asker
from qaip_core.bulk.stopping import stopping
from qaip_core.errors import ConfigurationError, InvalidParameterError

__all__ = ["RayDataset", "run"]

_ray: Any = ray  # where it has no types

_TICK = 0.25

_STARTS = 5
"""How often all workers may begin anew before one of them has come to the end of a row."""

_GOING = 20.0
"""Seconds in which a run that is broken off lets go of its workers."""


def run(job: Job, asker: Asker) -> Snapshot:
    """Ask all rows that are to be asked.

    A cluster is started, and ended, where the program has none yet; ``RAY_ADDRESS`` names one.

    Parameters:
        job: what, and how.
        asker: the model or chain.

    Raises:
        ConfigurationError: the ledger is another run's; or Ray cannot do it, with Ray's reason.
        Exception: what keeps workers from asking at all, such as a model that no pickle holds.
    """
    packed = _packed(asker)
    with Shown(job) as shown, _cluster(shown):
        desk = _desk(job, asker.describe())
        try:
            return _watched(job, desk, packed, shown)
        finally:
            ray.kill(desk)


def _packed(asker: Asker) -> bytes:
    try:
        packed: bytes = _ray.cloudpickle.dumps(asker)
    except Exception as error:
        raise InvalidParameterError(
            f"what is to be asked cannot be sent to Ray's workers ({error}): pass "
            'engine="local", or make it of what can be pickled'
        ) from error
    return packed


@contextmanager
def _cluster(shown: Shown) -> Iterator[None]:
    if ray.is_initialized():
        _refuse_client()
        yield
        return
    shown.wait("Ray starts")
    with calm():
        ray.init(_address(), log_to_driver=False, logging_level=logging.WARNING)
    try:
        _refuse_client()
        yield
    finally:
        ray.shutdown()


def _address() -> str | None:
    """Return "local" where the cluster that Ray has a note of is gone: it would try for minutes."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 -- Ray's
    note = Path(folder, "ray", "ray_current_cluster")
    if os.environ.get("RAY_ADDRESS") or not note.is_file():
        return None
    host, _, port = note.read_text("utf-8").strip().rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1.0).close()
    except (OSError, ValueError):
        return "local"
    return None


def _refuse_client() -> None:
    if _ray.util.client.ray.is_connected():
        raise ConfigurationError(
            "this program is not on the cluster (ray://), where the ledger and the output are "
            "written: send it there, by ray job submit"
        )


def _desk(job: Job, model: str) -> Any:
    """Return the desk, on this node, whose disk has the ledger."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk: Any = ray.remote(DeskActor).options(num_cpus=0, scheduling_strategy=here).remote()
    path = job.ledger.absolute()
    refusal: Any = ray.get(desk.open.remote(path, job.plan, job.facts(model)))
    if refusal is not None:
        ray.kill(desk)
        raise refusal
    return desk


def _watched(job: Job, desk: Any, packed: bytes, shown: Shown) -> Snapshot:
    reading = _Reading(job, desk, packed)
    wishes: list[str] = []
    shown.wait("waiting for workers")
    reading.start()
    try:
        with stopping(wishes.append):
            while not reading.ended.wait(_TICK):
                if wishes:
                    desk.stop.remote(wishes.pop())
                now, starts = ray.get(desk.snapshot.remote())
                shown.update(now)
                if starts > _STARTS * job.plan.workers:
                    raise ConfigurationError(
                        f"the workers ended {starts} times before a row was answered: they may "
                        "lack memory; ray logs tells more"
                    )
                if now.stopped and not now.in_flight:
                    break  # what is left would only be read
            if reading.error is not None:
                raise reading.error
            last: Snapshot = ray.get(desk.close.remote())
            shown.update(last)
            return last
    finally:
        reading.end(desk)


class _Reading(threading.Thread):
    """Runs the pipeline: Ray Data works while someone reads what comes of it.

    Attributes:
        ended: whether it has come to its end.
        error: why it could not.
    """

    def __init__(self, job: Job, desk: Any, packed: bytes) -> None:
        super().__init__(name="qaip-bulk", daemon=True)
        self.ended = threading.Event()
        self.error: Exception | None = None
        self._job = job
        self._desk = desk
        self._packed = packed
        self._is_left = False

    def run(self) -> None:
        """Read to the end; once there is an error, no further row is asked."""
        try:
            self._read()
        except Exception as error:  # noqa: BLE001 -- raised again in the caller's thread
            self.error = self.error or _told(error)
        finally:
            self.ended.set()

    def end(self, desk: Any) -> None:
        """Leave what is not read, and let Ray Data end its workers.

        Parameters:
            desk: the handle of the desk, which ends, too: so no row can be asked any more.
        """
        self._is_left = True
        ray.kill(desk)
        self.join(_GOING)

    def _read(self) -> None:
        job = self._job
        source, count = source_of(job)
        if count == 0:
            return
        of_ray = job.dataset if isinstance(job.dataset, RayDataset) else None
        work = Work(
            asker=self._packed,
            columns=job.columns,
            plan=job.plan,
            prices=job.prices,
            id_column=of_ray.id_column if of_ray else None,
            schema=of_ray.schema_of(job.asked) if of_ray else None,
        )
        with quiet(source.context):
            results = asked(source, self._desk, work, count)
            for row in results.iter_rows():
                if self._is_left:
                    return
                if row["error"] and self.error is None:
                    self.error = _told(pickle.loads(row["error"]))  # noqa: S301 -- our workers'
                    self._desk.stop.remote("a worker could not go on")  # the rest only passes


def _told(error: Exception) -> Exception:
    """Return an error of Ray as ours, with what it says first; others as they are."""
    if not isinstance(error, ray.exceptions.RayError):
        return error
    said = ""
    with suppress(Exception):
        said = next(line for line in reversed(str(error).splitlines()) if line.strip()).strip()
    told = ConfigurationError(f"Ray could not go on: {type(error).__name__}: {said}")
    told.__cause__ = error
    return told
