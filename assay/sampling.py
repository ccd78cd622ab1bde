"""Which frames to look at, and which of them belong together: by presentation time, whatever the frame rate.

Times are `pts_seconds`, counted from the first displayed frame. What a header says about duration, frame count or
rate is never used; only the times of frames that are really there.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from assay.frame import Clip, Frame

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


class Windows:
    """Groups the frames of a video into clips of `seconds` each: feed frames in order, take clips.

    Windows lie on a grid from time 0: the first is [0, seconds). One without frames yields no clip. One with less
    than a quarter as many frames as the window directly before it is no fair sample of its own (mostly the rest at
    the end), so it joins that window. A complete window is therefore held back until the next has a quarter as many
    frames, which on a live stream costs a quarter of a window. A clip never has more than `max_frames`: then frames
    spread evenly over its time are kept and the rest are left out.
    """

    def __init__(self, seconds: float, max_frames: int) -> None:
        if not 0.0 < seconds < math.inf or max_frames < 1:
            raise ValueError(f"need seconds > 0 and max_frames >= 1, got {seconds = } {max_frames = }")
        self._seconds = seconds
        self._max_frames = max_frames
        self._held: list[Frame] = []
        """Frames of the window before, which the open one may still join."""
        self._open: list[Frame] = []

    def feed(self, frame: Frame) -> Clip | None:
        """Take the next frame; returns the clip that became certain by it. Raises `ValueError` if time goes back."""
        if self._open and frame.pts_seconds <= self._open[-1].pts_seconds:
            raise ValueError(f"frames go back in time: {frame.pts_seconds} s after {self._open[-1].pts_seconds} s")
        if self._open and self._window(frame) != self._window(self._open[0]):
            if self._held:
                joined, self._held, self._open = self._held + self._open, [], [frame]
                return self._clip(joined)
            self._held, self._open = self._open, []
        self._open.append(frame)
        if self._held and not self._may_join():
            complete, self._held = self._held, []
            return self._clip(complete)
        return None

    def finish(self) -> Clip | None:
        """The last clip, once the stream has ended; None if there was no frame since the one before."""
        rest, self._held, self._open = self._held + self._open, [], []
        return self._clip(rest) if rest else None

    def _window(self, frame: Frame) -> int:
        return math.floor(frame.pts_seconds / self._seconds + _TOLERANCE)

    def _may_join(self) -> bool:
        is_next = self._window(self._open[0]) == self._window(self._held[0]) + 1
        return is_next and 4 * len(self._open) < len(self._held)

    def _clip(self, frames: list[Frame]) -> Clip:
        kept = uniform([frame.pts_seconds for frame in frames], self._max_frames)
        return Clip(tuple(frames[i] for i in kept), is_video=True)
