"""`Report`: what came of a run, for people, for programs and for notebooks."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from qaip_core.bulk.amounts import duration, few, money, share
from qaip_core.bulk.exchange import Snapshot
from qaip_core.bulk.job import Job
from qaip_core.bulk.ledger import Totals
from qaip_core.bulk.tally import Latencies, Tally
from qaip_core.rendering.harmless import one_line, shorten

__all__ = ["Latency", "Report", "of"]

_TYPES = 5
_LONGEST = 300
_CELL = "text-align:left;vertical-align:top;padding:.1em 1em .1em 0"


@dataclass(frozen=True, slots=True)
class Latency:
    """How many seconds answers took.

    Parameters:
        p50, p90, p99: what 50, 90 and 99 % of them did not exceed; at most 1 % off, or 1 ms.
        max: the longest, exactly.
    """

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of a run, and of those before it over the same output.

    Parameters:
        output: the table with the answers.
        rows: all rows of the dataset.
        answered, failed: how many of them hold an answer, or an error.
        open: how many have not been asked.
        answered_now, failed_now: of this run.
        interrupted: how many failed since the program or a worker ended while they were asked.
        unsettled: how many failed that the service may have answered, and billed, all the same:
            those that were interrupted, not answered in time, or whose answers broke off.
        errors: how many rows failed with which type of error, the most frequent first.
        requests, input_tokens, output_tokens, tokens: of all runs together, also for rows that
            failed first and were answered later, as far as the service counts them.
        cost: the same in money; None where nobody told a price.
        latency: of the rows that are answered; None if there are none.
        seconds: what this run took, to the written table.
        asking: the seconds of these from the first row's beginning to the last one's end.
        rows_per_second: how many rows ended in each of them.
        stopped: why no more rows were asked; None if the run came to its end.
        plot: the picture of the run, SVG; None where it could not be drawn.
        no_plot: why there is no plot.
    """

    output: Path
    rows: int
    answered: int
    failed: int
    open: int
    answered_now: int
    failed_now: int
    interrupted: int
    unsettled: int
    errors: Mapping[str, int]
    requests: int
    input_tokens: int
    output_tokens: int
    tokens: int
    cost: float | None
    latency: Latency | None
    seconds: float
    asking: float
    rows_per_second: float
    stopped: str | None
    plot: Path | None
    no_plot: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data, as ``report.json`` has it."""
        return {
            **asdict(self),
            "output": str(self.output),
            "plot": self.plot and str(self.plot),
        }

    def __str__(self) -> str:
        told = self._told()
        wide = max(len(name) for name, _ in told)
        return "\n".join(f"{name:<{wide}}  {one_line(value)}" for name, value in told)

    def _repr_html_(self) -> str:
        rows = "".join(
            f'<tr><th style="{_CELL}">{name}</th><td style="{_CELL}">{escape(one_line(value))}</td>'
            "</tr>"
            for name, value in self._told()
        )
        return f"<table>{rows}</table>{self._picture()}"

    def _told(self) -> list[tuple[str, str]]:
        """Return its lines, each with a name."""
        lines = [
            ("rows", f"{self.rows:,}, in {duration(self.seconds)}{self._speed()}"),
            ("answered", _part(self.answered, self.rows, self.answered_now)),
            ("failed", _part(self.failed, self.rows, self.failed_now)),
            ("not asked", f"{self.open:,}" if self.open else ""),
            ("errors", _errors(self.errors)),
            ("requests", f"{self.requests:,}"),
            ("tokens", self._tokens()),
            ("cost", "" if self.cost is None else money(self.cost)),
            ("latency", self._latency()),
            ("stopped", shorten(one_line(self.stopped or ""), _LONGEST)),
            ("output", str(self.output)),
            ("plot", str(self.plot or f"none: {self.no_plot}")),
            ("to go on", self._next()),
        ]
        return [(name, value) for name, value in lines if value]

    def _speed(self) -> str:
        speed = f" ({duration(self.asking)} of asking, {few(self.rows_per_second)} rows/s)"
        return speed if self.rows_per_second else ""

    def _tokens(self) -> str:
        if not self.tokens:
            return ""
        return f"{self.tokens:,} ({self.input_tokens:,} input, {self.output_tokens:,} output)"

    def _latency(self) -> str:
        if self.latency is None:
            return ""
        return ", ".join(f"{name} {duration(s)}" for name, s in asdict(self.latency).items())

    def _next(self) -> str:
        """Say what to do about the rows that have no answer."""
        ways = []
        if self.open:
            ways.append(f"run it again for the {self.open:,} not asked")
        if self.failed:
            paid = f"; {self.unsettled:,} may have been billed" if self.unsettled else ""
            ways.append(f"retry_failed=True asks the {self.failed:,} failed again{paid}")
        return ", ".join(ways)

    def _picture(self) -> str:
        """Return the plot as an image, which shares no styles or ids with the page."""
        try:
            drawn = self.plot.read_bytes() if self.plot else b""
        except OSError:  # it has been moved since
            return ""
        source = f"data:image/svg+xml;base64,{b64encode(drawn).decode()}"
        return f'<img src="{source}" alt="Plot of the run" style="max-width:100%">' if drawn else ""


def of(job: Job, tally: Tally, totals: Totals, now: Snapshot, *, seconds: float) -> Report:
    """Return the report of a run, and write it with its plot beside the ledger.

    Parameters:
        job: the run.
        tally: what came of its rows.
        totals: what all runs have taken.
        now: what this run did.
        seconds: what the run took.

    Raises:
        OSError: the folder cannot be written.
    """
    answered, failed = tally.states["answered"], tally.states["failed"]
    rows = tally.states.total()
    ended = now.answered + now.failed
    plot = job.folder / "report.svg"
    no_plot = _draw(tally, plot)
    report = Report(
        output=job.output,
        rows=rows,
        answered=answered,
        failed=failed,
        open=rows - answered - failed,
        answered_now=now.answered,
        failed_now=now.failed,
        interrupted=tally.errors["InterruptedCallError"],
        unsettled=tally.unsettled,
        errors=dict(tally.errors.most_common()),
        requests=totals.requests,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        tokens=totals.tokens,
        cost=totals.cost if tally.priced or totals.cost else None,
        latency=_latency(tally.latencies),
        seconds=seconds,
        asking=now.asking,
        rows_per_second=ended / now.asking if now.asking > 0 else 0.0,
        stopped=now.stopped,
        plot=None if no_plot else plot,
        no_plot=no_plot,
    )
    _write(job.folder / "report.json", report.as_dict())
    return report


def _latency(found: Latencies) -> Latency | None:
    if not found.count:
        return None
    p50, p90, p99 = (found.quantile(part) for part in (0.5, 0.9, 0.99))
    return Latency(p50, p90, p99, found.largest)


def _draw(tally: Tally, path: Path) -> str | None:
    """Draw the plot, or return why there is none."""
    try:
        path.unlink(missing_ok=True)  # an old one would tell of another run
        from qaip_core.bulk.plot import draw

        draw(tally, path)
    except ImportError:
        return 'it is drawn by matplotlib: pip install "qaip-integrations[bulk]"'
    except Exception as error:  # noqa: BLE001 -- a run is not lost for a picture
        return f"{type(error).__name__}: {error}"
    return None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON so that the file is whole at any time."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    os.replace(new, path)


def _part(rows: int, whole: int, now: int) -> str:
    of_this_run = f", {now:,} of them in this run" if now != rows else ""
    return f"{rows:,} ({share(rows, whole)}){of_this_run}"


def _errors(errors: Mapping[str, int]) -> str:
    named = [f"{count:,} {kind}" for kind, count in list(errors.items())[:_TYPES]]
    others = sum(list(errors.values())[_TYPES:])
    return ", ".join([*named, f"{others:,} others"] if others else named)
