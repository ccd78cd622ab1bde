"""Correlation of scores with MOS: SRCC, PLCC, PLCC after a logistic fit, bootstrap intervals, differences."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import DegenerateDataWarning, bootstrap, rankdata

Numbers = NDArray[np.float64]

Statistic = Callable[[Numbers, Numbers], Numbers]
"""Row by row: (rows, n) scores and (rows, n) MOS to (rows,) coefficients."""


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation coefficient with its interval; without a value there is a reason."""

    value: float | None
    """-1 to 1."""
    low: float | None = None
    """Lower end of the 95 % bootstrap percentile interval."""
    high: float | None = None
    reason: str = ""
    """Why there is no value or no interval; empty if there are both."""


def srcc(scores: Numbers, mos: Numbers) -> float:
    """Spearman's rank correlation; ties get their mean rank. NaN if either is constant or has fewer than 2 values."""
    return plcc(rankdata(scores), rankdata(mos))


def plcc(scores: Numbers, mos: Numbers) -> float:
    """Pearson's linear correlation. NaN if either is constant or has fewer than 2 values."""
    if len(scores) < 2 or np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return float("nan")
    return float(_pearson(scores[None], mos[None])[0])


def logistic(x: Numbers, upper: float, lower: float, middle: float, width: float) -> Numbers:
    """The four-parameter logistic function of VQEG: lower + (upper - lower) / (1 + exp(-(x - middle) / |width|)).

    From the Video Quality Experts Group's final report on the validation of objective models of video quality
    assessment (FR-TV phase I, 2000), as used throughout the field since (for instance in pyiqa's PLCC).
    """
    slope = np.clip((x - middle) / max(abs(width), 1e-12), -500.0, 500.0)
    return np.asarray(lower + (upper - lower) / (1.0 + np.exp(-slope)))


@dataclass(frozen=True, slots=True)
class LogisticFit:
    """The logistic function that brings scores closest to MOS (least squares)."""

    upper: float
    lower: float
    middle: float
    width: float

    def __call__(self, scores: Numbers) -> Numbers:
        return logistic(scores, self.upper, self.lower, self.middle, self.width)


def fit_logistic(scores: Numbers, mos: Numbers) -> LogisticFit | str:
    """The fit, or why there is none. Starts where the literature does: max and min MOS, mean and std/4 of scores."""
    if len(scores) < 5:
        return f"four parameters need at least 5 files, got {len(scores)}"
    if np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return "all scores or all MOS are equal"
    start = (mos.max(), mos.min(), scores.mean(), scores.std() / 4)
    try:
        # A covariance that cannot be estimated is of no concern: only the parameters are used.
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            parameters, _ = curve_fit(logistic, scores, mos, p0=start, maxfev=20_000)
    except RuntimeError:
        return "the logistic fit did not converge"
    return LogisticFit(*map(float, parameters))


def with_interval(
    statistic: Statistic,
    scores: Numbers,
    mos: Numbers,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> Correlation:
    """A correlation and its 95 % bootstrap percentile interval over files; equal seeds give equal intervals.

    `statistic` is `srcc_rows` or `plcc_rows`.
    """
    if len(scores) < 3:
        return Correlation(None, reason=f"a correlation needs at least 3 files, got {len(scores)}")
    if np.ptp(scores) == 0 or np.ptp(mos) == 0:
        return Correlation(None, reason=f"all {'scores' if np.ptp(scores) == 0 else 'MOS'} are equal")
    return _with_interval(statistic, (scores, mos), draws, seed)


def difference(
    statistic: Statistic, scores: Numbers, others: Numbers, mos: Numbers, *, draws: int = 2000, seed: int = 0
) -> Correlation:
    """Statistic of `scores` minus that of `others` over the same files, and its 95 % interval by a paired bootstrap.

    Both are drawn together, so what they share (an odd label, a hard file) cancels out.
    """
    if len(scores) < 3 or any(np.ptp(each) == 0 for each in (scores, others, mos)):
        return Correlation(None, reason="a difference needs at least 3 files and nothing that is all equal")
    return _with_interval(lambda a, b, c: statistic(a, c) - statistic(b, c), (scores, others, mos), draws, seed)


def srcc_rows(scores: Numbers, mos: Numbers) -> Numbers:
    """SRCC of every row of (rows, n)."""
    return _pearson(rankdata(scores, axis=1), rankdata(mos, axis=1))


def plcc_rows(scores: Numbers, mos: Numbers) -> Numbers:
    """PLCC of every row of (rows, n)."""
    return _pearson(scores, mos)


def _with_interval(statistic: Callable[..., Numbers], samples: Sequence[Numbers], draws: int, seed: int) -> Correlation:
    """The samples are drawn together. The interval is not scipy's own, which any draw without a value would undo."""
    value = float(statistic(*(sample[None] for sample in samples))[0])
    # In batches, because 2,000 draws of 10,000 files are 160 MB for each of the arrays in between.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            samples,
            lambda *picked, axis: statistic(*picked),
            n_resamples=draws,
            batch=100,
            vectorized=True,
            paired=True,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    values = drawn.bootstrap_distribution[np.isfinite(drawn.bootstrap_distribution)]
    # Few files give draws in which all labels are equal; a handful says nothing of the rest.
    if len(values) < draws / 2:
        return Correlation(value, reason=f"{draws - len(values)} of {draws} bootstrap draws were constant")
    low, high = np.percentile(values, [2.5, 97.5])
    return Correlation(value, float(low), float(high))


def _pearson(a: Numbers, b: Numbers) -> Numbers:
    """Row by row; NaN where one of the two rows is constant."""
    is_constant = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    a, b = _centred(a), _centred(b)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.asarray(np.where(is_constant, np.nan, np.clip(r, -1.0, 1.0)))


def _centred(rows: Numbers) -> Numbers:
    """Around 0 and at most 1 in size, so that squares neither underflow nor overflow."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(rows / np.abs(rows).max(axis=1, keepdims=True))
