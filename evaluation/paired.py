"""Paired bootstrap: is one setting better than the other, on the same files?

KonIQ's own interval is about 0.005 wide on each side, as much as most differences between methods; the files are the
same in both settings, though, so both are drawn together and only the difference is compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.correlation import Correlation, Numbers, Statistic, difference, plcc, plcc_rows, srcc, srcc_rows
from evaluation.runs import BadRun, Run

STATISTICS: dict[str, Statistic] = {"SRCC": srcc_rows, "PLCC": plcc_rows}


@dataclass(frozen=True, slots=True)
class Difference:
    """One statistic of two settings."""

    statistic: str
    first: float
    """NaN if it does not exist."""
    second: float
    change: Correlation
    """Second minus first, with the 95 % interval of the difference; without a value there is a reason."""

    @property
    def is_noticeable(self) -> bool | None:
        """Whether 0 lies outside of the interval; None if there is none."""
        if self.change.low is None or self.change.high is None:
            return None
        return self.change.low > 0 or self.change.high < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two settings on the files that both have scored."""

    n: int
    """Files of the split."""
    compared: int
    only_first: int
    only_second: int
    neither: int
    differences: tuple[Difference, ...]


def compare(first: Run, second: Run, readings: Sequence[str], *, seed: int = 0) -> Comparison:
    """`readings` is one for each run. BadRun if the runs are not about the same files, or mix models."""
    mos = {row.file: row.mos for row in first.rows}
    if mos != {row.file: row.mos for row in second.rows}:
        raise BadRun(f"the runs differ in files or labels ({first.data_set} and {second.data_set}): there are no pairs")
    if len(first.models) > 1 or len(second.models) > 1:
        raise BadRun("a run was scored by more than one model, and its scores must not be compared")
    a, b = (
        {row.file: row.scores[reading] for row in run.rows if reading in row.scores}
        for run, reading in zip((first, second), readings, strict=True)
    )
    both = [file for file in mos if file in a and file in b]
    scores = [np.array([table[file] for file in both], np.float64) for table in (a, b, mos)]
    neither = sum(file not in a and file not in b for file in mos)
    found = tuple(_difference(name, *scores, seed=seed) for name in STATISTICS)
    return Comparison(len(mos), len(both), len(a) - len(both), len(b) - len(both), neither, found)


def _difference(name: str, a: Numbers, b: Numbers, mos: Numbers, *, seed: int) -> Difference:
    single = {"SRCC": srcc, "PLCC": plcc}[name]
    return Difference(name, single(a, mos), single(b, mos), difference(STATISTICS[name], b, a, mos, seed=seed))
