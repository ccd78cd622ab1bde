"""Spread: a few of many times, taken as evenly as they lie."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise


def uniform(pts_seconds: Sequence[float], num_frames: int) -> list[int]:
    """Indexes of the frames nearest to `num_frames` times spread evenly from the first frame to the last.

    `pts_seconds` rises strictly. All indexes are different and in order; fewer come back only if there are fewer
    frames. One frame is taken from the middle.

    >>> uniform([0.0, 0.1, 0.2, 5.0, 9.9, 10.0], 3)
    [0, 3, 5]
    """
    if num_frames < 1:
        raise ValueError(f"num_frames must be >= 1, got {num_frames = }")
    if any(later <= earlier for earlier, later in pairwise(pts_seconds)):
        raise ValueError("pts_seconds must rise strictly")
    if len(pts_seconds) <= num_frames:
        return list(range(len(pts_seconds)))
    first, span = pts_seconds[0], pts_seconds[-1] - pts_seconds[0]
    wanted = [first + span * (i / (num_frames - 1) if num_frames > 1 else 0.5) for i in range(num_frames)]
    picked: list[int] = []
    for i, seconds in enumerate(wanted):
        # Never one that is taken, and leave enough behind for those still to come.
        lowest = picked[-1] + 1 if picked else 0
        highest = len(pts_seconds) - (num_frames - i)
        picked.append(min(max(_nearest(pts_seconds, seconds), lowest), highest))
    return picked


def _nearest(pts_seconds: Sequence[float], seconds: float) -> int:
    right = min(bisect_left(pts_seconds, seconds), len(pts_seconds) - 1)
    left = max(right - 1, 0)
    return left if seconds - pts_seconds[left] <= pts_seconds[right] - seconds else right
