"""Figures: scores against labels, and our coefficients next to the paper's claims. Colours of Okabe and Ito."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from data import attribute_correlation
from evaluation.claims import GROUPS
from evaluation.correlation import srcc_rows, with_interval
from evaluation.runs import FINAL, Run

# Before pyplot: no window is ever opened.
matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OURS, CLAIMED = "#0072B2", "#E69F00"


def scatter(runs: Sequence[Run], path: Path, reading: str = FINAL) -> Path:
    """A panel per run: MOS across, score up, with how many rows have no point."""
    figure, panels = plt.subplots(1, max(len(runs), 1), figsize=(3.2 * max(len(runs), 1), 3.4), squeeze=False)
    for run, panel in zip(runs, panels[0], strict=False):
        scores, mos = run.pairs(reading)
        counts = run.counts(reading)
        panel.scatter(mos, scores, s=10, alpha=0.6, color=OURS, linewidths=0)
        panel.set_title(
            f"{run.data_set}\n{counts['scored']} scored, {counts['unreadable']} unreadable, {counts['failed']} failed",
            fontsize=8,
        )
        panel.set_xlabel("MOS, in units of the data set")
        panel.set_ylabel("score")
    return _saved(figure, path)


def plot_claims(runs: Sequence[Run], path: Path, reading: str = FINAL) -> Path:
    """SRCC of every claimed row: the paper's claim, and ours."""
    claims = [claim for group in GROUPS.values() for claim in group]
    figure, panel = plt.subplots(figsize=(7, 3.6))
    for place, claim in enumerate(claims):
        panel.plot(
            [place - 0.12], [claim.srcc], "D", color=CLAIMED, label="claimed by the paper" if not place else None
        )
        for run in runs:
            if (run.data_set, run.trained_on) == (claim.data_set, claim.trained_on) and len(run.models) == 1:
                _point(panel, place + 0.12, run, reading)
    panel.plot([], [], "o", color=OURS, label="ours, 95 % interval")
    panel.set_xticks(range(len(claims)), [f"{c.data_set}\n(from {c.trained_on})" for c in claims], fontsize=7)
    panel.set_ylabel("SRCC")
    panel.axhline(0, color="0.8", linewidth=0.8)
    panel.legend(fontsize=7)
    return _saved(figure, path)


def _point(panel: Axes, place: float, run: Run, reading: str) -> None:
    found = with_interval(srcc_rows, *run.pairs(reading))
    if found.value is None:
        return
    panel.plot([place], [found.value], "o", color=OURS)
    if found.low is not None and found.high is not None:
        panel.plot([place, place], [found.low, found.high], "-", color=OURS)


def attributes(run: Run, path: Path) -> Path:
    """The paper's figure 2: how well each grade alone goes with the MOS. BadDataSet for a run without grades.

    The paper's grades are people's; these are the model's own.
    """
    grades: dict[str, dict[str, str]] = {}
    for row in run.rows:
        for name, grade in row.grades.items():
            grades.setdefault(name, {})[row.file] = grade
    rows = attribute_correlation.table(grades, {row.file: row.mos for row in run.rows})
    title = f"Served grades and MOS, {run.data_set} {run.setting}".rstrip()
    attribute_correlation.plot(rows, path, title)
    return path


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path
