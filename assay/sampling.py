"""Which frames to look at: by presentation time, whatever the frame rate.

Times are `pts_seconds`, counted from the first displayed frame. What a header says about duration, frame count or
rate is never used; only the times of frames that are really there.
"""

import math

_TOLERANCE = 1e-6
"""Part of a slot by which a time may fall short of it: 29.97 frames per second are never exactly on the grid."""


class FixedRate:
    """Feed times in order, learn which frames to take: the first of every slot of 1/rate seconds.

    The grid is fixed to time 0, so errors do not add up; where a variable frame rate leaves slots empty nothing is
    taken twice.

    >>> rate = FixedRate(frames_per_second=2.0)
    >>> [rate.feed(t) for t in (0.0, 0.4, 0.8, 1.2, 3.1)]
    [True, False, True, True, True]
    """

    def __init__(self, frames_per_second: float) -> None:
        if not 0.0 < frames_per_second < math.inf:
            raise ValueError(f"frames_per_second must be above 0 and finite, got {frames_per_second = }")
        self._frames_per_second = frames_per_second
        self._slot = -1
        self._last_seconds = 0.0

    def feed(self, pts_seconds: float) -> bool:
        """True if the frame shown at this time is to be taken. Raises `ValueError` if time goes back."""
        if not self._last_seconds <= pts_seconds < math.inf:
            raise ValueError(f"times must rise from 0, got {pts_seconds = } after {self._last_seconds}")
        self._last_seconds = pts_seconds
        slot = math.floor(pts_seconds * self._frames_per_second + _TOLERANCE)
        is_taken = slot > self._slot
        self._slot = slot
        return is_taken
