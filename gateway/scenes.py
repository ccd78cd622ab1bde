"""Scenes: frames at a close rate -> those that are sampled, each saying whether a scene begins with it.

The cuts are found by PySceneDetect, which sees nothing but small pictures that a locked-up worker has decoded.
"""

from typing import Any

import numpy as np

from assay.frame import Frame
from gateway.sampling import FixedRate

CHECKS_PER_SECOND = 8.0
"""Rate at which cuts are searched: each is found to within an eighth of a second."""
_SHORTEST_SCENE_FRAMES = 4
_SIDE_PX = 64
"""About the size that is compared; cuts are large, and noise is not."""


class Scenes:
    """Feed every decoded frame, in order. At a cut the grid of samples begins anew."""

    def __init__(self, frames_per_second: float) -> None:
        # Loaded by the first request that asks for scenes: OpenCV takes a gateway 25 MB that others need not pay.
        from scenedetect import FrameTimecode
        from scenedetect.detectors import ContentDetector
        from scenedetect.detectors.content_detector import FlashFilter

        self._detector: Any = ContentDetector(
            min_scene_len=_SHORTEST_SCENE_FRAMES, filter_mode=FlashFilter.Mode.SUPPRESS
        )
        self._timecode: Any = FrameTimecode
        self._rate = FixedRate(frames_per_second)
        self._checked = 0
        self.cuts = 0

    def feed(self, frame: Frame) -> Frame | None:
        """The frame if it is sampled."""
        is_cut = self._is_cut(frame) and self._checked > 1
        if is_cut:
            self.cuts += 1
            self._rate.begin_at(frame.pts_seconds)
        if not self._rate.feed(frame.pts_seconds):
            return None
        return Frame(frame.pixels, frame.pts_seconds, begins_scene=is_cut)

    def _is_cut(self, frame: Frame) -> bool:
        step = max(1, max(frame.pixels.shape[:2]) // _SIDE_PX)
        blue_green_red = np.ascontiguousarray(frame.pixels[::step, ::step, ::-1])
        at = self._timecode(self._checked, fps=CHECKS_PER_SECOND)
        self._checked += 1
        return bool(self._detector.process_frame(at, blue_green_red))
