"""One run, as a program of its own: it says on its last line what came of it, as JSON.

python drive.py {ray,local,abatch} TABLE OUTPUT CONCURRENCY [retry]
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Any

from langchain_qaip import ChatPerplexity
from langchain_qaip.bulk import answer_dataset

WORKERS = 2


def main() -> None:
    """Answer a table."""
    engine, table, output, concurrency, *rest = sys.argv[1:]
    chat = ChatPerplexity(model="sonar", timeout=10.0)
    if engine == "abatch":
        said = {"rows": asyncio.run(plain(chat, table, int(concurrency)))}
    else:
        said = bulk(chat, engine, table, output, int(concurrency), retry=bool(rest))
    print(json.dumps(said))


def bulk(
    chat: Any, engine: Any, table: str, output: str, concurrency: int, *, retry: bool
) -> dict[str, Any]:
    """Answer it by the engine under test."""
    if engine == "ray":
        import ray

        ray.init(
            address="local",
            num_cpus=WORKERS,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )
    began = time.monotonic()
    report = answer_dataset(
        chat,
        table,
        output=output,
        engine=engine,
        id_column="id",
        concurrency=concurrency,
        workers=WORKERS,
        retry_failed=retry,
    )
    return {**report.as_dict(), "seconds": time.monotonic() - began}


async def plain(chat: Any, table: str, concurrency: int) -> int:
    """Ask the same of the model by LangChain's own means, all in memory."""
    import pyarrow.parquet as pq

    questions = pq.read_table(table).column("question").to_pylist()
    answers = await chat.abatch(questions, {"max_concurrency": concurrency}, return_exceptions=True)
    return len(answers)


if __name__ == "__main__":
    main()
