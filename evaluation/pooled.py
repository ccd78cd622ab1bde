"""Pooled: the scores of a video's clips or frames -> one number. Serving has one way; the paper leaves it open."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from evaluation.correlation import Numbers


def _worst_quarter(scores: Numbers, frames: Numbers) -> float:
    """Mean of the lowest quarter of the clips, at least one: people remember the bad moments."""
    return float(np.sort(scores)[: max(1, len(scores) // 4)].mean())


POOLINGS: Mapping[str, Callable[[Numbers, Numbers], float]] = {
    "frame mean": lambda scores, frames: float(np.average(scores, weights=frames)),
    "mean": lambda scores, frames: float(scores.mean()),
    "median": lambda scores, frames: float(np.median(scores)),
    "minimum": lambda scores, frames: float(scores.min()),
    "worst quarter": _worst_quarter,
}
"""Name to the rule. `frame mean`, every clip weighing as its frames, is what the gateway serves."""


def pooled(scores: Sequence[float], frames: Sequence[int], how: str) -> float:
    """One number, in units of the scores. KeyError for a rule that does not exist."""
    if not scores or len(scores) != len(frames) or min(frames) < 1:
        raise ValueError(f"each score needs at least one frame, got {scores = }, {frames = }")
    return POOLINGS[how](np.array(scores, np.float64), np.array(frames, np.float64))
