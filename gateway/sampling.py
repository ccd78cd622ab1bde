"""Which frames to look at: by presentation time, whatever the frame rate.

Times are `pts_seconds`, counted from the first displayed frame. What a header says about duration, frame count or
rate is never used; only the times of frames that are really there.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T")

_TOLERANCE = 1e-6
"""Part of a slot by which a time may fall short of it: 29.97 frames per second are never exactly on the grid."""


class FixedRate:
    """Feed times in order, learn which frames to take: the first of every slot of 1/rate seconds.

    The grid is fixed to time 0, so errors do not add up. Where a variable frame rate leaves slots empty, the frame that
    stands is to be shown for them: `upcoming_seconds` up to `slot_start` of the next frame.

    >>> rate = FixedRate(frames_per_second=2.0)
    >>> [rate.feed(t) for t in (0.0, 0.4, 0.8, 1.2, 3.1)]
    [True, False, True, True, True]
    """

    def __init__(
        self, frames_per_second: float, window_seconds: float = math.inf, hop_seconds: float = math.inf
    ) -> None:
        """With a hop that is longer than the window only frames of [k * hop, k * hop + window) are taken."""
        if not 0.0 < frames_per_second < math.inf:
            raise ValueError(f"frames_per_second must be above 0 and finite, got {frames_per_second = }")
        self.frames_per_second = frames_per_second
        self._window_seconds = window_seconds
        self._hop_seconds = hop_seconds
        self._slot = -1
        self._origin_seconds = 0.0
        self._last_seconds = 0.0

    @property
    def slot_seconds(self) -> float:
        return 1.0 / self.frames_per_second

    @property
    def next_seconds(self) -> float:
        """No frame is taken that is shown before this time."""
        slot_seconds = (self._slot + 1 - _TOLERANCE) / self.frames_per_second
        return self._origin_seconds + self._out_of_gap(max(slot_seconds, 0.0))

    @property
    def upcoming_seconds(self) -> float:
        """When the next slot begins."""
        return self._origin_seconds + self._out_of_gap((self._slot + 1) / self.frames_per_second)

    def slot_start(self, pts_seconds: float) -> float:
        """When the slot of a frame that is shown at this time begins."""
        return self._origin_seconds + self._slot_at(pts_seconds) / self.frames_per_second

    def _slot_at(self, pts_seconds: float) -> int:
        return math.floor((pts_seconds - self._origin_seconds) * self.frames_per_second + _TOLERANCE)

    def feed(self, pts_seconds: float) -> bool:
        """True if the frame shown at this time is to be taken. Raises `ValueError` if time goes back."""
        if not self._last_seconds <= pts_seconds < math.inf:
            raise ValueError(f"times must rise from 0, got {pts_seconds = } after {self._last_seconds}")
        self._last_seconds = pts_seconds
        seconds = pts_seconds - self._origin_seconds
        if self._out_of_gap(seconds) > seconds:
            return False
        slot = self._slot_at(pts_seconds)
        is_taken = slot > self._slot
        self._slot = slot
        return is_taken

    def _out_of_gap(self, seconds: float) -> float:
        """The time, or the start of the next window if none holds it."""
        if self._hop_seconds <= self._window_seconds or math.isinf(self._hop_seconds):
            return seconds
        index = math.floor(seconds / self._hop_seconds + _TOLERANCE)
        is_inside = seconds < index * self._hop_seconds + self._window_seconds * (1 - _TOLERANCE)
        return seconds if is_inside else (index + 1) * self._hop_seconds

    def begin_at(self, pts_seconds: float) -> None:
        """Lay the grid anew, so that the frame shown at this time is taken."""
        self._origin_seconds, self._slot = pts_seconds, -1


class Spread(FixedRate, Generic[T]):
    """Frames spread evenly over a video whose length nobody knows: feed times in order, put what is wanted, finish.

    Holds the first frame of every slot of a grid. Whenever there are more than four times as many as wanted, slots
    become twice as long and every second frame goes; so memory does not grow with the video.

    >>> spread = Spread[str](num_frames=3, slot_seconds=0.5)
    >>> for i in range(1000):
    ...     if spread.feed(i / 10):
    ...         spread.put(f"frame {i}")
    >>> spread.finish()
    [(0.0, 'frame 0'), (48.0, 'frame 480'), (96.0, 'frame 960')]
    """

    _CHOSEN = 4

    def __init__(self, num_frames: int, slot_seconds: float = 0.04) -> None:
        super().__init__(1.0 / slot_seconds)
        self._num_frames = num_frames
        self._chosen: list[tuple[float, T]] = []
        self._wanted_seconds = 0.0

    def feed(self, pts_seconds: float) -> bool:
        """True if the frame shown at this time shall be `put`. Raises `ValueError` if time goes back."""
        self._wanted_seconds = pts_seconds
        return super().feed(pts_seconds)

    def put(self, item: T) -> None:
        """What belongs to the time that was fed last."""
        self._chosen.append((self._wanted_seconds, item))
        while len(self._chosen) > self._CHOSEN * self._num_frames:
            super().__init__(self.frames_per_second / 2)
            self._chosen = [(seconds, item) for seconds, item in self._chosen if FixedRate.feed(self, seconds)]

    def finish(self) -> list[tuple[float, T]]:
        """As many as were wanted, or as there are, in order of time."""
        return [self._chosen[i] for i in uniform([seconds for seconds, _ in self._chosen], self._num_frames)]


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
