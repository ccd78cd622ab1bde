"""Patches: a clip as the rows of pixels that Qwen2-VL's vision tower reads."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from assay.errors import CheckpointError, InvalidRequest
from assay.frame import Clip


@dataclass(frozen=True, eq=False)
class Patches:
    """One image or video, cut into patches when they are asked for: what is cached needs none."""

    layout: "PatchLayout"
    frames: NDArray[np.uint8]
    """(time * temporal_patch_size, height, width, 3): an incomplete last group has its last frame repeated."""
    tenant: str = ""

    @property
    def grid_thw(self) -> tuple[int, int, int]:
        """Patches along time, height and width."""
        frames, height, width, _ = self.frames.shape
        side = self.layout.patch_size
        return frames // self.layout.temporal_patch_size, height // side, width // side

    @property
    def pixel_values(self) -> NDArray[np.float32]:
        """(time * height * width, 3 * temporal_patch_size * patch_size ** 2) float32, normalised; rows in groups of
        merge_size ** 2 neighbours, as the tower merges them."""
        return self.layout.cut(self.frames)

    def group(self, time: int) -> NDArray[np.float32]:
        """The rows of pixel_values at one place in time."""
        return self.layout.cut(self.frames_at(time))

    @cached_property
    def group_keys(self) -> tuple[bytes, ...]:
        """For each place in time a hash of its frames, their size and the tenant: the key of every cache."""
        return tuple(self._key(self.frames_at(time)) for time in range(self.grid_thw[0]))

    def _key(self, frames: NDArray[np.uint8]) -> bytes:
        # A name may be longer than the hash's key, which is this hash of it.
        salt = hashlib.blake2b(self.tenant.encode(), digest_size=32).digest()
        size = f"{frames.shape[1]}x{frames.shape[2]}".encode()
        return hashlib.blake2b(frames.data, digest_size=16, key=salt, person=size).digest()

    def frames_at(self, time: int) -> NDArray[np.uint8]:
        """(temporal_patch_size, height, width, 3): the frames at one place in time."""
        size = self.layout.temporal_patch_size
        return self.frames[time * size : (time + 1) * size]


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

    def patches(self, clip: Clip, tenant: str = "") -> Patches:
        """Cut the clip; the last frame is repeated until the temporal patches are full (an image is one frame).

        InvalidRequest if the frames' sides are no multiples of patch_size * merge_size.
        """
        side = self.patch_size * self.merge_size
        height, width, _ = clip.frames[0].pixels.shape
        if height % side or width % side:
            raise InvalidRequest(f"frames must have sides that are multiples of {side} px, got {width} x {height} px")
        frames = clip.stacked()
        missing = -len(frames) % self.temporal_patch_size
        return Patches(self, np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)]), tenant)

    def tokens(self, grid_thw: tuple[int, int, int]) -> int:
        """Tokens that a clip of this grid takes in the prompt."""
        time, height, width = grid_thw
        return time * height * width // self.merge_size**2

    def _normalised(self, rows: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(patches, 3, pixels) uint8 to float32, (x / 255 - mean) / std per channel."""
        mean, std = np.asarray(self.image_mean), np.asarray(self.image_std)
        normalised = rows.astype(np.float32)
        normalised *= (1 / (255 * std)).astype(np.float32)[:, None]
        normalised -= (mean / std).astype(np.float32)[:, None]
        return normalised

    def cut(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(time * temporal_patch_size, height, width, 3) to rows of patches, as in Patches.pixel_values."""
        time = len(frames) // self.temporal_patch_size
        height, width = frames.shape[1] // self.patch_size, frames.shape[2] // self.patch_size
        merge, patch = self.merge_size, self.patch_size
        cut = frames.reshape(
            time, self.temporal_patch_size, height // merge, merge, patch, width // merge, merge, patch, 3
        )
        # time, then blocks of merge x merge patches; inside a patch: channel, frame, row, column.
        ordered = cut.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
        rows = np.ascontiguousarray(ordered).reshape(time * height * width, 3, -1)
        return self._normalised(rows).reshape(len(rows), -1)
