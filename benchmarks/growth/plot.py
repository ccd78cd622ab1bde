"""A panel for each sweep: what was measured, the curve through it, and the roofline."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from benchmarks.growth.measure import CurveFit, GrowthPoint, HourPoint, fit
from benchmarks.growth.sweeps import SWEEPS

matplotlib.use("Agg")
from matplotlib import pyplot

_COLUMNS = 4


def plot(found: Mapping[str, Sequence[GrowthPoint]], hours: Sequence[HourPoint], path: Path, caption: str) -> None:
    """Writes a picture in the format that the file's name ends in; `caption` says on what it was measured."""
    count = len(found) + 2 * bool(hours)
    rows = -(-count // _COLUMNS)
    figure, grid = pyplot.subplots(rows, min(count, _COLUMNS), figsize=(4.2 * min(count, _COLUMNS), 3.8 * rows))
    panels = list(np.ravel(grid))
    for panel, (name, points) in zip(panels, found.items(), strict=False):
        amounts, costs = [each.amount for each in points], [each.cpu_ms for each in points]
        _draw(panel, amounts, costs, fit(amounts, costs, SWEEPS[name].degree))
        panel.plot(amounts, [each.least_ms for each in points], "--", color="C2", label="roofline")
        panel.set(title=name, xlabel=SWEEPS[name].unit, ylabel="CPU ms")
    if hours:
        _draw_hours(panels[count - 2], panels[count - 1], hours)
    for panel in panels[count:]:
        panel.axis("off")
    for panel in panels[:count]:
        panel.set_ylim(bottom=0)
        panel.set_xlim(left=0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8, frameon=False, loc="best")
    figure.text(0.5, 0.01, caption, ha="center", fontsize=8)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)


def _draw_hours(cost: "matplotlib.axes.Axes", memory: "matplotlib.axes.Axes", hours: Sequence[HourPoint]) -> None:
    at = [each.hours for each in hours]
    spent, resident = [each.cpu_seconds for each in hours], [each.resident_mib for each in hours]
    _draw(cost, at, spent, fit(at, spent))
    cost.plot(at, [each.least_seconds for each in hours], "--", color="C2", label="roofline")
    cost.set(title="hours", xlabel="hours of a video of small frames", ylabel="CPU s")
    _draw(memory, at, resident, fit(at, resident))
    memory.set(title="memory", xlabel="hours of a video of small frames", ylabel="resident, MiB")
    memory.set_ylim(top=1.3 * max(resident))


def _draw(panel: "matplotlib.axes.Axes", amounts: Sequence[float], costs: Sequence[float], through: CurveFit) -> None:
    panel.plot(amounts, costs, "o", color="C0", label="measured")
    line = np.linspace(0, max(amounts), 50)
    panel.plot(line, through.curve(line), color="C1", label=f"{through}")
