"""Attributes against MOS (the paper's figure 2): how well each graded attribute alone tells the score.

Grades count by their place in the order (cluttered 1, moderately cluttered 2, uncluttered 3; paper, section 3.1). The
paper does not say how the two bipolar attributes are counted, so each has two rows: by place, and by closeness to the
middle (0 for "properly exposed", -2 for either end), where more is better in both cases.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr

from assay.attribute import KINDS, Attribute
from data.tables import BadDataSet

MONOTONE, MIDDLE = "monotone", "closeness to the middle"


@dataclass(frozen=True, slots=True)
class AttributeCorrelation:
    """One attribute under one coding."""

    attribute: str
    coding: str
    count: int
    """Pictures with both a grade and a MOS."""
    srcc: float | None
    """None where all grades, or all MOS, are the same."""
    plcc: float | None


def table(grades: Mapping[str, Mapping[str, str]], mos: Mapping[str, float]) -> list[AttributeCorrelation]:
    """Rows in the schema's order. `grades`: attribute -> file -> grade; `mos`: file -> MOS, on any scale.

    BadDataSet if a file that was graded has no MOS: it belongs to another set.
    """
    rows = []
    for name, by_file in grades.items():
        if strangers := sorted(set(by_file) - set(mos)):
            raise BadDataSet(f"{strangers[0]} has a grade of {name}, and no MOS; it is not of this set")
    for name, kind in KINDS.items():
        if kind.is_graded and (by_file := grades.get(name, {})):
            places = np.array([Attribute(name, grade).ordinal for grade in by_file.values()], np.float64)
            means = np.array([mos[file] for file in by_file])
            rows.append(_row(name, MONOTONE, places, means))
            if kind.is_bipolar:
                rows.append(_row(name, MIDDLE, -np.abs(places - (len(kind.grades) + 1) / 2), means))
    if not rows:
        raise BadDataSet("no graded attribute has a label")
    return rows


def write_table(rows: Sequence[AttributeCorrelation], path: Path) -> None:
    """CSV; empty cells where a coefficient does not exist."""
    with path.open("w", newline="", encoding="utf-8") as text:
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["attribute", "coding", "count", "srcc", "plcc"])
        for row in rows:
            writer.writerow([row.attribute, row.coding, row.count, _cell(row.srcc), _cell(row.plcc)])


def plot(rows: Sequence[AttributeCorrelation], path: Path, title: str) -> None:
    """Bars of SRCC and PLCC; the file's suffix says the format. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(rows) + 1.2), layout="constrained")
    places = np.arange(len(rows))
    for shift, name in ((-0.2, "srcc"), (0.2, "plcc")):
        values = [getattr(row, name) or 0.0 for row in rows]
        axes.barh(places + shift, values, 0.38, label=name.upper())
    for place, row in zip(places, rows, strict=True):
        if row.srcc is None:
            # A bar of no length would say that there is no correlation.
            axes.text(0.01, place, "no coefficient", va="center", fontsize=8)
    names = [row.attribute if row.coding == MONOTONE else f"{row.attribute} ({row.coding})" for row in rows]
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("correlation with MOS")
    axes.set_title(title)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)


def _row(name: str, coding: str, places: NDArray[np.float64], mos: NDArray[np.float64]) -> AttributeCorrelation:
    if len(places) < 2 or np.ptp(places) == 0 or np.ptp(mos) == 0:
        return AttributeCorrelation(name, coding, len(places), None, None)
    return AttributeCorrelation(
        name, coding, len(places), float(spearmanr(places, mos)[0]), float(pearsonr(places, mos)[0])
    )


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
