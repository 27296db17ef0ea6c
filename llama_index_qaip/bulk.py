"""Answers tables of questions with LlamaIndex, on one machine or on a Ray cluster.

::

    from llama_index_qaip.bulk import answer_dataset

    report = answer_dataset(Qaip(), "questions.parquet", output="answers.parquet")

See docs/bulk.md.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any, Unpack

from llama_index_qaip._asking import EngineAsker
from llama_index_qaip.errors import InvalidParameterError
from qaip_core.bulk import run
from qaip_core.bulk.job import Options
from qaip_core.bulk.prices import Prices

if TYPE_CHECKING:
    from qaip_core.bulk.report import Report

__all__ = ["Prices", "aanswer_dataset", "answer_dataset"]


def answer_dataset(
    model_or_engine: Any,
    dataset: Any,
    question_column: str = "question",
    *,
    output: str | PathLike[str],
    **options: Unpack[Options],
) -> Report:
    """Answer the questions of a table, and write the table with its answers.

    Each row is asked once, whatever happens to the run: the ledger beside the output
    (``answers.parquet.run/``) says which rows are answered, and the same call goes on where the
    last one ended. A row whose worker died while it was asked may have been paid: it is not asked
    again, but holds an `InterruptedCallError`.

    Parameters:
        model_or_engine: an LLM, a query engine, a retriever or an agent. It travels to the workers
            without keys, which are read there.
        dataset: a path of Parquet, CSV or JSONL, also with ``.gz`` where it is text; a folder, a
            pattern or a list of paths, of one format; a table of pyarrow, pandas or Polars; a list
            of dicts, or of questions; or a ``ray.data`` dataset.
        question_column: the column of the texts that are asked.
        output: the file to write: .parquet, .csv or .jsonl. It has the rows of the dataset in
            their order, with their columns, and for each the answer, its citations, tokens,
            cost, latency, and the error, if any.
        engine: "ray" (the default) for a cluster, or the one machine where there is none;
            "local" for this process alone, without Ray.
        id_column: the column that tells rows apart; where it is not given, their places do.
        prefix: stands before the names of the columns that are added.
        concurrency: rows that are asked at the same time, in all workers together, from 1;
            32 by default.
        workers: processes that share them, from 1; 2 by default. For Ray only.
        requests_per_second: requests, retries included, that all workers together may send,
            above 0; or a dict of such numbers by service, such as ``{"perplexity": 10}``. A
            service's Retry-After holds for all workers in any case.
        retry_failed: whether rows that failed in earlier runs are asked again; or the types of
            errors that are, such as ``["RateLimitError"]``. Those that a wrong key or an empty
            account has failed are asked in any case.
        budget_tokens: tokens, input and output, that all runs over this output together may
            take, above 0; None for no limit. No further row is asked then; those that are under
            way are answered.
        budget_cost: the same in money, as the service or ``prices`` count it.
        prices: what tokens cost, where the service does not tell.
        stop_after: failures in a row after which the run stops, from 1; 100 by default.
        progress: whether the run shows how far it is; True by default.

    Returns:
        What came of it: counts, cost, latencies, and errors by their types.

    Raises:
        InvalidParameterError: a parameter is wrong, or does not fit the dataset; or nothing can
            be asked of ``model_or_engine``.
        ConfigurationError: the output is of another dataset or model, or of a run that goes on;
            or an event loop runs here, as in a notebook: await `aanswer_dataset` there.
        ServiceError: what every further row would raise, too, such as a wrong key.
        ImportError: the extra ``bulk`` is not installed.
    """
    asker = EngineAsker(model_or_engine)
    return run.answer_dataset(asker, dataset, _one(question_column), output, **options)


async def aanswer_dataset(
    model_or_engine: Any,
    dataset: Any,
    question_column: str = "question",
    *,
    output: str | PathLike[str],
    **options: Unpack[Options],
) -> Report:
    """Do what `answer_dataset` does, without blocking while questions are asked."""
    asker = EngineAsker(model_or_engine)
    return await run.aanswer_dataset(asker, dataset, _one(question_column), output, **options)


def _one(question_column: Any) -> str:
    if isinstance(question_column, str):
        return question_column
    raise InvalidParameterError(
        "question_column is one column, of texts: LlamaIndex has no form for several"
    )
