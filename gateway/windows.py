"""Frames in order -> clips of a few seconds, which may overlap: the windows of a video or of a live stream.

Times are `pts_seconds`, counted from the first displayed frame; only frames that are really there count.
"""

import math
from dataclasses import replace

from assay.frame import Clip, Frame
from gateway.sampling import uniform

_TOLERANCE = 1e-6
"""Part of a window by which a time may fall short of its edge: 29.97 frames per second never lie exactly on it."""

_MOST_STANDING = 10_000
"""Windows in a row without a frame of their own; beyond them it is the times that are wrong."""


class Windows:
    """Feed frames, take clips; window k covers [k * hop_seconds, k * hop_seconds + length_seconds).

    A hop shorter than the length makes windows overlap; a longer one leaves gaps, whose frames belong to no clip. A
    frame stands until the next one, so a window without a frame of its own shows the last frame before it. Where
    windows overlap, one that shows no frame which the one before has not shown yields no clip. A clip never has more
    than `max_frames`: then frames spread evenly over its time stay and the rest are left out.

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
        self._held_span = (0.0, 0.0)
        self._shown_seconds = -1.0
        """Time of the last frame that is in a complete window."""
        self._last: Frame | None = None

    def feed(self, frame: Frame) -> list[Clip]:
        """Take the next frame; the clips that became certain by it. Raises `ValueError` if time goes back.

        Where a scene begins so does the grid, and what was before it is left behind.
        """
        if self._last is not None and frame.pts_seconds <= self._last.pts_seconds:
            raise ValueError(f"frames go back in time: {frame.pts_seconds} s after {self._last.pts_seconds} s")
        clips = self._begin_at(frame) if frame.begins_scene else self._pass_to(frame.pts_seconds)
        self._last = frame
        if self._is_at(frame.pts_seconds, self._starts_at(self._index)):
            self._open.append(frame)
        if self._held and not self._may_join():
            clips += self._release()
        return clips

    def finish(self, end_seconds: float | None = None) -> list[Clip]:
        """What is left, once the stream has ended; `end_seconds` is when its last frame ends, if that is known."""
        clips = [] if end_seconds is None else self._pass_to(end_seconds)
        end = self._last_seconds if end_seconds is None else max(end_seconds, self._last_seconds)
        fresh = self._fresh()
        start, window_end = self._span(self._index)
        if self._held:
            rest, start, window_end = (
                self._held + fresh,
                self._held_span[0],
                window_end if fresh else self._held_span[1],
            )
        else:
            rest = self._open if fresh else []
        self._open, self._held = [], []
        if rest:
            clips.append(self._clip(rest, start, max(start, min(window_end, end))))
        return self._up_to_end(clips, end) if clips and self._joins_rest else clips

    def _up_to_end(self, clips: list[Clip], end_seconds: float) -> list[Clip]:
        """The last frame may stand longer than the last window, by too little for a window of its own or by enough."""
        *others, last = clips
        left_seconds = end_seconds - last.end_seconds
        if left_seconds <= 0:
            return clips
        if self._last is None or 4 * left_seconds < self._hop_seconds or self._hop_seconds < self._length_seconds:
            return [*others, replace(last, end_seconds=end_seconds)]
        standing = replace(self._last, pts_seconds=last.end_seconds, begins_scene=False)
        return [*clips, self._clip([standing], last.end_seconds, end_seconds)]

    @property
    def _last_seconds(self) -> float:
        return self._last.pts_seconds if self._last else 0.0

    def _begin_at(self, frame: Frame) -> list[Clip]:
        clips = self.finish(frame.pts_seconds)
        self._origin_seconds, self._index = frame.pts_seconds, 0
        return clips

    def _pass_to(self, seconds: float) -> list[Clip]:
        """Nothing but what was fed is shown before this time: complete the windows that end by then."""
        clips: list[Clip] = []
        while self._open and self._is_at(seconds, self._ends_at(self._index)):
            clips += self._complete()
        return clips if self._open else clips + self._skip_to(seconds)

    def _skip_to(self, seconds: float) -> list[Clip]:
        """The windows that end by then and have no frame of their own."""
        ended = math.floor((seconds - self._origin_seconds - self._length_seconds) / self._hop_seconds + _TOLERANCE)
        if ended < self._index:
            return []
        clips, last = self._release(), self._last
        if last is not None and self._hop_seconds >= self._length_seconds and ended - self._index < _MOST_STANDING:
            clips += [self._stood(last, index) for index in range(self._index, ended + 1)]
        self._index = ended + 1
        return clips

    def _stood(self, last: Frame, index: int) -> Clip:
        """The window in which only the last frame is shown."""
        start, end = self._span(index)
        return self._clip([replace(last, pts_seconds=start, begins_scene=False)], start, end)

    def _complete(self) -> list[Clip]:
        """Close the open window and open the next."""
        frames, fresh, (start, end) = self._open, self._fresh(), self._span(self._index)
        self._index += 1
        starts_at = self._starts_at(self._index)
        self._open = [frame for frame in frames if self._is_at(frame.pts_seconds, starts_at)]
        if not fresh:
            return []
        self._shown_seconds = fresh[-1].pts_seconds
        if self._held:  # there were too few new ones
            self._held = [*self._held, *fresh]
            self._held_span = (self._held_span[0], end)
            return self._release()
        self._held, self._held_span = frames, (start, end)
        return [] if self._joins_rest else self._release()

    def _release(self) -> list[Clip]:
        held, self._held = self._held, []
        return [self._clip(held, *self._held_span)] if held else []

    def _may_join(self) -> bool:
        return 4 * len(self._fresh()) * self._length_seconds < len(self._held) * self._hop_seconds

    def _fresh(self) -> list[Frame]:
        return [frame for frame in self._open if frame.pts_seconds > self._shown_seconds]

    def _starts_at(self, index: int) -> float:
        return self._origin_seconds + index * self._hop_seconds

    def _ends_at(self, index: int) -> float:
        return self._starts_at(index) + self._length_seconds

    def _span(self, index: int) -> tuple[float, float]:
        return self._starts_at(index), self._ends_at(index)

    def _is_at(self, seconds: float, edge_seconds: float) -> bool:
        """What is shown at this time is shown at the edge or later."""
        return seconds >= edge_seconds - _TOLERANCE * self._length_seconds

    def _clip(self, frames: list[Frame], start_seconds: float, end_seconds: float) -> Clip:
        chosen = uniform([frame.pts_seconds for frame in frames], self._max_frames)
        return Clip(tuple(frames[i] for i in chosen), True, start_seconds, end_seconds)


class Runs:
    """As Windows, for a known number of frames far apart: clips are runs of them, as equal as can be."""

    def __init__(self, num_frames: int, max_frames: int) -> None:
        self._run = math.ceil(num_frames / math.ceil(num_frames / max_frames))
        self._open: list[Frame] = []

    def feed(self, frame: Frame) -> list[Clip]:
        """Take the next frame; the clip that is complete with it, because the next begins."""
        clips = self._clips(frame.pts_seconds) if len(self._open) == self._run else []
        self._open.append(frame)
        return clips

    def finish(self, end_seconds: float | None = None) -> list[Clip]:
        """What is left, once the stream has ended; `end_seconds` is when its last frame ends, if that is known."""
        return self._clips(end_seconds)

    def _clips(self, end_seconds: float | None) -> list[Clip]:
        frames, self._open = self._open, []
        if not frames:
            return []
        start, last = frames[0].pts_seconds, frames[-1].pts_seconds
        return [Clip(tuple(frames), True, start, max(last, end_seconds or 0.0))]
