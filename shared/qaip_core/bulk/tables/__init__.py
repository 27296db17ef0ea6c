"""Tables of questions, and the same tables with the answers: Parquet, CSV, JSON lines, memory.

::

    dataset = Dataset.of("questions.csv", id_column=None)
    for batch in dataset.batches(): ...          # keys and rows; memory does not grow with them
    write_table(dataset, records_of, "answers.parquet")

Text comes out as it went in: no column of a CSV file is taken for numbers. Nothing here is imported
before a run, since pyarrow is large.
"""

from qaip_core.bulk.tables.answers import ANSWER_SCHEMA
from qaip_core.bulk.tables.checks import check_columns, check_output, check_questions
from qaip_core.bulk.tables.dataset import Batch, Dataset, Fragment
from qaip_core.bulk.tables.writing import write_table

__all__ = [
    "ANSWER_SCHEMA",
    "Batch",
    "Dataset",
    "Fragment",
    "check_columns",
    "check_output",
    "check_questions",
    "write_table",
]
