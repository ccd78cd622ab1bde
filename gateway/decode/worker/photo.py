"""A picture of a video that stands still, in the size of photos: a model judges it as it judges the photo of it."""

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from assay.frame import Frame
from gateway.decode.spec import DecodeSpec, StillPhoto, Target
from gateway.decode.worker.borders import inside
from gateway.decode.worker.resize import resize_picture
from gateway.repeats import Repeats

_MAX_PX = 4_000_000
"""Area up to which the whole picture is made before it is resized: the size of a model shows no difference, and 8K
would take memory and time that moving videos do not."""
Render = Callable[[tuple[int, int]], NDArray[np.uint8]]
"""(height, width) -> the frame in that size, RGB."""


class StandingPictures:
    """Feed the samples in order: the second that shows one picture gives a `StillPhoto` of it, all others nothing."""

    def __init__(self, spec: DecodeSpec, warnings: list[str]) -> None:
        self._target = spec.photo_target if spec.repeat_levels else None
        self._repeats = Repeats(spec.repeat_levels)
        self._warnings = warnings
        self._first: Frame | None = None
        """The sample that shows the picture first, as long as no photo of it was given."""
        self._samples = 0

    def feed(self, frame: Frame, shown: tuple[int, int], render: Render) -> Iterator[StillPhoto]:
        """`shown` is (height, width) of the frame as it is displayed."""
        if self._target is None:
            return
        self._samples += 1
        if self._repeats.feed(frame) is frame:
            self._first = frame
        elif self._first is not None:
            yield self._photo(self._target, self._first, shown, render)
            self._first = None

    def rest(self, shown: tuple[int, int], render: Render) -> Iterator[StillPhoto]:
        """At the end: a video of one sample is one picture, too."""
        if self._target is not None and self._first is not None and self._samples == 1:
            yield self._photo(self._target, self._first, shown, render)

    def _photo(self, target: Target, first: Frame, shown: tuple[int, int], render: Render) -> StillPhoto:
        shrink = min(1.0, math.sqrt(_MAX_PX / (shown[0] * shown[1])))
        height, width = (max(1, round(side * shrink)) for side in shown)
        picture = Image.fromarray(render((height, width)))
        if target.leave_out_borders:
            picture = inside(picture, self._warnings)
        return StillPhoto(Frame(resize_picture(picture, target), first.pts_seconds))
