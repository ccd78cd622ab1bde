"""Frames of a picture that stands still are found, so that a model need not look at the same picture again, and is
asked about a photo where a clip shows nothing else."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from assay.frame import Clip, Frame

_TILE_PX = 28
_TOGETHER = 2
"""Frames in a temporal patch of Qwen2-VL."""
_TILE_FACTOR = 4.0
"""How much more than the whole picture one tile may differ: a small thing that moves is no still picture."""


class Repeats:
    """Feed frames in order: one that is nearly the last different one comes back with the very pixels of that one.

    Compared is with the last different frame and not with the one before, so that a slow fade is not lost.

    >>> repeats = Repeats(levels=1.0)
    >>> grey = [Frame(np.full((28, 28, 3), level, np.uint8), t) for t, level in enumerate((50, 51, 52))]
    >>> first, second, third = map(repeats.feed, grey)
    >>> second.pixels is first.pixels, third.pixels is first.pixels, repeats.count
    (True, False, 1)
    """

    def __init__(self, levels: float) -> None:
        """`levels`: mean absolute difference in grey levels (of 255) up to which two frames are nearly the same; a tile
        of 28 x 28 pixels may differ by four times as much. 0: none ever are."""
        self._levels = levels
        self._last: Frame | None = None
        self._photo: Frame | None = None
        self._pixels_of_photo: NDArray[np.uint8] | None = None
        """Of the frames that show its picture."""
        self.count = 0
        """Frames that were nearly the same as the last different one."""

    def feed(self, frame: Frame) -> Frame:
        if self._last is None or not self._is_near(frame.pixels, self._last.pixels):
            self._last = frame
            self._join()
            return frame
        self.count += 1
        return Frame(self._last.pixels, frame.pts_seconds, frame.begins_scene)

    def feed_photo(self, photo: Frame) -> None:
        """The picture that is shown from its time on, in the size of photos; before or after the frame of that time."""
        self._photo, self._pixels_of_photo = photo, None
        self._join()

    def _join(self) -> None:
        if self._photo is not None and self._last is not None and self._photo.pts_seconds == self._last.pts_seconds:
            self._pixels_of_photo = self._last.pixels

    def photo_of(self, clip: Clip) -> Frame | None:
        """The latest photo, if the clip shows its picture and nothing else."""
        return self._photo if all(frame.pixels is self._pixels_of_photo for frame in clip.frames) else None

    def _is_near(self, pixels: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
        if not self._levels or pixels.shape != other.shape:
            return False
        difference = np.maximum(pixels, other) - np.minimum(pixels, other)
        if float(difference.mean()) > self._levels:
            return False
        rows, columns = (range(0, side, _TILE_PX) for side in pixels.shape[:2])
        sums = np.add.reduceat(np.add.reduceat(difference.sum(2, dtype=np.int64), rows, 0), columns, 1)
        heights, widths = (
            np.diff([*starts, side]) for starts, side in zip((rows, columns), pixels.shape, strict=False)
        )
        return bool((sums / (3 * np.outer(heights, widths))).max() <= _TILE_FACTOR * self._levels)


def distinct(clip: Clip) -> Clip:
    """Without the pairs of frames that have the pixels of the pair before them; of one picture one frame.

    By pairs, because Qwen2-VL looks at two frames in order as one: were single frames left out, two pictures that
    were never shown side by side would come to be one, as if something had moved.
    """
    pairs = [clip.frames[at : at + _TOGETHER] for at in range(0, len(clip.frames), _TOGETHER)]
    distinct_pairs = [pair for place, pair in enumerate(pairs) if not place or not _are_same(pair, pairs[place - 1])]
    frames = [frame for pair in distinct_pairs for frame in pair]
    is_one_picture = all(frame.pixels is frames[0].pixels for frame in frames)
    return Clip(tuple(frames[:1] if is_one_picture else frames), clip.is_video)


def _are_same(pair: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """A frame without a second stands for both."""
    return pair[0].pixels is other[0].pixels and pair[-1].pixels is other[-1].pixels
