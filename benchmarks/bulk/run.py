"""Answer a table on a local Ray cluster while things break, prove what came of it, and measure.

    python benchmarks/bulk/run.py [--rows 20000] [--quick] [--only {speeds,broken}] [--json FILE]

All is asked of the sandbox, which notes each request: what is said of rows that were asked twice,
or not at all, is said of its notes, not of ours. The whole takes about twenty minutes on two
processors; the quick run, 500 rows, two.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

sys.path[0] = str(Path(__file__).resolve().parent)
from processes import Taken, part, processes, workers  # noqa: E402 -- beside this file
from served import Asked, Served  # noqa: E402 -- likewise

CONCURRENCY = 32
QUICK = 500
FAULTS = (
    "status; code=429; retry_after=0.05; chance=0.01; times=null",
    "status; code=503; chance=0.01; times=null",
    "disconnect; chance=0.01; times=null",
    "truncate; chance=0.01; times=null",
    "stall; seconds=1; chance=0.01; times=null",
)
QUESTIONS = (
    "How bright is the lamp of Stennick Light? (case {:06d})",
    "Are dogs allowed in the tower? (case {:06d})",
    "When was the light first lit? (case {:06d})",
    "How high is the tower? (case {:06d})",
)


@dataclass
class Run:
    """One run, and what it took.

    Parameters:
        said: its report.
        asked: the requests of it.
        peaks: MiB in memory at most, by parts.
        cpu: seconds of CPU, by parts; that of the sandbox is not in them.
    """

    said: dict[str, Any]
    asked: list[Asked]
    peaks: dict[str, float]
    cpu: dict[str, float]

    @property
    def rows_per_second(self) -> float:
        """Rows, between the first request and the last answer."""
        seconds = max(a.ended for a in self.asked) - min(a.began for a in self.asked)
        return float(len({a.question for a in self.asked}) / seconds)

    def measures(self) -> dict[str, Any]:
        """Return what is compared."""
        rows = len({a.question for a in self.asked})
        return {
            "rows_per_second": round(self.rows_per_second, 1),
            "seconds": round(self.said.get("seconds", 0.0), 1),
            "cpu_ms_per_row": {part: round(1000 * s / rows, 2) for part, s in self.cpu.items()},
            "peak_mib": {part: round(peak) for part, peak in self.peaks.items()},
        }


@dataclass
class Bench:
    """All runs.

    Parameters:
        served: the sandbox.
        folder: where tables are written.
        rows: how many questions there are.
        found: what is told at the end.
    """

    served: Served
    folder: Path
    rows: int
    found: dict[str, Any] = field(default_factory=dict)

    def table(self, rows: int) -> Path:
        """Return the questions."""
        path = self.folder / f"questions_{rows}.parquet"
        asked = [QUESTIONS[n % len(QUESTIONS)].format(n) for n in range(rows)]
        pq.write_table(pa.table({"id": list(range(rows)), "question": asked}), path)
        return path

    def begin(self, engine: str, output: str, rows: int, *rest: str) -> subprocess.Popen[str]:
        """Start a program that answers them."""
        command = [sys.executable, str(Path(__file__).with_name("drive.py")), engine]
        command += [str(self.table(rows)), str(self.folder / output), str(CONCURRENCY), *rest]
        environment = {**os.environ, **self.served.env, "RAY_USAGE_STATS_ENABLED": "0"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    def whole(self, engine: str, output: str, rows: int, *rest: str) -> Run:
        """Let one run to its end."""
        before = len(self.served.asked())
        with self.begin(engine, output, rows, *rest) as program:
            return self.ended(program, Taken(program.pid), before)

    def ended(self, program: subprocess.Popen[str], taken: Taken, before: int = 0) -> Run:
        """Return what came of a program."""
        told, _ = program.communicate()
        if program.returncode:
            raise SystemExit(f"it ended with {program.returncode}")
        said = json.loads(told.splitlines()[-1])
        return Run(said, self.served.asked()[before:], taken.peaks, taken.cpu)

    def answers(self, output: str) -> dict[int, dict[str, Any]]:
        """Return a table by its ids, without what differs from run to run."""
        names = ["id", "question", "status", "answer", "citations", "usage", "error_type"]
        found = pq.read_table(self.folder / output, columns=names).to_pylist()
        return {row["id"]: row for row in found}


def broken(bench: Bench) -> None:
    """Answer all with faults, a worker killed at the half and the program at three quarters."""
    served, rows = bench.served, bench.rows
    if not (bench.folder / "local.parquet").exists():
        bench.whole("local", "local.parquet", rows)
    served.forget(FAULTS)
    with bench.begin("ray", "broken.parquet", rows) as program:
        wait(served, rows // 2)
        os.kill(workers(program.pid)[0], 9)
        wait(served, 3 * rows // 4)
        cluster = processes(program.pid)
        program.kill()
    gone(cluster)
    before = served.asked()
    resumed = bench.whole("ray", "broken.parquet", rows)
    after = resumed.asked
    table = bench.answers("broken.parquet")
    answered = Counter(asked.question for asked in (*before, *after) if asked.is_answered)
    reference = bench.answers("local.parquet")
    different = [
        key for key, row in table.items() if row["status"] == "answered" and row != reference[key]
    ]
    served.inject(())
    again = bench.whole("ray", "broken.parquet", rows, "retry")
    bench.found["broken"] = {
        "requests": len(before) + len(after),
        "requests that a fault hit": sum(not asked.is_answered for asked in (*before, *after)),
        "rows": len(table),
        "rows answered": resumed.said["answered"],
        "rows with an error": resumed.said["errors"],
        "rows neither answered nor with an error": resumed.said["open"],
        "answers unlike those without faults": len(different),
        "rows asked before the crash and after it": len(
            {a.question for a in before} & {a.question for a in after}
        ),
        "rows answered twice": sum(times > 1 for times in answered.values()),
        "rows asked again on demand": len({asked.question for asked in again.asked}),
        "rows that then differ from the run without faults": sum(
            row != reference[key] for key, row in bench.answers("broken.parquet").items()
        ),
    }


def wait(served: Served, requests: int) -> None:
    """Return once so many requests have come."""
    while served.count() < requests:
        time.sleep(0.05)


def gone(cluster: dict[int, str]) -> None:
    """Return once the desk and the workers of a program that was killed have ended.

    Agents of Ray that live on do no harm.
    """
    until = time.monotonic() + 60
    while any(is_alive(pid) for pid, name in cluster.items() if part(name) in ("desk", "workers")):
        if time.monotonic() > until:
            raise SystemExit("the workers of the killed program live on")
        time.sleep(0.1)


def is_alive(pid: int) -> bool:
    """Tell whether a worker still runs, and is no other process by now."""
    try:
        return part(Path(f"/proc/{pid}/cmdline").read_bytes().decode()) != "ray"
    except OSError:
        return False


def speeds(bench: Bench) -> None:
    """Answer all without faults, by each engine; and a quarter, for the memory."""
    for engine in ("local", "ray", "abatch"):
        for rows in (bench.rows // 4, bench.rows):
            bench.served.forget()
            name = f"{engine}.parquet" if rows == bench.rows else f"{engine}_quarter.parquet"
            bench.found[f"{engine}, {rows:,} rows"] = bench.whole(engine, name, rows).measures()


def main() -> None:
    """Measure, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=["speeds", "broken"])
    parser.add_argument("--first-token", type=float, default=0.05, help="seconds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = QUICK if options.quick else options.rows
    with tempfile.TemporaryDirectory() as folder, Served(options.first_token) as served:
        bench = Bench(served, Path(folder), rows)
        for measure in (speeds, broken):
            if options.only in (None, measure.__name__):
                measure(bench)
    tell(bench.found)
    if options.json:
        options.json.write_text(json.dumps(bench.found, indent=2) + "\n", "utf-8")


def tell(found: dict[str, Any]) -> None:
    """Print what was found."""
    for title, facts in found.items():
        print(f"\n{title}")
        for name, value in facts.items():
            shown = value
            if isinstance(value, dict):
                shown = ", ".join(f"{part} {of}" for part, of in value.items()) or "none"
            print(f"  {name:<50} {shown}")


if __name__ == "__main__":
    main()
