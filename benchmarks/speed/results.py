"""What was measured, as it is kept in docs/performance."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from speed.measure import Row
from speed.subjects import Subject

__all__ = ["FOLDER", "Results", "Row", "Table"]

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "performance"
_CPUINFO = Path("/proc/cpuinfo")


@dataclass
class Table:
    """The rows of one case.

    Parameters:
        id: case and way.
        title: what was done.
        unit: what a figure is for: an event, a call, an import.
        rows: a row for each subject.
    """

    id: str
    title: str
    unit: str
    rows: list[Row]

    def cpu(self, subject: str) -> float | None:
        """Return the CPU time of a subject; None if it was not measured."""
        return next((row.cpu_us for row in self.rows if row.subject == subject), None)


@dataclass
class Results:
    """Everything that was measured in one process.

    Parameters:
        which: the framework.
        machine: cores, model of the processor, version of Python.
        titles, kinds, versions: of the subjects, by id.
        server: see `server.Server.report`.
        targets: see `targets.Target`.
    """

    which: str
    machine: dict[str, Any]
    titles: dict[str, str]
    kinds: dict[str, str]
    versions: dict[str, str]
    tables: dict[str, Table] = field(default_factory=dict)
    server: dict[str, float] = field(default_factory=dict)
    targets: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, which: str, subjects: Sequence[Subject]) -> Results:
        """Return results that are still empty."""
        return cls(
            which,
            machine(),
            {s.id: s.title for s in subjects},
            {s.id: s.kind for s in subjects},
            {s.distribution or "httpx": s.version or "" for s in subjects},
        )

    @classmethod
    def load(cls, which: str, folder: Path = FOLDER) -> Results:
        """Return what was saved."""
        found = cls(**json.loads((folder / f"{which}.json").read_text()))
        for name, table in found.tables.items():
            known: dict[str, Any] = dict(table)  # type: ignore[call-overload]
            known["rows"] = [Row(**row) for row in known["rows"]]
            found.tables[name] = Table(**known)
        return found

    def add(self, name: str, title: str, unit: str, rows: Iterable[Row]) -> None:
        """Keep a table."""
        order = list(self.titles)
        ordered = sorted(rows, key=lambda row: order.index(row.subject))
        self.tables[name] = Table(name, title, unit, ordered)

    def cpu(self, table: str, subject: str) -> float | None:
        """Return a CPU time in microseconds; None if it was not measured."""
        return self.tables[table].cpu(subject) if table in self.tables else None

    def save(self) -> None:
        """Write them, with as many digits as mean something."""
        FOLDER.mkdir(exist_ok=True)
        text = json.dumps(_rounded(asdict(self)), indent=1)
        (FOLDER / f"{self.which}.json").write_text(text + "\n")


def machine() -> dict[str, Any]:
    """Return what tells machines apart, and nothing that names one."""
    lines = _CPUINFO.read_text().splitlines() if _CPUINFO.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "python": platform.python_version(),
    }


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
