"""People: how well the grades of a run go with those of people, attribute by attribute, and their mean.

The paper's table of granularities prints such means over nine attributes. Grades count by their place in the order
(paper, appendix B.2), the two bipolar ones too: the paper does not say otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from assay.attribute import KINDS, Attribute
from evaluation.correlation import plcc, srcc
from evaluation.runs import BadRun, Run
from evaluation.tables import ReportTable

GRADED = tuple(name for name, kind in KINDS.items() if kind.is_graded)
Grades = Mapping[str, Mapping[str, str]]
"""Attribute -> file -> grade."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One attribute. A coefficient is None where one side says the same of every file, or there are too few files."""

    attribute: str
    n: int
    """Files that both have graded."""
    srcc: float | None
    plcc: float | None


def agreement(run: Run, people: Grades) -> list[Agreement]:
    """Of all nine attributes. BadRun if no file of the run was graded by people."""
    graded = {file for by_file in people.values() for file in by_file}
    if not graded & {row.file for row in run.rows}:
        raise BadRun(f"people graded no file of this run of {run.data_set}; files are named relative to the data set")
    return [_of(name, run, people.get(name, {})) for name in GRADED]


def _of(name: str, run: Run, people: Mapping[str, str]) -> Agreement:
    files = [row for row in run.rows if name in row.grades and row.file in people]
    ours = np.array([Attribute(name, row.grades[name]).ordinal for row in files], np.float64)
    theirs = np.array([Attribute(name, people[row.file]).ordinal for row in files], np.float64)
    found = [statistic(ours, theirs) for statistic in (srcc, plcc)]
    return Agreement(name, len(files), *(None if np.isnan(value) else float(value) for value in found))


def mean_of(found: Sequence[Agreement]) -> str:
    """ ".588 / .617", and of how many attributes if some have no coefficient."""
    both = [(each.srcc, each.plcc) for each in found if each.srcc is not None and each.plcc is not None]
    if not both:
        return f"none: no coefficient exists for any of {len(found)} attributes"
    ranks, lines = (fmean(values) for values in zip(*both, strict=True))
    partly = "" if len(both) == len(found) else f" (of {len(both)} of {len(found)} attributes)"
    return f"{ranks:.3f} / {lines:.3f}{partly}"


def people_table(run: Run, people: Grades) -> ReportTable:
    """Every attribute, and the mean that the paper prints."""
    found = agreement(run, people)
    rows = [(each.attribute, str(each.n), _cell(each.srcc), _cell(each.plcc)) for each in found]
    note = "Mean SRCC / PLCC over the attributes; grades count by their place in the order."
    return ReportTable(
        f"Grades against people's, {run.data_set} {run.setting}".rstrip(),
        ("attribute", "n", "SRCC", "PLCC"),
        (*rows, ("mean", "", *_halves(mean_of(found)))),
        (note,),
    )


def _halves(mean: str) -> tuple[str, str]:
    first, _, second = mean.partition(" / ")
    return first, second or "-"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
