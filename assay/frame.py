"""Frame: one decoded picture with its place in time. Clip: ordered frames that share one score."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture."""

    pixels: NDArray[np.uint8]
    """(height, width, 3) uint8, RGB, C-contiguous."""
    pts_seconds: float = 0.0
    """Presentation time, in seconds since the first displayed frame; 0 for a still picture."""
    begins_scene: bool = False
    """Another scene was shown before it; set only where cuts are searched."""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must be (height, width, 3) uint8, got {self.pixels.shape} {self.pixels.dtype}")
        if min(self.pixels.shape) < 1:
            raise ValueError(f"pixels must not be empty, got {self.pixels.shape = }")
        if not 0.0 <= self.pts_seconds < float("inf"):
            raise ValueError(f"pts_seconds must be >= 0 and finite, got {self.pts_seconds = }")

    @property
    def height_px(self) -> int:
        return self.pixels.shape[0]

    @property
    def width_px(self) -> int:
        return self.pixels.shape[1]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Frames of one size in order of time, scored together."""

    frames: tuple[Frame, ...]
    is_video: bool
    """True if the model shall be asked about a video, False if about an image (then exactly one frame)."""
    start_seconds: float = 0.0
    end_seconds: float = 0.0
    """The time of the video that its score stands for, since the first displayed frame; both 0 for an image."""

    def __post_init__(self) -> None:
        if not self.frames:
            raise ValueError("a clip needs at least one frame")
        if not self.is_video and len(self.frames) != 1:
            raise ValueError(f"an image is one frame, got {len(self.frames)}")
        shapes = {frame.pixels.shape for frame in self.frames}
        if len(shapes) != 1:
            raise ValueError(f"frames of a clip must have one size, got {sorted(shapes)}")
        times = [frame.pts_seconds for frame in self.frames]
        for earlier, later in pairwise(times):
            if later <= earlier:
                raise ValueError(f"frames go back in time: {later} s after {earlier} s")

    def stacked(self) -> NDArray[np.uint8]:
        """All pictures as one array, (num_frames, height, width, 3) uint8, RGB."""
        return np.stack([frame.pixels for frame in self.frames])
