"""The plot: what one streamed event costs, for everyone who was measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed.results import Results

__all__ = ["draw"]

_COLOURS = {"limit": "#8b8f94", "ours": "#1f9e89", "peer": "#d9822b"}
_KINDS = {"limit": "limit", "ours": "ours", "peer": "others"}
_INK = "#7a7f85"  # readable on white and on black
_TABLE = "short/stream"


def draw(found: Sequence[Results], path: Path) -> None:
    """Draw a bar for each subject, a panel for each framework."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    ink = dict.fromkeys(
        ("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), _INK
    )
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "speed", "font.size": 9, **ink}):
        heights = [len(_bars(one)) for one in found]
        figure, panels = plt.subplots(
            len(found), figsize=(8, 0.28 * sum(heights) + 1.4), height_ratios=heights
        )
        for one, panel in zip(found, panels, strict=True):
            _panel(panel, one)
        panels[0].legend(handles=_legend(), frameon=False, loc="lower right")
        panels[-1].set_xlabel("µs of CPU per event of a stream of 2,000, less is better")
        figure.tight_layout()
        figure.savefig(path, transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")


def _bars(found: Results) -> list[tuple[str, str, float]]:
    rows = [row for row in found.tables[_TABLE].rows if row.cpu_us is not None]
    return [(found.titles[r.subject], found.kinds[r.subject], r.cpu_us or 0.0) for r in rows]


def _panel(panel: Any, found: Results) -> None:
    bars = _bars(found)[::-1]
    drawn = panel.barh(
        [title for title, *_ in bars],
        [cpu for *_, cpu in bars],
        color=[_COLOURS[kind] for _, kind, _ in bars],
    )
    panel.bar_label(drawn, labels=[f"{cpu:,.0f}" for *_, cpu in bars], padding=3, color=_INK)
    panel.patch.set_alpha(0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.tick_params(left=False)
    panel.margins(x=0.1)


def _legend() -> list[Any]:
    from matplotlib.patches import Patch

    return [Patch(color=_COLOURS[kind], label=label) for kind, label in _KINDS.items()]
