"""Answers a table: checks, asks, writes, and reports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from qaip_core import errors
from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job, Options
from qaip_core.bulk.ledger import Ledger
from qaip_core.bulk.record import Asker, Record
from qaip_core.bulk.stopping import wishing
from qaip_core.bulk.worker import digest
from qaip_core.errors import ConfigurationError, InvalidParameterError, ServiceError

if TYPE_CHECKING:
    from qaip_core.bulk.report import Report
    from qaip_core.bulk.tables.dataset import Batch

__all__ = ["aanswer_dataset", "answer_dataset"]


def answer_dataset(
    asker: Asker,
    dataset: Any,
    question_column: str | Sequence[str],
    output: str | PathLike[str],
    **options: Unpack[Options],
) -> Report:
    """Answer the questions of a table, and write it with the answers.

    Parameters:
        asker: asks the model or chain.
        dataset, question_column, output, options: see `langchain_qaip.bulk.answer_dataset`.

    Returns:
        What came of it.

    Raises:
        InvalidParameterError: a parameter is wrong, or does not fit the dataset.
        ConfigurationError: the output is of another dataset, or of a run that goes on.
        ServiceError: what every further row would raise, too, such as a wrong key.
    """
    if options.get("engine") == "local":
        _refuse_loop()
    job = _job(dataset, question_column, output, options)
    began = time.monotonic()
    if job.engine == "ray":
        from qaip_core.bulk import onray

        return _finished(job, onray.run(job, asker), began)
    return _finished(job, asyncio.run(_alone(job, asker)), began)


async def aanswer_dataset(
    asker: Asker,
    dataset: Any,
    question_column: str | Sequence[str],
    output: str | PathLike[str],
    **options: Unpack[Options],
) -> Report:
    """Do what `answer_dataset` does, without blocking.

    Cancelled, it asks no further row, and ends when those under way are answered. The connections
    of this event loop stay open, since others may use them.
    """
    job = await asyncio.to_thread(_job, dataset, question_column, output, options)
    began = time.monotonic()
    if job.engine == "ray":
        from qaip_core.bulk import onray

        now = await _in_thread(onray.run, job, asker)
    else:
        from qaip_core.bulk import local

        now = await local.run(job, asker)
    return await asyncio.to_thread(_finished, job, now, began)


async def _alone(job: Job, asker: Asker) -> Snapshot:
    """Return what a run returns in an event loop of its own, whose connections end with it."""
    from qaip_core.bulk import local

    try:
        return await local.run(job, asker)
    finally:
        await asker.aclose()


async def _in_thread(run: Callable[[Job, Asker], Snapshot], job: Job, asker: Asker) -> Snapshot:
    """Return what a run returns that blocks; cancelled, let it end in order, as Ctrl-C does."""
    with wishing() as wish:
        running = asyncio.create_task(asyncio.to_thread(run, job, asker))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        wish.stop("cancelled")
        await asyncio.gather(running, return_exceptions=True)
        raise


def _refuse_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise ConfigurationError(
        "an event loop runs here, as in a notebook: await aanswer_dataset(...) instead"
    )


def _job(
    dataset: Any,
    question_column: str | Sequence[str],
    output: str | PathLike[str],
    options: Options,
) -> Job:
    job = Job.of(dataset, question_column, output, options)
    if job.output.exists() and not job.ledger.exists():
        raise ConfigurationError(
            f"{job.output} is there, and {job.ledger}, which tells what is in it, is not: pass "
            "another output=..., or move it away"
        )
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{job.folder} cannot be made: {error.strerror}") from error
    return job


def _finished(job: Job, now: Snapshot, began: float) -> Report:
    """Write the table and the report.

    Raises:
        InvalidParameterError: rows cannot be told apart.
        ServiceError: every further row would have failed.
    """
    if now.refusal is not None:  # a table would have answers beside other questions
        raise InvalidParameterError(now.refusal)
    made = _written(job, now, began)
    if now.fatal is not None:
        raise _error(now.fatal, made)
    return made


def _written(job: Job, now: Snapshot, began: float) -> Report:
    from qaip_core.bulk import report
    from qaip_core.bulk.tables import write_table
    from qaip_core.bulk.tally import Tally

    ledger = Ledger(job.ledger, "read")
    try:
        tally = Tally()

        def records(batch: Batch) -> list[Record | None]:
            questions = batch.questions(job.columns)
            found = ledger.records(batch.keys, [digest(question) for question in questions])
            for record in found:
                tally.add(record)
            return found

        write_table(job.dataset, records, job.output, prefix=job.prefix)
        return report.of(job, tally, ledger.totals, now, seconds=time.monotonic() - began)
    except Exception as error:
        is_input = isinstance(error, InvalidParameterError)  # which no second call changes
        again = "" if is_input else ": the same call writes the table"
        error.add_note(f"all answers are kept in {job.ledger}{again}")
        raise
    finally:
        ledger.close()


def _error(record: Record, made: Report) -> ServiceError:
    """Return the error of a row, as its worker has met it."""
    kind = getattr(errors, record.error_type or "", ServiceError)
    error: ServiceError = kind(
        record.error_message or "",
        status=record.error_status,
        code=record.error_code,
        request_id=record.error_request_id,
    )
    error.add_note(f"{made.answered} of {made.rows} rows are answered, in {made.output}")
    return error
