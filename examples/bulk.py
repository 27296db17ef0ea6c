"""A table of questions becomes a table of answers with their sources: offline, on the sandbox.

    python examples/bulk.py                   on this machine, without Ray
    python examples/bulk.py --engine ray      on a Ray cluster of this machine
    python examples/bulk.py --output my.csv   kept; the same call again asks nothing

It needs the extra `bulk`: pip install "qaip-integrations[langchain,sandbox,bulk]"
"""

import argparse
import csv
import os
import tempfile
from pathlib import Path

from langchain_qaip import ChatPerplexityAgent
from langchain_qaip.bulk import answer_dataset
from qaip_sandbox import Sandbox

HANDBOOK = Path(__file__).parent / "handbook"
SUBJECTS = ("the tower", "the light", "the lens", "the museum", "the keepers")
FORMS = ("What is said about {}?", "How old is {}?", "Who built {}?", "How large is {}?")


def write_questions(path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "question"])
        questions = [form.format(subject) for form in FORMS for subject in SUBJECTS]
        table.writerows((f"q{n}", question) for n, question in enumerate(questions, 1))


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers 20 questions about examples/handbook.")
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--output", type=Path, help=".parquet, .csv or .jsonl")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, Sandbox(HANDBOOK) as sandbox:
        os.environ.update(sandbox.env)  # with real keys instead, this asks the real service
        questions = Path(folder) / "questions.csv"
        write_questions(questions)
        chat = ChatPerplexityAgent(model="perplexity/sonar", web_search=True)
        report = answer_dataset(
            chat,
            questions,
            output=given.output or Path(folder) / "answers.jsonl",
            engine=given.engine,
            id_column="id",
            concurrency=8,
            requests_per_second=100,
        )
        print(report)
        if not given.output:
            print("The files are deleted now: --output answers.parquet keeps them.")


if __name__ == "__main__":
    main()
