"""The plot of a run: when rows ended, how long answers took, and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
    StrMethodFormatter,
)

from qaip_core.bulk.amounts import duration
from qaip_core.bulk.tally import Latencies, Stretch, Tally, Timeline
from qaip_core.rendering.harmless import one_line, shorten

__all__ = ["draw"]

_ANSWERED, _FAILED, _INK = "#0072b2", "#d55e00", "#333333"  # told apart by everyone: Okabe, Ito
_LOOKS: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "qaip",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), _INK),
    **dict.fromkeys(("xtick.color", "ytick.color", "axes.titlecolor"), _INK),
}
_TIMES = (
    (172_800, 86_400, "days"),
    (7_200, 3_600, "hours"),
    (120, 60, "minutes"),
    (0, 1, "seconds"),
)
_RATES = ((1, "s"), (60, "minute"), (3_600, "hour"))
_BARS = 40
_TYPES = 6
_ROOM = 1.7
"""By which a panel is higher than what is in it, for the legend."""


def draw(tally: Tally, path: Path) -> None:
    """Draw the plot.

    Parameters:
        tally: what came of the rows.
        path: the file; its ending names the format, such as SVG or PNG.

    Raises:
        OSError: it cannot be written.
    """
    with style.context(["default", _LOOKS]):  # whatever the user has set for other plots
        figure = Figure(figsize=(8, 5), facecolor="white", layout="constrained")
        panels = figure.subplot_mosaic([["time", "time"], ["latency", "errors"]])
        _timeline(panels["time"], tally.timeline, tally.states)
        _latencies(panels["latency"], tally.latencies)
        _errors(panels["errors"], tally.errors)
        _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    is_svg = path.suffix == ".svg"
    figure.savefig(path, metadata={"Date": None, "Creator": None} if is_svg else None)


def _timeline(panel: Axes, found: Timeline, states: Mapping[str, int]) -> None:
    stretches = found.stretches()
    panel.set_title("Rows over time")
    if not stretches:
        _nothing(panel, "no row has ended")
        return
    peak = max(a + f for s in stretches for a, f in zip(s.answered, s.failed, strict=True))
    scale, each = next((r for r in _RATES if peak * r[0] >= found.width), _RATES[-1])
    bins = sum(len(stretch.answered) for stretch in stretches)
    _, unit, name = next(t for t in _TIMES if bins * found.width >= t[0])
    start, apart = 0.0, bins * found.width / unit / 50
    for stretch in stretches:
        if stretch.idle:
            _break(panel, start + apart / 2, duration(stretch.idle))
            start += apart
        start = _stretch(panel, stretch, start, found.width / unit, scale / found.width)
    panel.set(xlim=(0, start), ylabel=f"rows per {each}", xlabel=_elapsed(name, len(stretches)))
    panel.set_ylim(0, peak * scale / found.width * 1.25)  # room for the legend
    kinds = [f"answered {states.get('answered', 0):,}", f"failed {states.get('failed', 0):,}"]
    panel.legend(panel.patches[:2], kinds, loc="upper right", ncols=2)


def _stretch(panel: Axes, stretch: Stretch, start: float, width: float, scale: float) -> float:
    """Draw one, failures upon answers, and return where it ends."""
    edges = [start + n * width for n in range(len(stretch.answered) + 1)]
    answered = [rows * scale for rows in stretch.answered]
    failed = [rows * scale for rows in stretch.failed]
    both = [a + f for a, f in zip(answered, failed, strict=True)]
    panel.stairs(answered, edges, fill=True, color=_ANSWERED)
    panel.stairs(both, edges, baseline=answered, fill=True, color=_FAILED)
    return edges[-1]


def _break(panel: Axes, place: float, idle: str) -> None:
    panel.axvline(place, color=_INK, linestyle=":", linewidth=1)
    looks = {"rotation": 90, "va": "center", "ha": "center", "fontsize": 7}
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    panel.text(place, 0.5, f"{idle} idle", looks, transform=panel.get_xaxis_transform(), bbox=box)


def _elapsed(unit: str, stretches: int) -> str:
    return f"{unit} of work, without the breaks" if stretches > 1 else unit


def _latencies(panel: Axes, found: Latencies) -> None:
    panel.set_title("Latency of answers")
    bars = found.bars(_BARS)
    if not bars:
        _nothing(panel, "no answers")
        return
    edges = [bars[0].low, *(bar.high for bar in bars)]
    panel.stairs([bar.rows for bar in bars], edges, fill=True, color=_ANSWERED, alpha=0.55)
    for name, part, line in (("p50", 0.5, "-"), ("p90", 0.9, "--"), ("p99", 0.99, ":")):
        value = found.quantile(part)
        label = f"{name} {duration(value)}"
        panel.axvline(max(value, edges[0]), 0, 1 / _ROOM, color=_INK, linestyle=line, label=label)
    panel.set_xscale("log")
    middle = (edges[0] * edges[-1]) ** 0.5
    panel.set_xlim(min(edges[0], middle / 4), max(edges[-1], middle * 4))  # some ticks at least
    panel.xaxis.set_major_locator(_ticks(edges))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _count(panel.yaxis)
    panel.set(xlabel="seconds, from the first request, waits included", ylabel="rows")
    panel.set_ylim(0, max(bar.rows for bar in bars) * _ROOM)
    panel.legend(loc="upper right")


def _ticks(edges: list[float]) -> LogLocator:
    return LogLocator(subs=(1, 2, 5) if edges[-1] < edges[0] * 1_000 else (1,))


def _errors(panel: Axes, errors: Mapping[str, int]) -> None:
    panel.set_title("Errors by type")
    if not errors:
        _nothing(panel, "no errors")
        return
    counts = sorted(errors.items(), key=lambda item: -item[1])
    shown = [(shorten(one_line(kind), 28), count) for kind, count in counts[:_TYPES]]
    if others := sum(count for _, count in counts[_TYPES:]):
        shown.append(("others", others))
    places = range(len(shown))
    bars = panel.barh(places, [count for _, count in shown], color=_FAILED, height=0.6)
    panel.bar_label(bars, [f"{count:,}" for _, count in shown], padding=3)
    panel.set_yticks(places, [kind for kind, _ in shown], parse_math=False)
    panel.set_ylim(max(len(shown), 3) - 0.5, -0.5)
    _count(panel.xaxis)
    panel.set_xlabel("rows")
    panel.margins(x=0.15)
    panel.tick_params(axis="y", left=False)


def _count(axis: Axis) -> None:
    axis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _nothing(panel: Axes, why: str) -> None:
    panel.set_axis_off()
    panel.text(0.5, 0.5, why, ha="center", va="center", transform=panel.transAxes)
