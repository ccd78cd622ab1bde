"""Patches: a clip as the rows of pixels that Qwen2-VL's vision tower reads."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import CheckpointError, InvalidRequest
from assay.frame import Clip


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """One image or video, cut into patches."""

    pixel_values: NDArray[np.float32]
    """(time * height * width, 3 * temporal_patch_size * patch_size ** 2) float32, normalised; rows in groups of
    merge_size ** 2 neighbours, as the tower merges them."""
    grid_thw: tuple[int, int, int]
    """Patches along time, height and width."""


@dataclass(frozen=True, slots=True)
class PatchLayout:
    """How a checkpoint wants its pictures: preprocessor_config.json."""

    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    patch_size: int = 14
    """Side of a patch, in pixels."""
    temporal_patch_size: int = 2
    """Frames in a patch."""
    merge_size: int = 2
    """merge_size ** 2 patches become one token."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PatchLayout":
        """CheckpointError names the key that is missing or asks for something that is not done here."""
        for switch in ("do_rescale", "do_normalize"):
            if config.get(switch, True) is not True:
                raise CheckpointError(f"preprocessor_config.json: {switch} must be true, got {config[switch]!r}")
        if abs(config.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
            raise CheckpointError(f"preprocessor_config.json: {config['rescale_factor'] = } must be 1/255")
        for key in ("image_mean", "image_std"):
            if len(config.get(key) or ()) != 3:
                raise CheckpointError(f"preprocessor_config.json: {key} must be three numbers, got {config.get(key)!r}")
        sizes = {key: config[key] for key in ("patch_size", "temporal_patch_size", "merge_size") if key in config}
        return cls(tuple(config["image_mean"]), tuple(config["image_std"]), **sizes)

    def patches(self, clip: Clip) -> Patches:
        """Cut the clip; the last frame is repeated until the temporal patches are full (an image is one frame).

        InvalidRequest if the frames' sides are no multiples of patch_size * merge_size.
        """
        side = self.patch_size * self.merge_size
        height, width, _ = clip.frames[0].pixels.shape
        if height % side or width % side:
            raise InvalidRequest(f"frames must have sides that are multiples of {side} px, got {width} x {height} px")
        frames = self._normalised(clip.stacked())
        missing = -len(frames) % self.temporal_patch_size
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        grid = (len(frames) // self.temporal_patch_size, height // self.patch_size, width // self.patch_size)
        return Patches(self._cut(frames, grid), grid)

    def tokens(self, grid_thw: tuple[int, int, int]) -> int:
        """Tokens that a clip of this grid takes in the prompt."""
        time, height, width = grid_thw
        return time * height * width // self.merge_size**2

    def _normalised(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(frames, height, width, 3) uint8 to float32, (x / 255 - mean) / std per channel."""
        mean, std = np.asarray(self.image_mean), np.asarray(self.image_std)
        scale, shift = (1 / (255 * std)).astype(np.float32), (mean / std).astype(np.float32)
        normalised: NDArray[np.float32] = pixels.astype(np.float32) * scale - shift
        return normalised

    def _cut(self, frames: NDArray[np.float32], grid: tuple[int, int, int]) -> NDArray[np.float32]:
        time, height, width = grid
        merge, patch = self.merge_size, self.patch_size
        cut = frames.reshape(
            time, self.temporal_patch_size, height // merge, merge, patch, width // merge, merge, patch, 3
        )
        # time, then blocks of merge x merge patches; inside a patch: channel, frame, row, column.
        ordered = cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
        return np.ascontiguousarray(ordered).reshape(time * height * width, -1)
