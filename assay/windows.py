"""Frames in order -> clips of a few seconds, which may overlap: the windows of a video or of a live stream.

Times are `pts_seconds`, counted from the first displayed frame; only frames that are really there count.
"""

import math

from assay.frame import Clip, Frame
from assay.spread import uniform

_TOLERANCE = 1e-6
"""Part of a window by which a time may fall short of its edge: 29.97 frames per second never lie exactly on it."""


class Windows:
    """Feed frames, take clips; window k covers [k * hop_seconds, k * hop_seconds + length_seconds).

    A hop shorter than the length makes windows overlap; a longer one leaves gaps, whose frames belong to no clip. A
    window that shows no frame which the one before has not shown yields no clip. A clip never has more than
    `max_frames`: then frames spread evenly over its time are kept and the rest are left out.

    With `joins_rest` a window whose new frames are less than a quarter of a hop's is no fair sample of its own (mostly
    the rest at the end), so they join the window directly before it. A complete window is therefore held back until it
    is clear that the next stands alone, which costs a quarter of a hop. Without, a clip comes with the first frame
    behind its window.

    >>> import numpy as np
    >>> windows = Windows(length_seconds=2.0, max_frames=8, hop_seconds=1.0, joins_rest=False)
    >>> frames = [Frame(np.zeros((1, 1, 3), np.uint8), i / 2) for i in range(8)]
    >>> [[f.pts_seconds for f in clip.frames] for frame in frames for clip in windows.feed(frame)]
    [[0.0, 0.5, 1.0, 1.5], [1.0, 1.5, 2.0, 2.5]]
    """

    def __init__(
        self, length_seconds: float, max_frames: int, *, hop_seconds: float | None = None, joins_rest: bool = True
    ) -> None:
        hop_seconds = length_seconds if hop_seconds is None else hop_seconds
        if not (0.0 < length_seconds < math.inf and 0.0 < hop_seconds < math.inf) or max_frames < 1:
            raise ValueError(
                f"need seconds > 0 and max_frames >= 1, got {length_seconds = } {hop_seconds = } {max_frames = }"
            )
        self._length_seconds = length_seconds
        self._hop_seconds = hop_seconds
        self._max_frames = max_frames
        self._joins_rest = joins_rest and hop_seconds <= length_seconds
        self._origin_seconds = 0.0
        self._index = 0
        self._open: list[Frame] = []
        """Frames of window `_index`, which is not complete."""
        self._held: list[Frame] = []
        """Frames of the window before, which what is new in the open one may still join."""
        self._shown_seconds = -1.0
        """Time of the last frame that is in a complete window."""
        self._last_seconds = -1.0

    def feed(self, frame: Frame) -> list[Clip]:
        """Take the next frame; the clips that became certain by it. Raises `ValueError` if time goes back.

        Where a scene begins so does the grid, and what was before it is left behind.
        """
        if frame.pts_seconds <= self._last_seconds:
            raise ValueError(f"frames go back in time: {frame.pts_seconds} s after {self._last_seconds} s")
        self._last_seconds = frame.pts_seconds
        clips = self._begin_at(frame) if frame.begins_scene else []
        while self._open and self._is_at(frame, self._starts_at(self._index) + self._length_seconds):
            clips += self._complete()
        if not self._open:
            clips += self._skip_to(frame)
        if self._is_at(frame, self._starts_at(self._index)):
            self._open.append(frame)
        if self._held and not self._may_join():
            clips += self._release()
        return clips

    def finish(self) -> list[Clip]:
        """What is left, once the stream has ended."""
        fresh = self._fresh()
        rest = self._held + fresh if self._held else (self._open if fresh else [])
        self._open, self._held = [], []
        return [self._clip(rest)] if rest else []

    def _begin_at(self, frame: Frame) -> list[Clip]:
        clips = self.finish()
        self._origin_seconds, self._index = frame.pts_seconds, 0
        return clips

    def _complete(self) -> list[Clip]:
        """Close the open window and open the next."""
        frames, fresh = self._open, self._fresh()
        self._index += 1
        self._open = [frame for frame in frames if self._is_at(frame, self._starts_at(self._index))]
        if not fresh:
            return []
        self._shown_seconds = fresh[-1].pts_seconds
        if self._held:  # there were too few new ones
            self._held = [*self._held, *fresh]
            return self._release()
        self._held = frames
        return [] if self._joins_rest else self._release()

    def _skip_to(self, frame: Frame) -> list[Clip]:
        """The first window that can hold the frame is the open one."""
        ended = math.floor(
            (frame.pts_seconds - self._origin_seconds - self._length_seconds) / self._hop_seconds + _TOLERANCE
        )
        if ended + 1 <= self._index:
            return []
        self._index = ended + 1
        return self._release()

    def _release(self) -> list[Clip]:
        held, self._held = self._held, []
        return [self._clip(held)] if held else []

    def _may_join(self) -> bool:
        return 4 * len(self._fresh()) * self._length_seconds < len(self._held) * self._hop_seconds

    def _fresh(self) -> list[Frame]:
        return [frame for frame in self._open if frame.pts_seconds > self._shown_seconds]

    def _starts_at(self, index: int) -> float:
        return self._origin_seconds + index * self._hop_seconds

    def _is_at(self, frame: Frame, seconds: float) -> bool:
        """The frame is shown at this time or later."""
        return frame.pts_seconds >= seconds - _TOLERANCE * self._length_seconds

    def _clip(self, frames: list[Frame]) -> Clip:
        kept = uniform([frame.pts_seconds for frame in frames], self._max_frames)
        return Clip(tuple(frames[i] for i in kept), is_video=True)


class Runs:
    """As Windows, for a known number of frames far apart: clips are runs of them, as equal as can be."""

    def __init__(self, num_frames: int, max_frames: int) -> None:
        self._run = math.ceil(num_frames / math.ceil(num_frames / max_frames))
        self._open: list[Frame] = []

    def feed(self, frame: Frame) -> list[Clip]:
        """Take the next frame; the clip that is complete with it."""
        self._open.append(frame)
        return self.finish() if len(self._open) == self._run else []

    def finish(self) -> list[Clip]:
        """What is left, once the stream has ended."""
        frames, self._open = self._open, []
        return [Clip(tuple(frames), is_video=True)] if frames else []
